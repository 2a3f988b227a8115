/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Exec, fork and exit: the life of processes. Threads come and go unseen.
 */
#ifndef KESTREL_EXEC_BPF_H
#define KESTREL_EXEC_BPF_H

/* Filename, executable, directory, cgroup. */
#define KESTREL_EXEC_PATHS_LIMIT (KESTREL_PATH_LIMIT * 3 + KESTREL_CGROUP_LIMIT)
#define KESTREL_EXEC_TAIL_LIMIT \
	(KESTREL_EXEC_PATHS_LIMIT + (__u64)KESTREL_ARGUMENTS_LIMIT + KESTREL_ENVIRONMENT_LIMIT)

/*
 * Copies an area of the new process's memory as section `section`, `limit` bytes at most; gives its true length. `cursor`
 * must stay below `room`.
 */
static __always_inline __u32 kestrel_fill_area(struct kestrel_exec_scratch *scratch, __u32 section, __u64 start,
					       __u64 end, __u64 limit, __u64 room)
{
	__u64 length = end > start ? end - start : 0;
	__u64 cursor = scratch->base.cursor;
	__u32 total = length > 0xffffffff ? 0xffffffff : length;

	if (length > limit) {
		length = limit;
		kestrel_flag_section(&scratch->base, section, KESTREL_SECTION_TRUNCATED);
	}
	kestrel_hide(length);
	kestrel_hide(cursor);
	if (!start || length > limit || cursor > room ||
	    bpf_probe_read_user((void *)scratch + __builtin_offsetof(struct kestrel_scratch, tail) + cursor, length,
				(void *)start)) {
		kestrel_flag_section(&scratch->base, section, KESTREL_SECTION_UNREADABLE);
		return total;
	}
	kestrel_end_section(&scratch->base, section, cursor + length);
	return total;
}

static __always_inline void kestrel_fill_filename(struct kestrel_scratch *scratch, struct linux_binprm *bprm)
{
	const char *filename = BPF_CORE_READ(bprm, filename);
	long length = bpf_probe_read_kernel_str(scratch->tail, KESTREL_PATH_LIMIT, filename);

	if (length < 0) {
		kestrel_flag_section(scratch, KESTREL_EXEC_FILENAME, KESTREL_SECTION_UNREADABLE);
		return;
	}
	if (length == KESTREL_PATH_LIMIT)
		kestrel_flag_section(scratch, KESTREL_EXEC_FILENAME, KESTREL_SECTION_TRUNCATED);
	kestrel_end_section(scratch, KESTREL_EXEC_FILENAME, length);
}

/* How deep a cgroup may be for its whole path to be sent. */
#define KESTREL_CGROUP_STEPS 16

static __always_inline struct kernfs_node *kestrel_cgroup_above(struct kernfs_node *node)
{
	struct kernfs_node___renamed *renamed = (void *)node;

	if (bpf_core_field_exists(renamed->__parent))
		return BPF_CORE_READ(renamed, __parent);
	return BPF_CORE_READ(node, parent);
}

