/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The filter: whether some rule can want the record that stands in a buffer, by what is in it beside its kind.
 *
 * For each kind there is a table of bits (a Bloom filter) with the keys of which every wanted event has one: its file's
 * name, extension, a component or the beginning of its path, the name or user of the process that acts. Two bits are set
 * for each key. What stands there by chance lets an event through that nobody wanted, and so does whatever cannot be
 * compared: text that is not ASCII or has a backslash, a path that was cut or is not in order, a process that the kernel side does not know.
 * Nothing is ever dropped because it could not be looked at.
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
#define KESTREL_TESTS_OF_FILES 15

/* Longer paths, and those with more components, pass. */
#define KESTREL_SCAN_LIMIT 384

#define KESTREL_HASH_BASE 0x100000001b3ULL
#define KESTREL_HASH_MIX 0x9e3779b97f4a7c15ULL

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
	scan->extension = scan->dots ? scan->since_dot : 0;
	scan->has_extension = scan->dots != 0;
	if (!scan->count || scan->text) {
		scan->name = scan->hash;
		scan->name_extension = scan->extension;
		scan->name_has_extension = scan->has_extension;
	}
	scan->count = place + 1;
	scan->length = 0;
	scan->hash = 0;
	scan->since_dot = 0;
	scan->dots = 0;
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

/* Whether some rule can want the record that stands in `scratch`. */
static __noinline bool kestrel_wanted(struct kestrel_scratch *scratch, __u32 kind)
{
	struct kestrel_settings *settings = kestrel_get_settings();
	struct kestrel_filter *filter;
	struct kestrel_actor *actor;
	__u32 index, pid;

	if (!settings || kind >= KESTREL_KINDS)
		return true;
	index = (settings->filter_half & 1) * KESTREL_KINDS + kind;
	filter = bpf_map_lookup_elem(&kestrel_filters, &index);
	if (!filter || !filter->tests)
		return true;
	if (filter->tests & KESTREL_TEST_PROCESS_NAME) {
		pid = scratch->record.task.pid;
		actor = bpf_map_lookup_elem(&kestrel_actors, &pid);
		if (!actor || actor->start_ticks != scratch->record.task.start_time / KESTREL_TICK ||
		    kestrel_has_key(filter, KESTREL_TEST_PROCESS_NAME, actor->name))
			return true;
	}
	if ((filter->tests & KESTREL_TEST_USER_ID) &&
	    kestrel_has_key(filter, KESTREL_TEST_USER_ID, scratch->record.task.effective_user_id))
		return true;
	return (filter->tests & KESTREL_TESTS_OF_FILES) && kestrel_file_wanted(scratch, filter);
}

/* ---------------------------------------------------------------- names of processes */

/* Notes the name of a process whose executable's path stands in the tail from `start` on. */
static __noinline void kestrel_note_actor(struct kestrel_scratch *scratch, __u32 section, __u32 start)
{
	struct kestrel_actor actor = { .start_ticks = scratch->record.task.start_time / KESTREL_TICK };
	struct kestrel_scan *scan = &scratch->folder;
	__u32 pid = scratch->record.task.pid;

	kestrel_begin_scan(scan, 0);
	kestrel_scan_section(scratch, scan, start, scratch->record.sections[section]);
	if (!scan->in_order || !scan->count || scratch->record.header.flags & KESTREL_SECTION_FLAG(section, 7)) {
		actor.start_ticks = KESTREL_NO_TICKS; /* known not to be comparable, so user space does not fill it in */
	}
	actor.name = scan->name;
	bpf_map_update_elem(&kestrel_actors, &pid, &actor, BPF_ANY);
}

/* A new process has its creator's name. */
static __always_inline void kestrel_copy_actor(__u32 creator, __u64 creator_start, struct kestrel_task *child)
{
	struct kestrel_actor *known = bpf_map_lookup_elem(&kestrel_actors, &creator), actor = {};
	__u32 pid = child->pid;

	if (!known || known->start_ticks != creator_start / KESTREL_TICK) {
		bpf_map_delete_elem(&kestrel_actors, &pid); /* of whoever had the number before */
		return;
	}
	actor.name = known->name;
	actor.start_ticks = child->start_time / KESTREL_TICK;
	bpf_map_update_elem(&kestrel_actors, &pid, &actor, BPF_ANY);
}

static __always_inline void kestrel_forget_actor(__u32 pid)
{
	bpf_map_delete_elem(&kestrel_actors, &pid);
}

#endif
