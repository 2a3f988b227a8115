/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps, and what every program does first and last: `kestrel_admit` asks the filter map before anything is read,
 * `kestrel_begin` gives a buffer for the record, `kestrel_send` numbers, stamps and sends it and counts what became of it.
 *
 * Nothing here relies on programs being alone on their CPU. Tracepoints run their programs with preemption off, but an
 * interrupt may bring another program in between; fentry and LSM programs can be preempted (and so can tracepoint
 * programs of real-time kernels). So counters are atomic, and a buffer belongs to whoever has set its mark.
 */
#ifndef KESTREL_MAPS_H
#define KESTREL_MAPS_H

#include "kestrel_types.h"

#include <bpf/bpf_helpers.h>

#include "kestrel_records.h"

/* Keeps the compiler from reasoning about a bound it was shown, so that the verifier gets to see it too. */
#define kestrel_hide(variable) asm volatile("" : "+r"(variable))

/* Room for four paths, and behind it the slack that the verifier wants for the last bounded write. */
#define KESTREL_NAME_LIMIT 256
#define KESTREL_TAIL_LIMIT (KESTREL_PATH_LIMIT * 4)

/* Buffers of one CPU: a program, one that preempted it, one in a soft interrupt, one in a hard one. */
#define KESTREL_SCRATCH_SLOTS 4

/* Where a walk up a path has got to; see kestrel_path.h. */
struct kestrel_walk {
	struct dentry *dentry;
	struct mount *mount;
	struct dentry *root_dentry;
	struct mount *root_mount;
	__u32 cursor; /* where the next component goes */
	__u32 limit; /* where this path must end */
	__u32 state;
	__u32 reserved;
};

/* Cuts a path into components; see kestrel_filter.h. */
#define KESTREL_COMPONENTS 32

struct kestrel_scan {
	__u32 count; /* of components */
	__u32 text; /* whether it is a text with slashes, and not a walked path */
	__u32 in_order; /* 0 for what cannot be compared */
	__u32 length; /* of the component so far */
	__u32 dots; /* in the component so far */
	__u32 has_extension;
	__u32 name_has_extension;
	__u32 colons; /* in the whole path */
	__u32 before; /* the latest byte of the component */
	__u32 reserved;
	__u64 hash; /* of the component so far */
	__u64 since_dot; /* of what follows the latest dot */
	__u64 extension;
	__u64 name; /* of the path's last component */
	__u64 name_extension;
	struct kestrel_features features; /* of the component so far */
	struct kestrel_features name_features;
	__u64 components[KESTREL_COMPONENTS];
};

/*
 * What a program knows while it works lives here too, not on the stack: the verifier follows every value on the stack
 * through every branch, and flags that add up made it look at 218,000 instructions (0.3 s) instead of 1,300.
 */
struct kestrel_scratch {
	__u32 busy; /* the mark: 1 while a program uses this buffer */
	__u32 cursor; /* where the next section of the tail begins */
	struct kestrel_walk walk;
	struct kestrel_scan folder; /* a walked path */
	struct kestrel_scan text; /* a text below it */
	struct kestrel_record record;
	__u8 tail[KESTREL_TAIL_LIMIT + KESTREL_NAME_LIMIT];
};

/* The buffer of exec, whose tail goes on with arguments and environment. */
struct kestrel_exec_scratch {
	struct kestrel_scratch base;
	__u8 more[KESTREL_ARGUMENTS_LIMIT + KESTREL_ENVIRONMENT_LIMIT];
};

/* All records. User space sets the size before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} kestrel_ring SEC(".maps");

/* By kind: 0 drops its events here. All 0 until user space subscribes: nobody listening means nothing is produced. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KESTREL_KINDS);
	__type(key, __u32);
	__type(value, __u32);
} kestrel_kinds SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kestrel_settings);
} kestrel_settings SEC(".maps");

/* By kind. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KESTREL_KINDS);
	__type(key, __u32);
	__type(value, struct kestrel_counters);
} kestrel_counters SEC(".maps");

/* The number of the last record of this CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} kestrel_sequence SEC(".maps");

/* Buffers by CPU number * KESTREL_SCRATCH_SLOTS + slot. User space sets the number before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KESTREL_SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct kestrel_scratch);
} kestrel_scratch SEC(".maps");

/*
 * Where exec records are put together, by CPU number; not a per-CPU array, since those take values of 32 KiB at most.
 * One is enough: the kernel does not run one program twice at the same time on one CPU.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kestrel_exec_scratch);
} kestrel_exec_scratch SEC(".maps");

static __always_inline void kestrel_count(__u64 *counter)
{
	__sync_fetch_and_add(counter, 1);
}

static __always_inline struct kestrel_settings *kestrel_get_settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kestrel_settings, &zero);
}

/* Counts an event of process `pid`, and gives the counters when somebody wants it, NULL when not. */
static __noinline struct kestrel_counters *kestrel_admit(__u32 kind, __u32 pid)
{
	struct kestrel_counters *counters = bpf_map_lookup_elem(&kestrel_counters, &kind);
	struct kestrel_settings *settings = kestrel_get_settings();
	__u32 *wanted = bpf_map_lookup_elem(&kestrel_kinds, &kind);

	if (!counters || !settings || !wanted)
		return 0; /* arrays and constant indices: cannot happen */
	kestrel_count(&counters->produced);
	if (!*wanted) {
		kestrel_count(&counters->filtered);
		return 0;
	}
	if (pid && settings->ignored_pid == pid) {
		kestrel_count(&counters->ignored);
		return 0;
	}
	return counters;
}

