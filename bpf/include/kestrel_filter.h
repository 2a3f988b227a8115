/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The filter: whether some rule can want the record that stands in a buffer, by what is in it beside its kind.
 *
 * For each kind there is a table of bits (a Bloom filter) with the keys of which every wanted event has one: its file's
 * name, extension, a component or the beginning of its path, the name, folder or user of the process that acts, an
 * address or port of its connection. Two bits are set for each key. Patterns of names are told by what a name must have in it. What stands there by chance lets an
 * event through that nobody wanted, and so does whatever cannot be compared: text that is not ASCII or has a backslash, a
 * path that was cut or is not in order, a process that the kernel side does not know. Nothing is ever dropped because it
 * could not be looked at.
 *
 * `bpf/src/filter.rs` fills the tables with the same arithmetic, and a test runs both over the same paths.
 */
#ifndef KESTREL_FILTER_H
#define KESTREL_FILTER_H

#include "kestrel_maps.h"

/* The keys that a table holds: kestrel_filter.tests. */
#define KESTREL_TEST_FILE_NAME 1
#define KESTREL_TEST_FILE_EXTENSION 2
#define KESTREL_TEST_PATH_COMPONENT 4
#define KESTREL_TEST_PATH_PREFIX 8
#define KESTREL_TEST_PROCESS_NAME 16
#define KESTREL_TEST_USER_ID 32
#define KESTREL_TEST_CLOSED 64 /* no test, but not open either: nothing passes that has no key */
#define KESTREL_TEST_FILE_PATTERN 128
#define KESTREL_TEST_PROCESS_PATTERN 256
#define KESTREL_TEST_PROCESS_FOLDER 512
#define KESTREL_TEST_SOURCE_ADDRESS 1024
#define KESTREL_TEST_DESTINATION_ADDRESS 2048
#define KESTREL_TEST_SOURCE_PORT 4096
#define KESTREL_TEST_DESTINATION_PORT 8192
#define KESTREL_TESTS_OF_NETWORKS 15360
#define KESTREL_TESTS_OF_FILES 143
#define KESTREL_TESTS_OF_PROCESSES 784

/* Longer paths, and those with more components, pass. */
#define KESTREL_SCAN_LIMIT 384

#define KESTREL_HASH_BASE 0x100000001b3ULL
#define KESTREL_HASH_MIX 0x9e3779b97f4a7c15ULL
#define KESTREL_FEATURE_MIX 0x9e3779b1

#define KESTREL_FAMILY_IPV4 2 /* AF_INET */

/* Two tables for each kind: those of the half that `kestrel_settings.filter_half` names are in use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * KESTREL_KINDS);
	__type(key, __u32);
	__type(value, struct kestrel_filter);
} kestrel_filters SEC(".maps");

/*
 * The names of processes, as user space's process table has them: an executable that is renamed while it runs keeps its
 * name there. Filled at exec, copied at fork, forgotten at exit, and filled by user space for the processes that were
 * there before. A process that is not here passes.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u32);
	__type(value, struct kestrel_actor);
} kestrel_actors SEC(".maps");

/* Nanoseconds of a tick: USER_HZ is 100 on every architecture that matters here. */
#define KESTREL_TICK 10000000
/* No process begins then. */
#define KESTREL_NO_TICKS 0xffffffffffffffffULL

static __always_inline __u64 kestrel_mix(__u64 value)
{
	value ^= value >> 32;
	value *= KESTREL_HASH_MIX;
	value ^= value >> 29;
	return value;
}

static __always_inline bool kestrel_has_key(struct kestrel_filter *filter, __u32 test, __u64 hash)
{
	__u64 place = kestrel_mix(hash * KESTREL_HASH_MIX + test);
	__u32 first = place & (KESTREL_FILTER_BITS - 1);
	__u32 second = (place >> 32) & (KESTREL_FILTER_BITS - 1);

	return (filter->bits[first / 64] >> (first % 64) & 1) && (filter->bits[second / 64] >> (second % 64) & 1);
}

/* Notes that `second` follows `first`. What no name has in it stands for begin and end: 1 and 2. */
static __always_inline void kestrel_note_feature(struct kestrel_scan *scan, __u32 first, __u32 second)
{
	__u32 place = ((first << 8 | second) * (__u32)KESTREL_FEATURE_MIX) >> 25;

	if (place & 64)
		scan->features.bits[1] |= 1ULL << (place & 63);
	else
		scan->features.bits[0] |= 1ULL << (place & 63);
}

