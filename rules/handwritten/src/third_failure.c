/* The third failing login of a user within a minute, and then every third: a count per user, kept between events.
 *
 * Built by `cargo xtask predicates` to `third_failure.wasm`, without a C library. The table is small and fixed: users
 * whose names fall on one place share it, and the later one takes it over.
 */
#include "kestrel_predicate.h"

#define MINUTE 60000000000LL
#define PLACES 1024
#define NEEDED 3

struct place {
	int64_t user;  /* the hash of the name */
	int64_t first; /* the time of the first failure that counts */
	int32_t count;
};

static struct place places[PLACES];
static int32_t user_name;
static int32_t user_length;
static char user[128];

int32_t pred_abi(void)
{
	return KESTREL_ABI;
}

int32_t pred_init(void)
{
	static const char name[] = "user.name";

	user_name = kestrel_schema_resolve(name, sizeof(name) - 1);
	return user_name < 0 ? user_name : 0;
}

int32_t pred_eval(void)
{
	int64_t now = kestrel_event_time(), hash;
	struct place *place;

	user_length = kestrel_event_get_text(user_name, 0, user, sizeof(user));
	if (user_length < 0)
		return 0;
	if ((size_t)user_length > sizeof(user))
		user_length = sizeof(user);
	hash = kestrel_hash_xx64(user, (size_t)user_length, 0);
	place = &places[(uint64_t)hash % PLACES];
	if (place->count == 0 || place->user != hash || now - place->first > MINUTE) {
		place->user = hash;
		place->first = now;
		place->count = 0;
	}
	place->count++;
	if (place->count < NEEDED)
		return 0;
	place->count = 0;
	return 1;
}

void pred_capture(void)
{
	static const char message[] = "three failed logins within a minute";

	kestrel_capture_put_text("user", 4, user, (size_t)user_length);
	kestrel_alert_emit(message, sizeof(message) - 1);
}
