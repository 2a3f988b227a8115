/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The records that the kernel programs send to user space: the one ABI both sides share.
 *
 * Every record of every kind begins with the same 256 bytes: a header, the identity of the process it is about, the
 * lengths of the tail's sections, and 72 bytes for what only its kind has. Behind them stands the tail, cut into
 * sections; what the sections of a kind are is told with its struct. Everything is little-endian, fixed offsets.
 *
 *     0        32           160                     184                    256
 *     | header | task (128) | section lengths (6x4) | fixed part (72) of   | tail: section 0 | 1 | ... | 5
 *     |        |            |                       | the kind, 0 behind   |
 *
 * `bpf/src/layout.rs` has the same numbers; a test there reads the constants below and in kestrel_records_*.h from
 * their text, and the `_Static_assert`s at the end of each hold the structs to them. Fields may be added in the zeros
 * behind a kind's fixed part and kinds may be added; any other change raises KESTREL_RECORD_VERSION.
 *
 * A section that is a path is sent as the walk finds it, the last component first: each component's bytes and a NUL.
 * User space turns them round. Text is the process's own bytes.
 */
#ifndef KESTREL_RECORDS_H
#define KESTREL_RECORDS_H

#include <linux/types.h>

/* The numbers of the kinds, generated from the schema. */
#include "kestrel_schema.h"

#define KESTREL_RECORD_VERSION 2

/* Kinds are indices of the filter map and of the counters; this is their size. */
#define KESTREL_KINDS 64

/* Limits, in bytes. A value past its limit is cut and its record flagged. */
#define KESTREL_PATH_LIMIT 4096
#define KESTREL_COMM_LIMIT 16

/* Sections of a tail, and room for what only one kind has. */
#define KESTREL_SECTIONS 6
#define KESTREL_FIXED_SIZE 72

/*
 * What a record says about its own quality: header.flags. Three bits for each section, section n's shifted by 3 * n;
 * then what is about the whole.
 */
#define KESTREL_SECTION_TRUNCATED 1
#define KESTREL_SECTION_UNREADABLE 2
#define KESTREL_SECTION_UNLINKED 4
#define KESTREL_SECTION_FLAG(section, flag) ((flag) << (3 * (section)))
/* The process's number or start time could not be read. */
#define KESTREL_FLAG_TASK_UNREADABLE 262144
/* Something in the fixed part could not be read. */
#define KESTREL_FLAG_VALUE_UNREADABLE 524288
/* No rule wants it: it is sent for the process table alone. */
#define KESTREL_FLAG_UPKEEP 1048576
/* Bit 0 of every section, and bit 1. */
#define KESTREL_FLAGS_TRUNCATED 37449
#define KESTREL_FLAGS_UNREADABLE 74898

/* kestrel_task.flags */
#define KESTREL_TASK_KERNEL_THREAD 1
/* Who it is was remembered: the rest is as it was when the socket got its peer, or its question. */
#define KESTREL_TASK_REMEMBERED 2
/* Its standard input and its standard error are its controlling terminal. */
#define KESTREL_TASK_INTERACTIVE 4

#define KESTREL_OFFSET(type, field, offset) \
	_Static_assert(__builtin_offsetof(struct type, field) == (offset), #type "." #field)
#define KESTREL_SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)

struct kestrel_header {
	__u16 version; /* KESTREL_RECORD_VERSION */
	__u16 kind; /* KESTREL_KIND_* */
	__u32 length; /* of the whole record, this header included */
	__u64 timestamp; /* nanoseconds since boot, suspend included (CLOCK_BOOTTIME) */
	__u64 sequence; /* counts the records of this CPU that the filter let through, from 1; a gap is a loss */
	__u32 cpu;
	__u32 flags; /* KESTREL_FLAG_* */
};

/* Who a record is about: for fork the child, for exit the process that ends, for all others who acts. */
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
	__u32 thread_id; /* in the initial PID namespace */
	__u8 comm[KESTREL_COMM_LIMIT]; /* NUL-terminated */
};

/* What became of the events of one kind; one such struct per kind and CPU. produced = ignored + filtered + dropped + sent. */
struct kestrel_counters {
	__u64 produced; /* events at the hook */
	__u64 ignored; /* the engine's own */
	__u64 filtered; /* switched off by the filter map */
	__u64 dropped; /* the ring was full, or there was no scratch buffer */
	__u64 sent;
	__u64 truncated; /* of those sent or dropped: some section was cut */
	__u64 read_failed; /* of those sent or dropped: some value could not be read */
	__u64 internal; /* a map lookup that cannot fail did; counted as dropped too */
};

/* The one element of `kestrel_settings`. */
struct kestrel_settings {
	__u32 ignored_pid; /* the engine; 0 for nobody */
	__u32 environment; /* whether exec records carry the environment */
	__u32 reader_looks; /* 0: the reader is woken whenever it has read all; 1: it looks by itself */
	__u32 cgroup_paths; /* whether records of exec and fork carry the path of the cgroup */
	__u32 filter_half; /* which half of `kestrel_filters` is in use, 0 or 1 */
	__u32 reserved;
};

