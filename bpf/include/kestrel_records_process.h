/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fixed parts of the records about processes, and the sections of their tails. Included by kestrel_records.h.
 */
#ifndef KESTREL_RECORDS_PROCESS_H
#define KESTREL_RECORDS_PROCESS_H

#define KESTREL_ARGUMENTS_LIMIT 65536
#define KESTREL_ENVIRONMENT_LIMIT 32768

/* The sections of an exec record: text, path, path, and two areas of texts that end with a NUL each. */
#define KESTREL_EXEC_FILENAME 0
#define KESTREL_EXEC_EXECUTABLE 1
#define KESTREL_EXEC_DIRECTORY 2
#define KESTREL_EXEC_ARGUMENTS 3
#define KESTREL_EXEC_ENVIRONMENT 4

struct kestrel_exec {
	__u32 arguments_total; /* true length of the argument area, before any cut */
	__u32 argument_count; /* argc */
	__u32 environment_total; /* true length of the environment, sent or not */
};

/* No sections. */
struct kestrel_fork {
	__u64 creator_start_time; /* who called fork; not the parent after CLONE_PARENT */
	__u32 creator_pid;
	__u32 reserved;
};

/* No sections. */
struct kestrel_exit {
	__u32 status; /* as wait(2) gives it: exit code << 8 | signal, 0x80 for a core */
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

#endif