static __always_inline void kestrel_note_edge(struct kestrel_scan *scan, __u32 byte, bool end)
{
	kestrel_note_feature(scan, end ? byte : 1, end ? 1 : byte);
	kestrel_note_feature(scan, end ? byte : 2, end ? 2 : byte);
}

/*
 * What a step through a list of the filter works on. The lists are looked through by bpf_loop, because the verifier follows
 * a plain loop through each of its rounds, in every program.
 */
struct kestrel_search {
	struct kestrel_filter *filter;
	const struct kestrel_features *name;
	struct kestrel_address address;
	__u32 side; /* of a connection: 0 is its source, 1 its destination */
	__u32 port;
	__u64 found;
};

static __always_inline bool kestrel_has_features(const struct kestrel_features *pattern,
						 const struct kestrel_features *name)
{
	return !(pattern->bits[0] & ~name->bits[0]) && !(pattern->bits[1] & ~name->bits[1]);
}

static long kestrel_file_pattern_step(__u32 index, struct kestrel_search *search)
{
	__u64 place = index;

	kestrel_hide(place); /* so that what is checked is what is used */
	if (place >= KESTREL_FILTER_PATTERNS)
		return 1;
	search->found = kestrel_has_features(&search->filter->files[place], search->name);
	return search->found;
}

static long kestrel_process_pattern_step(__u32 index, struct kestrel_search *search)
{
	__u64 place = index;

	kestrel_hide(place);
	if (place >= KESTREL_FILTER_PATTERNS)
		return 1;
	search->found = kestrel_has_features(&search->filter->processes[place], search->name);
	return search->found;
}

/* Whether a name has in it what some pattern of file names asks for. */
static __noinline bool kestrel_has_file_pattern(struct kestrel_filter *filter, const struct kestrel_features *name)
{
	struct kestrel_search search = { .filter = filter, .name = name };

	bpf_loop(filter->file_patterns, kestrel_file_pattern_step, &search, 0);
	return search.found;
}

/* The same for names of processes. */
static __noinline bool kestrel_has_process_pattern(struct kestrel_filter *filter, const struct kestrel_features *name)
{
	struct kestrel_search search = { .filter = filter, .name = name };

	bpf_loop(filter->process_patterns, kestrel_process_pattern_step, &search, 0);
	return search.found;
}

/* Ends a component. An empty one, `.`, `..` and one too many are not in order. */
static __always_inline void kestrel_end_component(struct kestrel_scan *scan)
{
	__u64 place = scan->count;

	if (!scan->length || place >= KESTREL_COMPONENTS) {
		scan->in_order = 0;
		return;
	}
	/* "." and "..": all of it dots. */
	if (scan->length <= 2 && scan->dots == scan->length && scan->text)
		scan->in_order = 0;
	scan->components[place & (KESTREL_COMPONENTS - 1)] = scan->hash;
	kestrel_note_edge(scan, scan->before, true);
	scan->extension = scan->dots ? scan->since_dot : 0;
	scan->has_extension = scan->dots != 0;
	if (!scan->count || scan->text) {
		scan->name = scan->hash;
		scan->name_extension = scan->extension;
		scan->name_has_extension = scan->has_extension;
		scan->name_features = scan->features;
	}
	scan->count = place + 1;
	scan->length = 0;
	scan->hash = 0;
	scan->since_dot = 0;
	scan->dots = 0;
	scan->features.bits[0] = 0;
	scan->features.bits[1] = 0;
}

/* What a step of a scan works on. */
struct kestrel_scan_context {
	struct kestrel_scratch *scratch;
	struct kestrel_scan *scan;
	__u32 start;
	__u32 reserved;
};