/* A table of keys; see kestrel_filter.h. */
#define KESTREL_FILTER_BITS 32768

#define KESTREL_FILTER_PATTERNS 64
#define KESTREL_FILTER_RANGES 64

/* What a name has in it: a bit for each two letters that follow each other, two for its begin and its end. */
struct kestrel_features {
	__u64 bits[2];
};

/* An address as a number, those of IPv4 mapped into IPv6. */
struct kestrel_address {
	__u64 high;
	__u64 low;
};

struct kestrel_addresses {
	struct kestrel_address first;
	struct kestrel_address last;
};

struct kestrel_ports {
	__u16 first;
	__u16 last;
};

struct kestrel_filter {
	__u32 tests; /* KESTREL_TEST_*; 0 lets everything through */
	__u32 file_patterns; /* how many there are */
	__u32 process_patterns;
	__u32 address_ranges[2]; /* of the source, of the destination; so are those below */
	__u32 port_ranges[2];
	__u32 reserved;
	__u64 bits[KESTREL_FILTER_BITS / 64];
	struct kestrel_features files[KESTREL_FILTER_PATTERNS]; /* what the names of wanted files have in them */
	struct kestrel_features processes[KESTREL_FILTER_PATTERNS];
	struct kestrel_addresses addresses[2][KESTREL_FILTER_RANGES];
	struct kestrel_ports ports[2][KESTREL_FILTER_RANGES];
};

/* Folders from the root on that are known of an executable's path. */
#define KESTREL_ACTOR_FOLDERS 4

/* What is known of a process that acts. */
struct kestrel_actor {
	__u64 start_ticks; /* as /proc/PID/stat counts them, so that user space can fill it in */
	__u64 name; /* hash of the last component of its executable's path */
	struct kestrel_features features; /* of that component */
	__u64 folders[KESTREL_ACTOR_FOLDERS]; /* hashes of the path's first components, 0 where there are fewer */
};

#include "kestrel_records_process.h"
#include "kestrel_records_network.h"
#include "kestrel_records_file.h"

/* One record without its tail. */
struct kestrel_record {
	struct kestrel_header header;
	struct kestrel_task task;
	__u32 sections[KESTREL_SECTIONS]; /* lengths */
	union {
		__u8 fixed[KESTREL_FIXED_SIZE];
		struct kestrel_exec exec;
		struct kestrel_fork fork;
		struct kestrel_exit exit;
		struct kestrel_network network;
		struct kestrel_kill kill;
		struct kestrel_ptrace ptrace;
		struct kestrel_memfd memfd;
		struct kestrel_memory memory;
		struct kestrel_bpf bpf;
		struct kestrel_file file;
	};
};

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
KESTREL_OFFSET(kestrel_task, thread_id, 108);
KESTREL_OFFSET(kestrel_task, comm, 112);
KESTREL_SIZE(kestrel_task, 128);

KESTREL_OFFSET(kestrel_record, task, 32);
KESTREL_OFFSET(kestrel_record, sections, 160);
KESTREL_OFFSET(kestrel_record, fixed, 184);
KESTREL_SIZE(kestrel_record, 256);

KESTREL_OFFSET(kestrel_settings, ignored_pid, 0);
KESTREL_OFFSET(kestrel_settings, environment, 4);
KESTREL_OFFSET(kestrel_settings, reader_looks, 8);
KESTREL_OFFSET(kestrel_settings, cgroup_paths, 12);
KESTREL_OFFSET(kestrel_settings, filter_half, 16);
KESTREL_SIZE(kestrel_settings, 24);

KESTREL_OFFSET(kestrel_filter, tests, 0);
KESTREL_OFFSET(kestrel_filter, file_patterns, 4);
KESTREL_OFFSET(kestrel_filter, process_patterns, 8);
KESTREL_OFFSET(kestrel_filter, address_ranges, 12);
KESTREL_OFFSET(kestrel_filter, port_ranges, 20);
KESTREL_OFFSET(kestrel_filter, bits, 32);
KESTREL_OFFSET(kestrel_filter, files, 4128);
KESTREL_OFFSET(kestrel_filter, processes, 5152);
KESTREL_OFFSET(kestrel_filter, addresses, 6176);
KESTREL_OFFSET(kestrel_filter, ports, 10272);
KESTREL_SIZE(kestrel_filter, 10784);
KESTREL_OFFSET(kestrel_actor, start_ticks, 0);
KESTREL_OFFSET(kestrel_actor, name, 8);
KESTREL_OFFSET(kestrel_actor, features, 16);
KESTREL_OFFSET(kestrel_actor, folders, 32);
KESTREL_SIZE(kestrel_actor, 64);

KESTREL_OFFSET(kestrel_counters, produced, 0);
KESTREL_OFFSET(kestrel_counters, internal, 56);
KESTREL_SIZE(kestrel_counters, 64);

#endif
