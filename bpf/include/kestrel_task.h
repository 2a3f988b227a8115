/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reads who a task is. Tasks come as the kernel's typed pointers, through which a program may load directly: that takes a
 * nanosecond, and a probe read ten. Either way a pointer that is gone gives zeros, never a missing record.
 */
#ifndef KESTREL_TASK_H
#define KESTREL_TASK_H

#include "kestrel_maps.h"

#include <bpf/bpf_core_read.h>

/* The number of a process, a group or a session in the initial PID namespace. */
static __always_inline __u32 kestrel_pid_number(struct signal_struct *signal, int type)
{
	struct pid *pid = signal->pids[type];

	return BPF_CORE_READ(pid, numbers[0].nr);
}

/* The innermost number of a process and the namespace it belongs to. */
static __always_inline void kestrel_namespace_pid(struct signal_struct *signal, struct kestrel_task *out)
{
	/* By a probe read, because Linux 6.1 refuses to add a number that is not constant to a typed pointer. */
	struct pid *pid = BPF_CORE_READ(signal, pids[PIDTYPE_TGID]);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid *innermost = (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				 (__u64)level * bpf_core_type_size(struct upid);

	out->namespace_pid = BPF_CORE_READ(innermost, nr);
	out->pid_namespace = BPF_CORE_READ(innermost, ns, ns.inum);
}

static __always_inline void kestrel_credentials(struct task_struct *task, struct kestrel_task *out)
{
	const struct cred *cred = task->cred;

	out->user_id = cred->uid.val;
	out->user_group_id = cred->gid.val;
	out->effective_user_id = cred->euid.val;
	out->effective_group_id = cred->egid.val;
	out->saved_user_id = cred->suid.val;
	out->saved_group_id = cred->sgid.val;
	/* 8 bytes: `u64 val` since 6.3, `u32 cap[2]` before. Only the field's place is relocated, not what is in it. */
	bpf_core_read(&out->capabilities_permitted, 8, &cred->cap_permitted);
	bpf_core_read(&out->capabilities_effective, 8, &cred->cap_effective);
}

/* Whom an act of another process is aimed at. */
static __always_inline void kestrel_write_target(struct kestrel_target *out, struct task_struct *task)
{
	out->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	out->pid = BPF_CORE_READ(task, tgid);
}

/* The open file behind a descriptor of `task`, or NULL. */
static __noinline struct file *kestrel_file_of(struct task_struct *task, __s32 descriptor)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = 0;

	if (descriptor < 0 || !table || (__u32)descriptor >= table->max_fds)
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), table->fd + descriptor);
	return file;
}

#define KESTREL_S_IFMT 0170000
#define KESTREL_S_IFCHR 0020000
/* The kernel's own form of a device's number. */
#define KESTREL_DEVICE(major, minor) ((__u32)(major) << 20 | (__u32)(minor))

/* Whether a descriptor is the terminal `device`, by that name or as /dev/tty or /dev/console. */
static __noinline bool kestrel_is_terminal(struct task_struct *task, __s32 descriptor, __u32 device)
{
	struct file *file = kestrel_file_of(task, descriptor);
	struct inode *inode;
	__u32 found;

	if (!file)
		return false;
	inode = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & KESTREL_S_IFMT) != KESTREL_S_IFCHR)
		return false;
	found = BPF_CORE_READ(inode, i_rdev);
	return found == device || found == KESTREL_DEVICE(5, 0) || found == KESTREL_DEVICE(5, 1);
}

/* Writes into the record who `task`, or the process that it is a thread of, is. */
static __noinline void kestrel_identify(struct kestrel_scratch *scratch, struct task_struct *task)
{
	struct kestrel_task *out = &scratch->record.task;
	struct task_struct *leader = task->group_leader;
	struct task_struct *parent = leader->real_parent;
	struct signal_struct *signal = task->signal;
	struct tty_struct *tty = signal->tty;
	__u32 device;

	out->start_time = leader->start_boottime;
	out->parent_start_time = parent->group_leader->start_boottime;
	out->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	out->pid = task->tgid;
	out->parent_pid = parent->tgid;
	out->session_id = kestrel_pid_number(signal, PIDTYPE_SID);
	out->group_id = kestrel_pid_number(signal, PIDTYPE_PGID);
	kestrel_namespace_pid(signal, out);
	kestrel_credentials(task, out);
	out->flags = task->flags & PF_KTHREAD ? KESTREL_TASK_KERNEL_THREAD : 0;
	out->tty_major = 0;
	out->tty_minor = 0;
	if (tty) {
		out->tty_major = tty->driver->major;
		out->tty_minor = tty->driver->minor_start + tty->index;
		device = KESTREL_DEVICE(out->tty_major, out->tty_minor);
		if (kestrel_is_terminal(task, 0, device) && kestrel_is_terminal(task, 2, device))
			out->flags |= KESTREL_TASK_INTERACTIVE;
	}
	/* Gone when a process ends. */
	out->mount_namespace = BPF_CORE_READ(task, nsproxy, mnt_ns, ns.inum);
	out->network_namespace = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
	out->thread_id = task->pid;
	__builtin_memset(out->comm, 0, sizeof(out->comm));
	bpf_core_read_str(out->comm, sizeof(out->comm), &leader->comm);
	if (!out->pid || !out->start_time)
		scratch->record.header.flags |= KESTREL_FLAG_TASK_UNREADABLE;
}

#endif