static long kestrel_scan_step(__u32 index, struct kestrel_scan_context *context)
{
	struct kestrel_scratch *scratch = context->scratch;
	struct kestrel_scan *scan = context->scan;
	__u64 place = context->start + index;
	__u8 byte;

	kestrel_hide(place); /* so that what is checked is what is used */
	if (place >= KESTREL_TAIL_LIMIT) {
		scan->in_order = 0;
		return 1;
	}
	byte = scratch->tail[place];
	if (!byte || (byte == '/' && scan->text)) {
		if (index || !byte) /* a text may begin with a slash */
			kestrel_end_component(scan);
		return 0;
	}
	/* A slash within the name of a memory file; what rules for other systems look for; other than ASCII. */
	if (byte == '/' || byte == '\\' || byte >= 0x80)
		scan->in_order = 0;
	if (byte >= 'A' && byte <= 'Z')
		byte += 'a' - 'A';
	if (byte == ':')
		scan->colons++;
	if (scan->length)
		kestrel_note_feature(scan, scan->before, byte);
	else
		kestrel_note_edge(scan, byte, false);
	scan->before = byte;
	scan->hash = scan->hash * KESTREL_HASH_BASE + byte;
	scan->length++;
	if (byte == '.') {
		scan->dots++;
		scan->since_dot = 0;
	} else {
		scan->since_dot = scan->since_dot * KESTREL_HASH_BASE + byte;
	}
	return 0;
}

/*
 * Cuts `length` bytes of the tail from `start` on into components. A walked path has the last component first and a NUL
 * behind each; a text has slashes and ends with a NUL.
 */
static __noinline void kestrel_scan_section(struct kestrel_scratch *scratch, struct kestrel_scan *scan, __u32 start,
					    __u32 length)
{
	struct kestrel_scan_context context = { .scratch = scratch, .scan = scan, .start = start };

	if (length > KESTREL_SCAN_LIMIT)
		scan->in_order = 0;
	else
		bpf_loop(length, kestrel_scan_step, &context, 0);
}

static __always_inline void kestrel_begin_scan(struct kestrel_scan *scan, __u32 text)
{
	scan->count = 0;
	scan->text = text;
	scan->in_order = 1;
	scan->hash = 0;
	scan->since_dot = 0;
	scan->length = 0;
	scan->dots = 0;
	scan->colons = 0;
	scan->before = 0;
	scan->features.bits[0] = 0;
	scan->features.bits[1] = 0;
}

/* Whether a component, or the path up to it, is a key; `beginning` is the path's so far. */
static __always_inline bool kestrel_component_wanted(struct kestrel_filter *filter, struct kestrel_scan *scan,
						     __u32 place, __u64 *beginning)
{
	__u64 hash = scan->components[place & (KESTREL_COMPONENTS - 1)];

	if ((filter->tests & KESTREL_TEST_PATH_COMPONENT) &&
	    kestrel_has_key(filter, KESTREL_TEST_PATH_COMPONENT, hash))
		return true;
	*beginning = kestrel_mix(*beginning + hash);
	return (filter->tests & KESTREL_TEST_PATH_PREFIX) &&
	       kestrel_has_key(filter, KESTREL_TEST_PATH_PREFIX, *beginning);
}

/* Whether the file that the record names is wanted. */
static __noinline bool kestrel_file_wanted(struct kestrel_scratch *scratch, struct kestrel_filter *filter)
{
	struct kestrel_scan *folder = &scratch->folder, *text = &scratch->text, *named;
	__u32 path_length = scratch->record.sections[KESTREL_FILE_PATH];
	__u32 name_length = scratch->record.sections[KESTREL_FILE_NAME];
	__u64 beginning = 0, text_start = path_length;

	if (scratch->record.header.flags &
	    (KESTREL_SECTION_FLAG(KESTREL_FILE_PATH, 7) | KESTREL_SECTION_FLAG(KESTREL_FILE_NAME, 7)))
		return true;
	kestrel_begin_scan(folder, 0);
	kestrel_begin_scan(text, 1);
	kestrel_scan_section(scratch, folder, 0, path_length);
	/* The text was another one when it was first looked at: for user space it now begins at the root. */
	kestrel_hide(text_start); /* so that what is checked is what is used */
	if (name_length && path_length && text_start < KESTREL_SCAN_LIMIT && scratch->tail[text_start] == '/')
		return true;
	if (name_length)
		kestrel_scan_section(scratch, text, path_length, name_length);
	named = name_length ? text : folder;
	if (!folder->in_order || !text->in_order || !named->count)
		return true;
	if ((filter->tests & KESTREL_TEST_FILE_NAME) && kestrel_has_key(filter, KESTREL_TEST_FILE_NAME, named->name))
		return true;
	if ((filter->tests & KESTREL_TEST_FILE_EXTENSION) && named->name_has_extension &&
	    kestrel_has_key(filter, KESTREL_TEST_FILE_EXTENSION, named->name_extension))
		return true;
	if ((filter->tests & KESTREL_TEST_FILE_PATTERN) &&
	    kestrel_has_file_pattern(filter, &named->name_features))
		return true;
	if (!(filter->tests & (KESTREL_TEST_PATH_COMPONENT | KESTREL_TEST_PATH_PREFIX)))
		return false;
	for (__u32 step = 0; step < KESTREL_COMPONENTS; step++) {
		if (step >= folder->count)
			break;
		if (kestrel_component_wanted(filter, folder, folder->count - 1 - step, &beginning))
			return true;
	}
	for (__u32 step = 0; step < KESTREL_COMPONENTS; step++) {
		if (step >= text->count)
			break;
		if (kestrel_component_wanted(filter, text, step, &beginning))
			return true;
	}
	return false;
}

