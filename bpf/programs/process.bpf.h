/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What processes do to themselves and to each other: credentials, sessions, tracing, signals, modules, BPF programs.
 *
 * An event is what succeeded. Credentials are reported after every call that could change them; user space, which knows
 * what they were, leaves out the calls that changed nothing.
 */
#ifndef KESTREL_PROCESS_BPF_H
#define KESTREL_PROCESS_BPF_H

#include "kestrel_syscall.h"

SEC("tracepoint/syscalls/sys_exit_setsid")
int kestrel_setsid(struct kestrel_leave *context)
{
	return context->result > 0 ? kestrel_plain_event(KESTREL_KIND_SESSION_ID_CHANGE) : 0;
}

/* setuid, setreuid, setresuid. */
SEC("tracepoint/syscalls/sys_exit_setuid")
int kestrel_set_user(struct kestrel_leave *context)
{
	return context->result == 0 ? kestrel_plain_event(KESTREL_KIND_UID_CHANGE) : 0;
}

/* setgid, setregid, setresgid. */
SEC("tracepoint/syscalls/sys_exit_setgid")
int kestrel_set_group(struct kestrel_leave *context)
{
	return context->result == 0 ? kestrel_plain_event(KESTREL_KIND_GID_CHANGE) : 0;
}

/* include/uapi/asm-generic/siginfo.h: what a process sent itself, by kill, tgkill or sigqueue. */
#define SI_USER 0
#define SI_QUEUE -1
#define SI_TKILL -6

/*
 * Every signal passes here, the kernel's own too: those are told by their code. A signal to oneself is no event.
 */
SEC("tp_btf/signal_generate")
int BPF_PROG(kestrel_kill, int signal, struct kernel_siginfo *information, struct task_struct *target)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	int code;

	/* 0 and 1 are no addresses but say that the kernel itself sends (SEND_SIG_NOINFO, SEND_SIG_PRIV). */
	if ((unsigned long)information <= 1)
		return 0;
	code = BPF_CORE_READ(information, si_code);
	if (code != SI_USER && code != SI_QUEUE && code != SI_TKILL)
		return 0;
	if ((__u32)target->tgid == kestrel_current_pid())
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_KILL, &counters);
	if (!scratch)
		return 0;
	kestrel_write_target(&scratch->record.kill.target, target);
	scratch->record.kill.signal = signal;
	kestrel_send(scratch, counters, KESTREL_KIND_KILL);
	return 0;
}

/* include/uapi/linux/ptrace.h: what begins to trace, or changes whom it traces. Looking and stepping are no events. */
static __always_inline bool kestrel_is_grave(__u64 request)
{
	switch (request) {
	case 0: /* PTRACE_TRACEME */
	case 4: /* PTRACE_POKETEXT */
	case 5: /* PTRACE_POKEDATA */
	case 6: /* PTRACE_POKEUSR */
	case 13: /* PTRACE_SETREGS */
	case 15: /* PTRACE_SETFPREGS */
	case 16: /* PTRACE_ATTACH */
	case 0x4205: /* PTRACE_SETREGSET */
	case 0x4206: /* PTRACE_SEIZE */
		return true;
	}
	return false;
}

/* How many processes traced by one thread are looked at for the one that a request is about. */
#define KESTREL_TRACED_LIMIT 16

/*
 * The process that the current thread traces under the number `number`, which counts in the thread's own PID namespace.
 * The latest one stands first.
 */
static __noinline struct task_struct *kestrel_traced(struct task_struct *task, __u32 number)
{
	struct list_head *head = (void *)task + bpf_core_field_offset(struct task_struct, ptraced);
	struct list_head *entry = BPF_CORE_READ(task, ptraced.next);
	__u32 level = BPF_CORE_READ(task, thread_pid, level);

	for (int i = 0; i < KESTREL_TRACED_LIMIT && entry && entry != head; i++) {
		struct task_struct *traced = (void *)entry - bpf_core_field_offset(struct task_struct, ptrace_entry);
		struct upid *upid = (void *)BPF_CORE_READ(traced, thread_pid) +
				    bpf_core_field_offset(struct pid, numbers) +
				    (__u64)level * bpf_core_type_size(struct upid);

		if ((__u32)BPF_CORE_READ(upid, nr) == number)
			return traced;
		entry = BPF_CORE_READ(entry, next);
	}
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_ptrace")
int kestrel_ptrace(struct kestrel_leave *context)
{
	struct task_struct *task = kestrel_current(), *target;
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_ptrace *ptrace;

	if (context->result < 0)
		return 0;
	kestrel_read_arguments(&arguments);
	if (!kestrel_is_grave(arguments.value[0]))
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_PTRACE, &counters);
	if (!scratch)
		return 0;
	ptrace = &scratch->record.ptrace;
	ptrace->request = arguments.value[0];
	target = ptrace->request ? kestrel_traced(task, arguments.value[1]) : task;
	if (target) {
		kestrel_write_target(&ptrace->target, target);
	} else {
		ptrace->target.pid = arguments.value[1];
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	}
	kestrel_send(scratch, counters, KESTREL_KIND_PTRACE);
	return 0;
}

