/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The maps, and what every program does first and last: `kestrel_admit` asks the filter map before anything is copied,
 * `kestrel_seal` numbers and stamps a record, `kestrel_sent` counts what became of it.
 */
#ifndef KESTREL_MAPS_H
#define KESTREL_MAPS_H

#include "kestrel_types.h"

#include <bpf/bpf_helpers.h>

#include "kestrel_records.h"

/* Room for the tail of an exec record, and behind it the slack that the verifier wants for the last bounded write. */
#define KESTREL_NAME_LIMIT 256
#define KESTREL_PATHS_LIMIT (KESTREL_PATH_LIMIT * 3)
#define KESTREL_TAIL_LIMIT (KESTREL_PATHS_LIMIT + KESTREL_ARGUMENTS_LIMIT)

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

/*
 * What a program knows while it works lives here too, not on the stack: the verifier follows every value on the stack
 * through every branch, and flags that add up made it look at 218,000 instructions (0.3 s) instead of 1,300.
 */
struct kestrel_scratch {
	struct kestrel_walk walk;
	struct kestrel_exec exec; /* the record begins here */
	__u8 tail[KESTREL_TAIL_LIMIT + KESTREL_NAME_LIMIT];
};

/* All records. User space sets the size before loading. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 * 1024 * 1024);
} kestrel_ring SEC(".maps");

/* By kind: 0 drops its events here. All 0 until user space subscribes: nobody listening means nothing is produced. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KESTREL_KIND_LIMIT);
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
	__uint(max_entries, KESTREL_KIND_LIMIT);
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

/*
 * Where an exec record is put together, by CPU number. Not a per-CPU array: those take values of 32 KiB at most. User
 * space sets the number of CPUs before loading. Only the exec program uses it, and the kernel does not run one program
 * twice at the same time on one CPU, so no two records share an element.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kestrel_scratch);
} kestrel_scratch SEC(".maps");

/* Counts an event of process `pid`, and gives the counters when somebody wants it, NULL when not. */
static __always_inline struct kestrel_counters *kestrel_admit(__u32 kind, __u32 pid)
{
	__u32 zero = 0;
	struct kestrel_counters *counters = bpf_map_lookup_elem(&kestrel_counters, &kind);
	struct kestrel_settings *settings = bpf_map_lookup_elem(&kestrel_settings, &zero);
	__u32 *wanted = bpf_map_lookup_elem(&kestrel_kinds, &kind);

	if (!counters || !settings || !wanted)
		return 0; /* arrays and constant indices: cannot happen */
	counters->produced++;
	if (!*wanted) {
		counters->filtered++;
		return 0;
	}
	if (pid && settings->ignored_pid == pid) {
		counters->ignored++;
		return 0;
	}
	return counters;
}

/*
 * Fills the header. Called last: the clock is read right before the record takes its place in the ring, so that the
 * order in the ring and the order in time differ by next to nothing.
 */
static __always_inline void kestrel_seal(struct kestrel_header *header, __u16 kind, __u32 length, __u32 flags)
{
	__u32 zero = 0;
	__u64 *sequence = bpf_map_lookup_elem(&kestrel_sequence, &zero);

	header->version = KESTREL_RECORD_VERSION;
	header->kind = kind;
	header->length = length;
	header->sequence = sequence ? ++*sequence : 0;
	header->cpu = bpf_get_smp_processor_id();
	header->flags = flags;
	header->timestamp = bpf_ktime_get_boot_ns();
}

/* Books a record: `failed` is what bpf_ringbuf_output said. */
static __always_inline void kestrel_sent(struct kestrel_counters *counters, __u32 flags, long failed)
{
	const __u32 unreadable = KESTREL_FLAG_ARGUMENTS_UNREADABLE | KESTREL_FLAG_FILENAME_UNREADABLE |
				 KESTREL_FLAG_EXECUTABLE_UNREADABLE | KESTREL_FLAG_DIRECTORY_UNREADABLE |
				 KESTREL_FLAG_TASK_UNREADABLE;

	if (failed)
		counters->dropped++;
	else
		counters->sent++;
	if (flags & KESTREL_FLAG_ARGUMENTS_TRUNCATED)
		counters->arguments_truncated++;
	if (flags & unreadable)
		counters->read_failed++;
}

#endif
