/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What processes do to themselves and to each other: credentials, sessions, tracing, signals, memory.
 */
#ifndef KESTREL_PROCESS_BPF_H
#define KESTREL_PROCESS_BPF_H

#include "kestrel_syscall.h"

SEC("tracepoint/syscalls/sys_exit_setsid")
int kestrel_setsid(struct kestrel_leave *context)
{
	return context->result > 0 ? kestrel_plain_event(KESTREL_KIND_SESSION_ID_CHANGE) : 0;
}

#endif
