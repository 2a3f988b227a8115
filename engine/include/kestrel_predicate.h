/* Written by `cargo xtask host-api` from ir/schema/host_api.toml: do not edit.
 *
 * What a predicate in C or C++ may import and must export; docs/host-api.md is the guide. Needs no C library.
 */
#ifndef KESTREL_PREDICATE_H
#define KESTREL_PREDICATE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What `pred_abi` returns. */
#define KESTREL_ABI 1

/* There is no value: the field is missing, or has fewer values. */
#define KESTREL_MISSING (-1)
/* The field is of another type. */
#define KESTREL_WRONG_TYPE (-2)
/* No such handle, or a field that the rule does not list. */
#define KESTREL_UNKNOWN (-3)
/* The function cannot be called from here. */
#define KESTREL_WRONG_PHASE (-4)
/* A text is not UTF-8, or a pattern is malformed. */
#define KESTREL_INVALID (-5)
/* A text is too long, or there are too many of something. */
#define KESTREL_TOO_LARGE (-6)

#define KESTREL_IMPORT(name) __attribute__((import_module("kestrel"), import_name(#name)))
#define KESTREL_EXPORT(name) __attribute__((export_name(#name)))

/* The handle of a field that the rule lists in `fields`. Needs `fields`. */
KESTREL_IMPORT(schema_resolve)
int32_t kestrel_schema_resolve(const char *name, size_t name_length);

/* How many values the field has; 0 when it is missing. Needs `fields`. */
KESTREL_IMPORT(event_get_count)
int32_t kestrel_event_get_count(int32_t field);

/* One value as text. A field of any type has one: numbers in decimal digits, addresses as they are written. Needs `fields`. */
KESTREL_IMPORT(event_get_text)
int32_t kestrel_event_get_text(int32_t field, int32_t index, char *buffer, size_t buffer_capacity);

/* One value of a `long`, or of a `date` in nanoseconds since 1970. Needs `fields`. */
KESTREL_IMPORT(event_get_integer)
int32_t kestrel_event_get_integer(int32_t field, int32_t index, int64_t *result);

/* One value of a `double` or of a `long`. Needs `fields`. */
KESTREL_IMPORT(event_get_float)
int32_t kestrel_event_get_float(int32_t field, int32_t index, double *result);

/* One value of a `boolean`. Needs `fields`. */
KESTREL_IMPORT(event_get_boolean)
int32_t kestrel_event_get_boolean(int32_t field, int32_t index);

/* One value of an `ip`: 16 octets, IPv4 mapped into IPv6. Needs `fields`. */
KESTREL_IMPORT(event_get_ip)
int32_t kestrel_event_get_ip(int32_t field, int32_t index, uint8_t result[16]);

/* What the event is: its category and its type with a slash between, such as `process/start`; a part that is missing is empty. Needs `event`. */
KESTREL_IMPORT(event_type)
int32_t kestrel_event_type(char *buffer, size_t buffer_capacity);

/* The id of the event's process, `process.entity_id`. Needs `event`. */
KESTREL_IMPORT(event_entity)
int32_t kestrel_event_entity(char *buffer, size_t buffer_capacity);

/* The event's time in nanoseconds since 1970; 0 before the first event. There is no other clock. Needs `event`. */
KESTREL_IMPORT(event_time)
int64_t kestrel_event_time(void);

/* Compiles a regular expression of the language (`regex`), which matches whole texts. Needs `regex`. */
KESTREL_IMPORT(re_compile)
int32_t kestrel_re_compile(const char *pattern, size_t pattern_length, int32_t ignore_case);

/* Whether a compiled expression matches the whole text. Needs `regex`. */
KESTREL_IMPORT(re_match)
int32_t kestrel_re_match(int32_t pattern, const char *subject, size_t subject_length);

/* Whether a wildcard pattern matches the whole text: `*` is any run of characters, `?` is one. */
KESTREL_IMPORT(glob_match)
int32_t kestrel_glob_match(const char *pattern, size_t pattern_length, const char *subject, size_t subject_length, int32_t ignore_case);

/* Whether two texts are equal but for case, as `==` with `~` has it (Unicode simple folding). */
KESTREL_IMPORT(str_eq_ci)
int32_t kestrel_str_eq_ci(const char *left, size_t left_length, const char *right, size_t right_length);

/* xxHash64 of some bytes, for tables and filters. In Lua a text of 16 hexadecimal digits, because its numbers do not hold 64 bits. */
KESTREL_IMPORT(hash_xx64)
int64_t kestrel_hash_xx64(const void *data, size_t data_length, int64_t seed);

/* Adds a text to the alert's `captures`. A name that is there already keeps its place and takes the new value. Needs `captures`. */
KESTREL_IMPORT(capture_put_text)
int32_t kestrel_capture_put_text(const char *name, size_t name_length, const char *value, size_t value_length);

/* The same with an integer. Needs `captures`. */
KESTREL_IMPORT(capture_put_integer)
int32_t kestrel_capture_put_integer(const char *name, size_t name_length, int64_t value);

/* The same with a decimal. What is no number or infinite is `invalid`. Needs `captures`. */
KESTREL_IMPORT(capture_put_float)
int32_t kestrel_capture_put_float(const char *name, size_t name_length, double value);

/* The same with a truth value. Needs `captures`. */
KESTREL_IMPORT(capture_put_boolean)
int32_t kestrel_capture_put_boolean(const char *name, size_t name_length, int32_t value);

/* Adds a message to the alert, if there is one in the end. Needs `alert`. */
KESTREL_IMPORT(alert_emit)
int32_t kestrel_alert_emit(const char *message, size_t message_length);

/* Asks for the event to be blocked. The alert, if there is one in the end, says that it was asked. Needs `block`. */
KESTREL_IMPORT(action_block)
int32_t kestrel_action_block(void);

/* Writes a line for the author of the predicate. The engine keeps the first lines of a run and counts the rest. Needs `log`. */
KESTREL_IMPORT(log)
int32_t kestrel_log(const char *message, size_t message_length);

/* The version of this API that the predicate is written for: 1. In Lua a number, not a function. */
KESTREL_EXPORT(pred_abi)
int32_t pred_abi(void);

/* Called once before the first event, and again whenever the predicate starts anew. Resolves fields, compiles patterns. Anything but 0 refuses the predicate; in Lua, an error does. May be left out. */
KESTREL_EXPORT(pred_init)
int32_t pred_init(void);

/* Called for every event that the rule's query selects, in event order. 1 is a match, 0 is none, anything else is a failure. */
KESTREL_EXPORT(pred_eval)
int32_t pred_eval(void);

/* Called after `pred_eval` said that the event matches, about the same event. Adds captures and messages. May be left out. */
KESTREL_EXPORT(pred_capture)
void pred_capture(void);

#ifdef __cplusplus
}
#endif

#endif /* KESTREL_PREDICATE_H */
