/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * System calls, seen at their end: whether they succeeded is known there, and the arguments still stand in the saved
 * registers. So nothing has to be remembered from the begin of a call to its end, and nothing can be lost in between.
 *
 * The kernel shows no 32-bit call of a 64-bit kernel (int 0x80, ia32) at these tracepoints.
 */
#ifndef KESTREL_SYSCALL_H
#define KESTREL_SYSCALL_H

#include "kestrel_maps.h"
#include "kestrel_task.h"

#include <bpf/bpf_core_read.h>

/* What the kernel hands a program at the end of a call. The first word is the saved registers', and not for reading. */
struct kestrel_leave {
	__u64 registers;
	__s32 number;
	__u32 reserved;
	__s64 result;
};

/* The same at the begin. */
struct kestrel_enter {
	__u64 registers;
	__s32 number;
	__u32 reserved;
	__u64 arguments[6];
};

struct kestrel_arguments {
	__u64 value[6];
};

/* The arguments of the call that ends. */
static __always_inline void kestrel_read_arguments(struct kestrel_leave *context, struct kestrel_arguments *out)
{
	struct pt_regs *registers = 0;

	/* A program may not load this word, but anybody may read kernel memory. */
	bpf_probe_read_kernel(&registers, sizeof(registers), context);
#if defined(__TARGET_ARCH_x86)
	out->value[0] = BPF_CORE_READ(registers, di);
	out->value[1] = BPF_CORE_READ(registers, si);
	out->value[2] = BPF_CORE_READ(registers, dx);
	out->value[3] = BPF_CORE_READ(registers, r10);
	out->value[4] = BPF_CORE_READ(registers, r8);
	out->value[5] = BPF_CORE_READ(registers, r9);
#else
#error "no system call arguments for this architecture"
#endif
}

static __always_inline struct task_struct *kestrel_current(void)
{
	return (struct task_struct *)bpf_get_current_task();
}

/* The process that the current thread belongs to. */
static __always_inline __u32 kestrel_current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* An event that has nothing but its actor. */
static __always_inline int kestrel_plain_event(__u32 kind)
{
	struct kestrel_counters *counters = kestrel_admit(kind, kestrel_current_pid());
	struct kestrel_scratch *scratch = counters ? kestrel_begin(counters) : 0;

	if (!scratch)
		return 0;
	kestrel_identify(scratch, kestrel_current());
	kestrel_send(scratch, counters, kind);
	return 0;
}

#endif
