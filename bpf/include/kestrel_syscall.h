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

/* What the kernel hands a program at the end of a call. The first word is not for reading. */
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

/* The arguments of a call, from its saved registers. */
static __always_inline void kestrel_saved_arguments(struct pt_regs *registers, struct kestrel_arguments *out)
{
#if defined(__TARGET_ARCH_x86)
	out->value[0] = registers->di;
	out->value[1] = registers->si;
	out->value[2] = registers->dx;
	out->value[3] = registers->r10;
	out->value[4] = registers->r8;
	out->value[5] = registers->r9;
#else
#error "no system call arguments for this architecture"
#endif
}

/*
 * The arguments of the call that the current thread is in, at its end too. (What a program at a system call tracepoint
 * gets as registers are those of the tracepoint's caller, not the process's.)
 */
static __always_inline void kestrel_read_arguments(struct kestrel_arguments *out)
{
	kestrel_saved_arguments((void *)bpf_task_pt_regs(bpf_get_current_task_btf()), out);
}

/* Whether a call gave an error, for calls whose results may be any address. */
static __always_inline bool kestrel_failed(__s64 result)
{
	return result < 0 && result >= -4095;
}

static __always_inline struct task_struct *kestrel_current(void)
{
	return (struct task_struct *)bpf_get_current_task_btf();
}

/* The process that the current thread belongs to. */
static __always_inline __u32 kestrel_current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* Admits an event of the current process and begins its record; NULL when nobody wants it. */
static __always_inline struct kestrel_scratch *kestrel_begin_current(__u32 kind, struct kestrel_counters **counters)
{
	struct kestrel_scratch *scratch;

	*counters = kestrel_admit(kind, kestrel_current_pid());
	scratch = *counters ? kestrel_begin(*counters) : 0;
	if (scratch)
		kestrel_identify(scratch, kestrel_current());
	return scratch;
}

/* Copies kernel text as section `section`, KESTREL_TEXT_LIMIT bytes at most. */
static __noinline void kestrel_write_text(struct kestrel_scratch *scratch, __u32 section, const void *text)
{
	__u64 cursor = scratch->cursor;
	long length;

	kestrel_hide(cursor);
	if (!text || cursor > KESTREL_TAIL_LIMIT - KESTREL_TEXT_LIMIT) {
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
		return;
	}
	length = bpf_probe_read_kernel_str(&scratch->tail[cursor], KESTREL_TEXT_LIMIT, text);
	if (length < 0) {
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
		return;
	}
	if (length == KESTREL_TEXT_LIMIT)
		kestrel_flag_section(scratch, section, KESTREL_SECTION_TRUNCATED);
	kestrel_end_section(scratch, section, cursor + length);
}

/* An event that has nothing but its actor. */
static __noinline int kestrel_plain_event(__u32 kind)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch = kestrel_begin_current(kind, &counters);

	if (scratch)
		kestrel_send(scratch, counters, kind);
	return 0;
}

#endif
