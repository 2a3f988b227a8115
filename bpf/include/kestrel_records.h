/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The records that the kernel programs send to user space: the one ABI both sides share.
 *
 * A record is a header, the identity of the task it is about, the fixed fields of its kind, and (exec only) a tail of
 * bytes cut into sections by the lengths in the fixed part. Everything is little-endian, fixed offsets, no padding.
 *
 *     0        32            160                   184
 *     | header | task (128)  | fixed part of kind  | tail: filename | executable | directory | arguments
 *
 * `bpf/src/record.rs` reads these bytes with the same numbers; a test there reads the constants below from this text,
 * and the `_Static_assert`s at the end hold the structs to them. A change that is not an addition at the end of a
 * kind's fixed part raises KESTREL_RECORD_VERSION.
 *
 * Paths are sent as the walk finds them, the last component first: each component's bytes and a NUL. User space turns
 * them round. Arguments are the process's own bytes: each argument and a NUL.
 */
#ifndef KESTREL_RECORDS_H
#define KESTREL_RECORDS_H

#include <linux/types.h>

/* The numbers of the kinds, generated from the schema. */
#include "kestrel_schema.h"

#define KESTREL_RECORD_VERSION 1

/* Kinds are indices of the filter map and of the counters; this is their size. */
#define KESTREL_KIND_LIMIT 64

/* Limits, in bytes. A value past its limit is cut and its record flagged. */
#define KESTREL_PATH_LIMIT 4096
#define KESTREL_ARGUMENTS_LIMIT 65536
#define KESTREL_COMM_LIMIT 16

/* What a record says about its own quality: header.flags. */
#define KESTREL_FLAG_ARGUMENTS_TRUNCATED 1
#define KESTREL_FLAG_ARGUMENTS_UNREADABLE 2
#define KESTREL_FLAG_FILENAME_TRUNCATED 4
#define KESTREL_FLAG_FILENAME_UNREADABLE 8
#define KESTREL_FLAG_EXECUTABLE_TRUNCATED 16
#define KESTREL_FLAG_EXECUTABLE_UNREADABLE 32
#define KESTREL_FLAG_EXECUTABLE_UNLINKED 64
#define KESTREL_FLAG_DIRECTORY_TRUNCATED 128
#define KESTREL_FLAG_DIRECTORY_UNREADABLE 256
#define KESTREL_FLAG_DIRECTORY_UNLINKED 512
#define KESTREL_FLAG_TASK_UNREADABLE 1024

/* kestrel_task.flags */
#define KESTREL_TASK_KERNEL_THREAD 1

struct kestrel_header {
	__u16 version; /* KESTREL_RECORD_VERSION */
	__u16 kind; /* KESTREL_KIND_* */
	__u32 length; /* of the whole record, this header included */
	__u64 timestamp; /* nanoseconds since boot, suspend included (CLOCK_BOOTTIME) */
	__u64 sequence; /* counts the records of this CPU that the filter let through, from 1; a gap is a loss */
	__u32 cpu;
	__u32 flags; /* KESTREL_FLAG_* */
};

/* Who a record is about: for exec the process, for fork the child, for exit the process that ends. */
struct kestrel_task {
	__u64 start_time; /* of the process's first thread, CLOCK_BOOTTIME nanoseconds */
	__u64 parent_start_time;
	__u64 cgroup_id; /* of the v2 hierarchy; 0 without one */
	__u64 capabilities_permitted;
	__u64 capabilities_effective;
	__u32 pid; /* what the kernel calls tgid, in the initial PID namespace */
	__u32 parent_pid;
	__u32 session_id;
	__u32 group_id; /* process group */
	__u32 namespace_pid; /* the PID as the process itself sees it */
	__u32 user_id; /* real, in the initial user namespace, as are the next five */
	__u32 user_group_id;
	__u32 effective_user_id;
	__u32 effective_group_id;
	__u32 saved_user_id;
	__u32 saved_group_id;
	__u32 tty_major; /* controlling terminal; 0, 0 without one */
	__u32 tty_minor;
	__u32 mount_namespace; /* inode numbers, as in /proc/PID/ns */
	__u32 pid_namespace;
	__u32 network_namespace;
	__u32 flags; /* KESTREL_TASK_* */
	__u32 reserved;
	__u8 comm[KESTREL_COMM_LIMIT]; /* NUL-terminated */
};

struct kestrel_exec {
	struct kestrel_header header;
	struct kestrel_task task;
	__u32 arguments_total; /* true length of the argument area, before any cut */
	__u32 argument_count; /* argc */
	__u32 filename_length; /* of the sections of the tail, in their order */
	__u32 executable_length;
	__u32 directory_length;
	__u32 arguments_length;
	/* the tail */
};