/* Whether the filter map lets a kind through; counts nothing. For hooks that must look closer before they have an event. */
static __always_inline bool kestrel_subscribed(__u32 kind)
{
	__u32 *wanted = bpf_map_lookup_elem(&kestrel_kinds, &kind);

	return wanted && *wanted;
}

static __always_inline void kestrel_clear(struct kestrel_scratch *scratch)
{
	scratch->cursor = 0;
	scratch->record.header.flags = 0;
	__builtin_memset(scratch->record.sections, 0, sizeof(scratch->record.sections));
	__builtin_memset(scratch->record.fixed, 0, sizeof(scratch->record.fixed));
}

/* A cleared buffer, which is the caller's until `kestrel_send` or `kestrel_abandon`; NULL, counted, when all are in use. */
static __noinline struct kestrel_scratch *kestrel_begin(struct kestrel_counters *counters)
{
	__u32 first = bpf_get_smp_processor_id() * KESTREL_SCRATCH_SLOTS;

	for (__u32 slot = 0; slot < KESTREL_SCRATCH_SLOTS; slot++) {
		__u32 index = first + slot;
		struct kestrel_scratch *scratch = bpf_map_lookup_elem(&kestrel_scratch, &index);

		if (scratch && !__sync_val_compare_and_swap(&scratch->busy, 0, 1)) {
			kestrel_clear(scratch);
			return scratch;
		}
	}
	kestrel_count(&counters->dropped);
	kestrel_count(&counters->internal);
	return 0;
}

/* Gives a buffer back unused: what was counted as produced turned out to be no event after all, or is filtered. */
static __always_inline void kestrel_abandon(struct kestrel_scratch *scratch, struct kestrel_counters *counters)
{
	kestrel_count(&counters->filtered);
	*(volatile __u32 *)&scratch->busy = 0;
}

/* Ends section `section` of the tail at `end`; the next one begins there. */
static __always_inline void kestrel_end_section(struct kestrel_scratch *scratch, __u32 section, __u32 end)
{
	scratch->record.sections[section] = end - scratch->cursor;
	scratch->cursor = end;
}

/* Says something about a section; see KESTREL_SECTION_TRUNCATED. */
static __always_inline void kestrel_flag_section(struct kestrel_scratch *scratch, __u32 section, __u32 flag)
{
	scratch->record.header.flags |= KESTREL_SECTION_FLAG(section, flag);
}

/*
 * Whether somebody wants the record that stands in `scratch`, asked once for every event, right before it is copied; see
 * kestrel_filter.h.
 */
static __noinline bool kestrel_wanted(struct kestrel_scratch *scratch, __u32 kind);

/* Whether the process table lives from records of a kind, so that those that no rule wants are sent as well, and say so. */
static __always_inline bool kestrel_keeps_table(__u32 kind)
{
	return kind == KESTREL_KIND_EXEC || kind == KESTREL_KIND_FORK || kind == KESTREL_KIND_EXIT ||
	       kind == KESTREL_KIND_UID_CHANGE || kind == KESTREL_KIND_GID_CHANGE ||
	       kind == KESTREL_KIND_SESSION_ID_CHANGE;
}

/* How the reader is told of a record. */
static __always_inline __u64 kestrel_wake_flags(void)
{
	struct kestrel_settings *settings = kestrel_get_settings();

	return settings && settings->reader_looks ? BPF_RB_NO_WAKEUP : 0;
}

/*
 * Sends the record in `scratch`, whose tail may hold `tail_limit` bytes, and gives the buffer back. The clock is read
 * right before the record takes its place in the ring, so that order in the ring and order in time differ by next to
 * nothing.
 */
static __always_inline void kestrel_send_limited(struct kestrel_scratch *scratch, struct kestrel_counters *counters,
						 __u16 kind, __u64 tail_limit)
{
	struct kestrel_header *header = &scratch->record.header;
	__u64 length = scratch->cursor;
	__u32 zero = 0, flags = header->flags;
	__u64 *sequence;

	if (!kestrel_wanted(scratch, kind)) {
		if (!kestrel_keeps_table(kind)) {
			kestrel_abandon(scratch, counters);
			return;
		}
		header->flags |= KESTREL_FLAG_UPKEEP;
	}
	sequence = bpf_map_lookup_elem(&kestrel_sequence, &zero);
	kestrel_hide(length);
	if (length > tail_limit)
		length = tail_limit; /* cannot happen: each section keeps to its limit */
	length += sizeof(struct kestrel_record);
	header->version = KESTREL_RECORD_VERSION;
	header->kind = kind;
	header->length = length;
	header->sequence = sequence ? __sync_fetch_and_add(sequence, 1) + 1 : 0;
	header->cpu = bpf_get_smp_processor_id();
	header->timestamp = bpf_ktime_get_boot_ns();
	if (bpf_ringbuf_output(&kestrel_ring, &scratch->record, length, kestrel_wake_flags()))
		kestrel_count(&counters->dropped);
	else
		kestrel_count(&counters->sent);
	if (flags & KESTREL_FLAGS_TRUNCATED)
		kestrel_count(&counters->truncated);
	if (flags & (KESTREL_FLAGS_UNREADABLE | KESTREL_FLAG_TASK_UNREADABLE | KESTREL_FLAG_VALUE_UNREADABLE))
		kestrel_count(&counters->read_failed);
	*(volatile __u32 *)&scratch->busy = 0;
}

static __noinline void kestrel_send(struct kestrel_scratch *scratch, struct kestrel_counters *counters, __u16 kind)
{
	kestrel_send_limited(scratch, counters, kind, KESTREL_TAIL_LIMIT);
}

#endif
