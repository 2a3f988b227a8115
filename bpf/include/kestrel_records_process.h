/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fixed parts of the records about processes, and the sections of their tails. Included by kestrel_records.h.
 */
#ifndef KESTREL_RECORDS_PROCESS_H
#define KESTREL_RECORDS_PROCESS_H

/* Deeper cgroups lose the beginning of their path; what names a container stands at its end. */
#define KESTREL_CGROUP_LIMIT 1024
#define KESTREL_ARGUMENTS_LIMIT 65536
#define KESTREL_ENVIRONMENT_LIMIT 32768

/*
 * The sections of an exec record: text, path, path, the cgroup's path (below the root of its hierarchy, in the order of
 * paths), and two areas of texts that end with a NUL each.
 */
#define KESTREL_EXEC_FILENAME 0
#define KESTREL_EXEC_EXECUTABLE 1
#define KESTREL_EXEC_DIRECTORY 2
#define KESTREL_EXEC_CGROUP 3
#define KESTREL_EXEC_ARGUMENTS 4
#define KESTREL_EXEC_ENVIRONMENT 5

struct kestrel_exec {
	__u32 arguments_total; /* true length of the argument area, before any cut */
	__u32 argument_count; /* argc */
	__u32 environment_total; /* true length of the environment, sent or not */
};

/* The one section of a fork record: the cgroup's path, as that of an exec record. */
#define KESTREL_FORK_CGROUP 0

struct kestrel_fork {
	__u64 creator_start_time; /* who called fork; not the parent after CLONE_PARENT */
	__u32 creator_pid;
	__u32 reserved;
};

/* No sections. */
struct kestrel_exit {
	__u32 status; /* as wait(2) gives it: exit code << 8 | signal, 0x80 for a core */
};

/* Whom an act is aimed at. */
struct kestrel_target {
	__u64 start_time; /* of its first thread; 0 when only the number is known */
	__u32 pid; /* in the initial PID namespace */
	__u32 reserved;
};

/* No sections. One record for each process that gets the signal. */
struct kestrel_kill {
	struct kestrel_target target;
	__u32 signal;
	__u32 reserved;
};

/* No sections. */
struct kestrel_ptrace {
	struct kestrel_target target; /* after PTRACE_TRACEME the process itself */
	__u64 request; /* PTRACE_* of ptrace(2) */
};

/* The section of a memfd_create record: text, as the kernel shows it, such as `memfd:name`. */
#define KESTREL_MEMFD_NAME 0
#define KESTREL_TEXT_LIMIT 1024

struct kestrel_memfd {
	__u32 flags; /* MFD_* */
};

/* The sections of a load_module record: name and parameters as text, and the file's path, if there is a file. */
#define KESTREL_MODULE_NAME 0
#define KESTREL_MODULE_ARGUMENTS 1
#define KESTREL_MODULE_PATH 2

/* The section of mmap and mprotect records: the path of the file that is mapped, if any. */
#define KESTREL_MEMORY_PATH 0

struct kestrel_memory {
	__u64 address;
	__u64 length;
	__u32 protection; /* PROT_* */
	__u32 protection_old; /* mprotect: of the memory's first mapping */
	__u32 flags; /* mmap: MAP_* */
	__u32 known; /* bit 0: protection_old could be found out */
};

/* The section of a bpf record: the program's name, as text. */
#define KESTREL_BPF_NAME 0

struct kestrel_bpf {
	__u32 command; /* BPF_* of bpf(2) */
	__u32 program_type; /* BPF_PROG_TYPE_* */
};

KESTREL_OFFSET(kestrel_exec, arguments_total, 0);
KESTREL_OFFSET(kestrel_exec, argument_count, 4);
KESTREL_OFFSET(kestrel_exec, environment_total, 8);
KESTREL_SIZE(kestrel_exec, 12);

KESTREL_OFFSET(kestrel_fork, creator_start_time, 0);
KESTREL_OFFSET(kestrel_fork, creator_pid, 8);
KESTREL_SIZE(kestrel_fork, 16);

KESTREL_OFFSET(kestrel_exit, status, 0);
KESTREL_SIZE(kestrel_exit, 4);

KESTREL_OFFSET(kestrel_target, start_time, 0);
KESTREL_OFFSET(kestrel_target, pid, 8);
KESTREL_SIZE(kestrel_target, 16);

KESTREL_OFFSET(kestrel_kill, target, 0);
KESTREL_OFFSET(kestrel_kill, signal, 16);
KESTREL_SIZE(kestrel_kill, 24);

KESTREL_OFFSET(kestrel_ptrace, target, 0);
KESTREL_OFFSET(kestrel_ptrace, request, 16);
KESTREL_SIZE(kestrel_ptrace, 24);

KESTREL_OFFSET(kestrel_memfd, flags, 0);
KESTREL_SIZE(kestrel_memfd, 4);

KESTREL_OFFSET(kestrel_memory, address, 0);
KESTREL_OFFSET(kestrel_memory, length, 8);
KESTREL_OFFSET(kestrel_memory, protection, 16);
KESTREL_OFFSET(kestrel_memory, protection_old, 20);
KESTREL_OFFSET(kestrel_memory, flags, 24);
KESTREL_OFFSET(kestrel_memory, known, 28);
KESTREL_SIZE(kestrel_memory, 32);

KESTREL_OFFSET(kestrel_bpf, command, 0);
KESTREL_OFFSET(kestrel_bpf, program_type, 4);
KESTREL_SIZE(kestrel_bpf, 8);

#endif