struct kestrel_fork {
	struct kestrel_header header;
	struct kestrel_task task;
	__u64 creator_start_time; /* who called fork; not the parent after CLONE_PARENT */
	__u32 creator_pid;
	__u32 reserved;
};

struct kestrel_exit {
	struct kestrel_header header;
	struct kestrel_task task;
	__u32 status; /* as wait(2) gives it: exit code << 8 | signal, 0x80 for a core */
	__u32 reserved;
};

/* What became of the events of one kind; one such struct per kind and CPU. produced = ignored + filtered + dropped + sent. */
struct kestrel_counters {
	__u64 produced; /* events at the hook */
	__u64 ignored; /* the engine's own */
	__u64 filtered; /* switched off by the filter map */
	__u64 dropped; /* the ring was full */
	__u64 sent;
	__u64 arguments_truncated; /* of those sent or dropped */
	__u64 read_failed; /* of those sent or dropped: some value could not be read */
	__u64 internal; /* a map lookup that cannot fail did; counted as dropped too */
};

/* The one element of `kestrel_settings`. */
struct kestrel_settings {
	__u32 ignored_pid; /* the engine; 0 for nobody */
	__u32 reserved;
};

#define KESTREL_OFFSET(type, field, offset) \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
#define KESTREL_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

KESTREL_OFFSET(kestrel_header, version, 0);
KESTREL_OFFSET(kestrel_header, kind, 2);
KESTREL_OFFSET(kestrel_header, length, 4);
KESTREL_OFFSET(kestrel_header, timestamp, 8);
KESTREL_OFFSET(kestrel_header, sequence, 16);
KESTREL_OFFSET(kestrel_header, cpu, 24);
KESTREL_OFFSET(kestrel_header, flags, 28);
KESTREL_SIZE(kestrel_header, 32);

KESTREL_OFFSET(kestrel_task, start_time, 0);
KESTREL_OFFSET(kestrel_task, parent_start_time, 8);
KESTREL_OFFSET(kestrel_task, cgroup_id, 16);
KESTREL_OFFSET(kestrel_task, capabilities_permitted, 24);
KESTREL_OFFSET(kestrel_task, capabilities_effective, 32);
KESTREL_OFFSET(kestrel_task, pid, 40);
KESTREL_OFFSET(kestrel_task, parent_pid, 44);
KESTREL_OFFSET(kestrel_task, session_id, 48);
KESTREL_OFFSET(kestrel_task, group_id, 52);
KESTREL_OFFSET(kestrel_task, namespace_pid, 56);
KESTREL_OFFSET(kestrel_task, user_id, 60);
KESTREL_OFFSET(kestrel_task, user_group_id, 64);
KESTREL_OFFSET(kestrel_task, effective_user_id, 68);
KESTREL_OFFSET(kestrel_task, effective_group_id, 72);
KESTREL_OFFSET(kestrel_task, saved_user_id, 76);
KESTREL_OFFSET(kestrel_task, saved_group_id, 80);
KESTREL_OFFSET(kestrel_task, tty_major, 84);
KESTREL_OFFSET(kestrel_task, tty_minor, 88);
KESTREL_OFFSET(kestrel_task, mount_namespace, 92);
KESTREL_OFFSET(kestrel_task, pid_namespace, 96);
KESTREL_OFFSET(kestrel_task, network_namespace, 100);
KESTREL_OFFSET(kestrel_task, flags, 104);
KESTREL_OFFSET(kestrel_task, comm, 112);
KESTREL_SIZE(kestrel_task, 128);

KESTREL_OFFSET(kestrel_exec, arguments_total, 160);
KESTREL_OFFSET(kestrel_exec, argument_count, 164);
KESTREL_OFFSET(kestrel_exec, filename_length, 168);
KESTREL_OFFSET(kestrel_exec, executable_length, 172);
KESTREL_OFFSET(kestrel_exec, directory_length, 176);
KESTREL_OFFSET(kestrel_exec, arguments_length, 180);
KESTREL_SIZE(kestrel_exec, 184);

KESTREL_OFFSET(kestrel_fork, creator_start_time, 160);
KESTREL_OFFSET(kestrel_fork, creator_pid, 168);
KESTREL_SIZE(kestrel_fork, 176);

KESTREL_OFFSET(kestrel_exit, status, 160);
KESTREL_SIZE(kestrel_exit, 168);

KESTREL_OFFSET(kestrel_counters, produced, 0);
KESTREL_OFFSET(kestrel_counters, internal, 56);
KESTREL_SIZE(kestrel_counters, 64);

#endif