/* Writes the path of the task's cgroup, in the hierarchy of version 2, the last component first. */
static __noinline void kestrel_write_cgroup(struct kestrel_scratch *scratch, __u32 section, struct task_struct *task)
{
	struct kernfs_node *node = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn);
	__u64 cursor = scratch->cursor, limit = cursor + KESTREL_CGROUP_LIMIT - KESTREL_NAME_LIMIT;

	for (int step = 0; step < KESTREL_CGROUP_STEPS; step++) {
		struct kernfs_node *above = node ? kestrel_cgroup_above(node) : 0;
		long length;

		if (!above) {
			/* The root has no name, and is no component. */
			kestrel_end_section(scratch, section, cursor);
			return;
		}
		kestrel_hide(cursor);
		if (cursor > limit || cursor > KESTREL_TAIL_LIMIT)
			break;
		length = bpf_probe_read_kernel_str(&scratch->tail[cursor], KESTREL_NAME_LIMIT, BPF_CORE_READ(node, name));
		if (length <= 0) {
			kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
			kestrel_end_section(scratch, section, cursor);
			return;
		}
		cursor += length;
		node = above;
	}
	kestrel_flag_section(scratch, section, KESTREL_SECTION_TRUNCATED);
	kestrel_end_section(scratch, section, cursor);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(kestrel_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct kestrel_counters *counters = kestrel_admit(KESTREL_KIND_EXEC, task->tgid);
	struct kestrel_settings *settings = kestrel_get_settings();
	struct kestrel_exec_scratch *scratch;
	struct kestrel_exec *exec;
	struct fs_struct *fs;
	__u64 start, end;
	__u32 executable;

	if (!counters)
		return 0;
	scratch = bpf_map_lookup_elem(&kestrel_exec_scratch, &cpu);
	if (!scratch || !settings) {
		kestrel_count(&counters->dropped);
		kestrel_count(&counters->internal);
		return 0;
	}
	kestrel_clear(&scratch->base);
	kestrel_identify(&scratch->base, task);
	exec = &scratch->base.record.exec;
	exec->argument_count = BPF_CORE_READ(bprm, argc);
	kestrel_fill_filename(&scratch->base, bprm);
	fs = BPF_CORE_READ(task, fs);
	executable = scratch->base.cursor;
	kestrel_write_path(&scratch->base, KESTREL_EXEC_EXECUTABLE, &BPF_CORE_READ(task, mm, exe_file)->f_path, fs);
	kestrel_note_actor(&scratch->base, KESTREL_EXEC_EXECUTABLE, executable);
	kestrel_write_path(&scratch->base, KESTREL_EXEC_DIRECTORY, &fs->pwd, fs);
	if (settings->cgroup_paths)
		kestrel_write_cgroup(&scratch->base, KESTREL_EXEC_CGROUP, task);
	start = BPF_CORE_READ(task, mm, arg_start);
	end = BPF_CORE_READ(task, mm, arg_end);
	exec->arguments_total = kestrel_fill_area(scratch, KESTREL_EXEC_ARGUMENTS, start, end, KESTREL_ARGUMENTS_LIMIT,
						  KESTREL_EXEC_PATHS_LIMIT);
	start = BPF_CORE_READ(task, mm, env_start);
	end = BPF_CORE_READ(task, mm, env_end);
	exec->environment_total = end > start ? end - start : 0;
	if (settings->environment)
		kestrel_fill_area(scratch, KESTREL_EXEC_ENVIRONMENT, start, end, KESTREL_ENVIRONMENT_LIMIT,
				  KESTREL_EXEC_PATHS_LIMIT + KESTREL_ARGUMENTS_LIMIT);
	kestrel_send_limited(&scratch->base, counters, KESTREL_KIND_EXEC, KESTREL_EXEC_TAIL_LIMIT);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(kestrel_fork, struct task_struct *creator, struct task_struct *child)
{
	struct kestrel_counters *counters;
	struct kestrel_settings *settings;
	struct kestrel_scratch *scratch;

	if (child->pid != child->tgid)
		return 0; /* a thread */
	counters = kestrel_admit(KESTREL_KIND_FORK, 0); /* the child is news even when the engine is the creator */
	scratch = counters ? kestrel_begin(counters) : 0;
	if (!scratch)
		return 0;
	kestrel_identify(scratch, child);
	kestrel_copy_actor(creator->tgid, BPF_CORE_READ(creator, group_leader, start_boottime), &scratch->record.task);
	scratch->record.fork.creator_pid = creator->tgid;
	scratch->record.fork.creator_start_time = BPF_CORE_READ(creator, group_leader, start_boottime);
	settings = kestrel_get_settings();
	if (settings && settings->cgroup_paths)
		kestrel_write_cgroup(scratch, KESTREL_FORK_CGROUP, child);
	kestrel_send(scratch, counters, KESTREL_KIND_FORK);
	return 0;
}

static __always_inline int kestrel_process_exit(struct task_struct *task)
{
	struct kestrel_counters *counters = kestrel_admit(KESTREL_KIND_EXIT, task->tgid);
	struct kestrel_scratch *scratch = counters ? kestrel_begin(counters) : 0;
	struct signal_struct *signal;

	kestrel_forget_actor(task->tgid);
	if (!scratch)
		return 0;
	kestrel_identify(scratch, task);
	signal = BPF_CORE_READ(task, signal);
	/* As wait_task_zombie in kernel/exit.c puts it together. */
	if (BPF_CORE_READ(signal, flags) & SIGNAL_GROUP_EXIT)
		scratch->record.exit.status = BPF_CORE_READ(signal, group_exit_code);
	else
		scratch->record.exit.status = BPF_CORE_READ(task, group_leader, exit_code);
	kestrel_send(scratch, counters, KESTREL_KIND_EXIT);
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

#endif