/* Whether the process that acts is wanted. One that is not known is. */
static __noinline bool kestrel_process_wanted(struct kestrel_scratch *scratch, struct kestrel_filter *filter)
{
	__u32 pid = scratch->record.task.pid;
	struct kestrel_actor *actor = bpf_map_lookup_elem(&kestrel_actors, &pid);

	if (!actor || actor->start_ticks != scratch->record.task.start_time / KESTREL_TICK)
		return true;
	if ((filter->tests & KESTREL_TEST_PROCESS_NAME) &&
	    kestrel_has_key(filter, KESTREL_TEST_PROCESS_NAME, actor->name))
		return true;
	if ((filter->tests & KESTREL_TEST_PROCESS_PATTERN) &&
	    kestrel_has_process_pattern(filter, &actor->features))
		return true;
	if (!(filter->tests & KESTREL_TEST_PROCESS_FOLDER))
		return false;
	for (__u32 depth = 0; depth < KESTREL_ACTOR_FOLDERS; depth++) {
		if (actor->folders[depth] && kestrel_has_key(filter, KESTREL_TEST_PROCESS_FOLDER, actor->folders[depth]))
			return true;
	}
	return false;
}

static __always_inline bool kestrel_not_before(const struct kestrel_address *left, const struct kestrel_address *right)
{
	return left->high > right->high || (left->high == right->high && left->low >= right->low);
}

static long kestrel_address_step(__u32 index, struct kestrel_search *search)
{
	const struct kestrel_addresses *range;
	__u64 place = (__u64)(search->side & 1) * KESTREL_FILTER_RANGES + index;

	kestrel_hide(place);
	if (place >= 2 * KESTREL_FILTER_RANGES)
		return 1;
	range = &search->filter->addresses[0][0] + place;
	search->found = kestrel_not_before(&search->address, &range->first) &&
			kestrel_not_before(&range->last, &search->address);
	return search->found;
}

static long kestrel_port_step(__u32 index, struct kestrel_search *search)
{
	const struct kestrel_ports *range;
	__u64 place = (__u64)(search->side & 1) * KESTREL_FILTER_RANGES + index;

	kestrel_hide(place);
	if (place >= 2 * KESTREL_FILTER_RANGES)
		return 1;
	range = &search->filter->ports[0][0] + place;
	search->found = search->port >= range->first && search->port <= range->last;
	return search->found;
}

static __always_inline __u64 kestrel_read_number(const __u8 *bytes)
{
	__u64 number;

	__builtin_memcpy(&number, bytes, sizeof(number));
	return __builtin_bswap64(number);
}

/* Whether one end of the connection is wanted, its own or the other. A port that is not known is 0, and passes. */
static __noinline bool kestrel_end_wanted(struct kestrel_network *network, struct kestrel_filter *filter, __u32 side,
					  bool remote)
{
	struct kestrel_search search = { .filter = filter, .side = side & 1 };
	const __u8 *bytes = remote ? network->remote_address : network->local_address;

	search.port = remote ? network->remote_port : network->local_port;
	if (filter->tests & (KESTREL_TEST_SOURCE_ADDRESS << (side & 1))) {
		search.address.high = kestrel_read_number(bytes);
		search.address.low = kestrel_read_number(bytes + 8);
		if (network->family == KESTREL_FAMILY_IPV4) {
			search.address.low = 0xffffULL << 32 | search.address.high >> 32;
			search.address.high = 0;
		}
		bpf_loop(filter->address_ranges[side & 1], kestrel_address_step, &search, 0);
		if (search.found)
			return true;
	}
	if (!(filter->tests & (KESTREL_TEST_SOURCE_PORT << (side & 1))))
		return false;
	if (!search.port)
		return true;
	bpf_loop(filter->port_ranges[side & 1], kestrel_port_step, &search, 0);
	return search.found;
}

