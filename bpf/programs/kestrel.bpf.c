// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The kernel programs: one per tracepoint, each a thin sequence of ask the filter, fill, seal, send.
 *
 * Exec, fork and exit are events of processes: threads come and go unseen. A value that cannot be read is a flag on its
 * record, never a missing record.
 */
#include "kestrel_types.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "kestrel_maps.h"
#include "kestrel_path.h"
#include "kestrel_task.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Keeps the compiler from reasoning about a bound it was shown, so that the verifier gets to see it too. */
#define kestrel_hide(variable) asm volatile("" : "+r"(variable))

static __always_inline void kestrel_fill_arguments(struct kestrel_scratch *scratch, __u32 cursor,
						   struct task_struct *task)
{
	struct kestrel_exec *exec = &scratch->exec;
	__u64 start = BPF_CORE_READ(task, mm, arg_start);
	__u64 end = BPF_CORE_READ(task, mm, arg_end);
	__u64 length = end > start ? end - start : 0;

	exec->arguments_total = length > 0xffffffff ? 0xffffffff : length;
	exec->arguments_length = 0;
	if (length > KESTREL_ARGUMENTS_LIMIT) {
		length = KESTREL_ARGUMENTS_LIMIT;
		exec->header.flags |= KESTREL_FLAG_ARGUMENTS_TRUNCATED;
	}
	kestrel_hide(length);
	if (!start || length > KESTREL_ARGUMENTS_LIMIT || cursor > KESTREL_PATHS_LIMIT ||
	    bpf_probe_read_user(&scratch->tail[cursor], length, (void *)start)) {
		exec->header.flags |= KESTREL_FLAG_ARGUMENTS_UNREADABLE;
		return;
	}
	exec->arguments_length = length;
}

static __always_inline __u32 kestrel_fill_filename(struct kestrel_scratch *scratch, struct linux_binprm *bprm)
{
	const char *filename = BPF_CORE_READ(bprm, filename);
	long length = bpf_probe_read_kernel_str(scratch->tail, KESTREL_PATH_LIMIT, filename);

	if (length < 0) {
		scratch->exec.header.flags |= KESTREL_FLAG_FILENAME_UNREADABLE;
		return 0;
	}
	if (length == KESTREL_PATH_LIMIT)
		scratch->exec.header.flags |= KESTREL_FLAG_FILENAME_TRUNCATED;
	return length;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(kestrel_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct kestrel_counters *counters = kestrel_admit(KESTREL_KIND_EXEC, task->tgid);
	struct kestrel_scratch *scratch;
	struct kestrel_exec *exec;
	__u32 executable, directory, cursor, flags;
	struct fs_struct *fs;
	__u64 length;

	if (!counters)
		return 0;
	scratch = bpf_map_lookup_elem(&kestrel_scratch, &cpu);
	if (!scratch) {
		counters->dropped++;
		counters->internal++;
		return 0;
	}
	exec = &scratch->exec;
	exec->header.flags = kestrel_identify(task, &exec->task);
	exec->argument_count = BPF_CORE_READ(bprm, argc);
	exec->filename_length = kestrel_fill_filename(scratch, bprm);

	fs = BPF_CORE_READ(task, fs);
	executable = exec->filename_length;
	directory = kestrel_write_path(scratch, executable, &BPF_CORE_READ(task, mm, exe_file)->f_path, fs,
				       KESTREL_FLAG_EXECUTABLE_TRUNCATED, KESTREL_FLAG_EXECUTABLE_UNREADABLE,
				       KESTREL_FLAG_EXECUTABLE_UNLINKED);
	exec->executable_length = directory - executable;
	cursor = kestrel_write_path(scratch, directory, &fs->pwd, fs, KESTREL_FLAG_DIRECTORY_TRUNCATED,
				    KESTREL_FLAG_DIRECTORY_UNREADABLE, KESTREL_FLAG_DIRECTORY_UNLINKED);
	exec->directory_length = cursor - directory;
	kestrel_fill_arguments(scratch, cursor, task);

	length = sizeof(*exec) + (__u64)cursor + exec->arguments_length;
	kestrel_hide(length);
	if (length > sizeof(*exec) + KESTREL_TAIL_LIMIT)
		length = sizeof(*exec) + KESTREL_TAIL_LIMIT; /* cannot happen: each part keeps to its limit */
	flags = exec->header.flags;
	kestrel_seal(&exec->header, KESTREL_KIND_EXEC, length, flags);
	kestrel_sent(counters, flags, bpf_ringbuf_output(&kestrel_ring, exec, length, 0));
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(kestrel_fork, struct task_struct *creator, struct task_struct *child)
{
	struct kestrel_fork record = {};
	struct kestrel_counters *counters;
	__u32 flags;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	counters = kestrel_admit(KESTREL_KIND_FORK, 0); /* the child is news even when the engine is the creator */
	if (!counters)
		return 0;
	flags = kestrel_identify(child, &record.task);
	record.creator_pid = creator->tgid;
	record.creator_start_time = BPF_CORE_READ(creator, group_leader, start_boottime);
	kestrel_seal(&record.header, KESTREL_KIND_FORK, sizeof(record), flags);
	kestrel_sent(counters, flags, bpf_ringbuf_output(&kestrel_ring, &record, sizeof(record), 0));
	return 0;
}

static __always_inline int kestrel_process_exit(struct task_struct *task)
{
	struct kestrel_exit record = {};
	struct kestrel_counters *counters = kestrel_admit(KESTREL_KIND_EXIT, task->tgid);
	struct signal_struct *signal;
	__u32 flags;

	if (!counters)
		return 0;
	flags = kestrel_identify(task, &record.task);
	signal = BPF_CORE_READ(task, signal);
	/* As wait_task_zombie in kernel/exit.c puts it together. */
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		record.status = BPF_CORE_READ(signal, group_exit_code);
	else
		record.status = BPF_CORE_READ(task, group_leader, exit_code);
	kestrel_seal(&record.header, KESTREL_KIND_EXIT, sizeof(record), flags);
	kestrel_sent(counters, flags, bpf_ringbuf_output(&kestrel_ring, &record, sizeof(record), 0));
	return 0;
}

/* Linux 6.16 and later say which thread was the last. User space tries this program first. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(kestrel_exit, struct task_struct *task, bool group_dead)
{
	return group_dead ? kestrel_process_exit(task) : 0;
}

/*
 * Before that, the count of threads says so. Two last threads that end at the same instant can both see 0: then there
 * are two records, and user space keeps the first.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(kestrel_exit_by_count, struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) ? 0 : kestrel_process_exit(task);
}