/* The name is the kernel's, from the new file: what the process wrote it from may be overwritten by now. */
SEC("tracepoint/syscalls/sys_exit_memfd_create")
int kestrel_memfd(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct file *file;

	if (context->result < 0)
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_MEMFD_CREATE, &counters);
	if (!scratch)
		return 0;
	kestrel_read_arguments(&arguments);
	scratch->record.memfd.flags = arguments.value[1];
	file = kestrel_file_of(kestrel_current(), context->result);
	kestrel_write_text(scratch, KESTREL_MEMFD_NAME, file ? BPF_CORE_READ(file, f_path.dentry, d_name.name) : 0);
	kestrel_send(scratch, counters, KESTREL_KIND_MEMFD_CREATE);
	return 0;
}

#define KESTREL_CALL_FINIT_MODULE 313 /* x86-64 */

/* Fires within init_module and finit_module, after the module was accepted and before its own code runs. */
SEC("tp_btf/module_load")
int BPF_PROG(kestrel_load_module, struct module *module)
{
	struct pt_regs *registers = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct task_struct *task = kestrel_current();
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch = kestrel_begin_current(KESTREL_KIND_LOAD_MODULE, &counters);
	struct file *file = 0;

	if (!scratch)
		return 0;
	kestrel_write_text(scratch, KESTREL_MODULE_NAME, (void *)module + bpf_core_field_offset(struct module, name));
	kestrel_write_text(scratch, KESTREL_MODULE_ARGUMENTS, BPF_CORE_READ(module, args));
	if (BPF_CORE_READ(registers, orig_ax) == KESTREL_CALL_FINIT_MODULE) {
		kestrel_read_arguments(&arguments);
		file = kestrel_file_of(task, arguments.value[0]);
	}
	if (file)
		kestrel_write_path(scratch, KESTREL_MODULE_PATH, &file->f_path, BPF_CORE_READ(task, fs));
	kestrel_send(scratch, counters, KESTREL_KIND_LOAD_MODULE);
	return 0;
}

/* Commands of bpf(2) that bring a program in or to its place. */
#define KESTREL_BPF_PROG_LOAD 5
#define KESTREL_BPF_PROG_ATTACH 8
#define KESTREL_BPF_RAW_TRACEPOINT_OPEN 17
#define KESTREL_BPF_LINK_CREATE 28

/*
 * Name and type are the kernel's own, from the program behind the descriptor: after PROG_LOAD the call's result, else a
 * word of the attributes.
 */
SEC("tracepoint/syscalls/sys_exit_bpf")
int kestrel_bpf(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct bpf_prog *program = 0;
	__s32 descriptor = context->result;
	struct file *file;
	__u64 offset = 0;

	if (context->result < 0)
		return 0;
	kestrel_read_arguments(&arguments);
	switch ((__u32)arguments.value[0]) {
	case KESTREL_BPF_PROG_LOAD:
	case KESTREL_BPF_LINK_CREATE: /* link_create.prog_fd */
		break;
	case KESTREL_BPF_PROG_ATTACH:
		offset = 4; /* attach_bpf_fd */
		break;
	case KESTREL_BPF_RAW_TRACEPOINT_OPEN:
		offset = 8; /* raw_tracepoint.prog_fd */
		break;
	default:
		return 0;
	}
	scratch = kestrel_begin_current(KESTREL_KIND_BPF, &counters);
	if (!scratch)
		return 0;
	scratch->record.bpf.command = arguments.value[0];
	if ((__u32)arguments.value[0] != KESTREL_BPF_PROG_LOAD &&
	    bpf_probe_read_user(&descriptor, sizeof(descriptor), (void *)(arguments.value[1] + offset)))
		descriptor = -1;
	file = kestrel_file_of(kestrel_current(), descriptor);
	if (file)
		program = BPF_CORE_READ(file, private_data);
	if (program) {
		scratch->record.bpf.program_type = BPF_CORE_READ(program, type);
		kestrel_write_text(scratch, KESTREL_BPF_NAME,
				   (void *)BPF_CORE_READ(program, aux) +
					   bpf_core_field_offset(struct bpf_prog_aux, name));
	} else {
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	}
	kestrel_send(scratch, counters, KESTREL_KIND_BPF);
	return 0;
}

#endif