/* Whether the connection that the record tells of is wanted. Of an accepted one the source is the other side. */
static __noinline bool kestrel_network_wanted(struct kestrel_scratch *scratch, struct kestrel_filter *filter)
{
	struct kestrel_network *network = &scratch->record.network;
	bool accepted = network->role == KESTREL_ROLE_ACCEPTED;

	if (scratch->record.header.flags & KESTREL_FLAG_VALUE_UNREADABLE)
		return true;
	return kestrel_end_wanted(network, filter, 0, accepted) || kestrel_end_wanted(network, filter, 1, !accepted);
}

/* Whether some rule can want the record that stands in `scratch`. */
static __noinline bool kestrel_wanted(struct kestrel_scratch *scratch, __u32 kind)
{
	struct kestrel_settings *settings = kestrel_get_settings();
	struct kestrel_filter *filter;
	__u32 index;

	if (!settings || kind >= KESTREL_KINDS)
		return true;
	index = (settings->filter_half & 1) * KESTREL_KINDS + kind;
	filter = bpf_map_lookup_elem(&kestrel_filters, &index);
	if (!filter || !filter->tests)
		return true;
	if ((filter->tests & KESTREL_TESTS_OF_PROCESSES) && kestrel_process_wanted(scratch, filter))
		return true;
	if ((filter->tests & KESTREL_TEST_USER_ID) &&
	    kestrel_has_key(filter, KESTREL_TEST_USER_ID, scratch->record.task.effective_user_id))
		return true;
	if ((filter->tests & KESTREL_TESTS_OF_NETWORKS) && kestrel_network_wanted(scratch, filter))
		return true;
	return (filter->tests & KESTREL_TESTS_OF_FILES) && kestrel_file_wanted(scratch, filter);
}

/* ---------------------------------------------------------------- names of processes */

/*
 * Notes the name of a process whose executable's path stands in the tail from `start` on. A path with a colon passes
 * with all that cannot be compared: so are those of files in memory written, and those of other systems.
 */
static __noinline void kestrel_note_actor(struct kestrel_scratch *scratch, __u32 section, __u32 start)
{
	struct kestrel_actor actor = { .start_ticks = scratch->record.task.start_time / KESTREL_TICK };
	struct kestrel_scan *scan = &scratch->folder;
	__u32 pid = scratch->record.task.pid;
	__u64 beginning = 0;

	kestrel_begin_scan(scan, 0);
	kestrel_scan_section(scratch, scan, start, scratch->record.sections[section]);
	if (!scan->in_order || !scan->count || scan->colons ||
	    scratch->record.header.flags & KESTREL_SECTION_FLAG(section, 7)) {
		actor.start_ticks = KESTREL_NO_TICKS; /* known not to be comparable, so user space does not fill it in */
	}
	actor.name = scan->name;
	actor.features = scan->name_features;
	for (__u32 depth = 0; depth < KESTREL_ACTOR_FOLDERS; depth++) {
		if (depth + 1 >= scan->count) /* the last one is no folder */
			break;
		beginning = kestrel_mix(beginning +
					scan->components[(scan->count - 1 - depth) & (KESTREL_COMPONENTS - 1)]);
		actor.folders[depth] = beginning;
	}
	bpf_map_update_elem(&kestrel_actors, &pid, &actor, BPF_ANY);
}

/* A new process has its creator's name. */
static __always_inline void kestrel_copy_actor(__u32 creator, __u64 creator_start, struct kestrel_task *child)
{
	struct kestrel_actor *known = bpf_map_lookup_elem(&kestrel_actors, &creator), actor;
	__u32 pid = child->pid;

	if (!known || known->start_ticks != creator_start / KESTREL_TICK) {
		bpf_map_delete_elem(&kestrel_actors, &pid); /* of whoever had the number before */
		return;
	}
	actor = *known;
	actor.start_ticks = child->start_time / KESTREL_TICK;
	bpf_map_update_elem(&kestrel_actors, &pid, &actor, BPF_ANY);
}

static __always_inline void kestrel_forget_actor(__u32 pid)
{
	bpf_map_delete_elem(&kestrel_actors, &pid);
}

#endif
