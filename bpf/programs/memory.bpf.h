/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Memory that can be executed: mapped so (mmap), or made so later (mprotect). All other mappings pass unseen.
 */
#ifndef KESTREL_MEMORY_BPF_H
#define KESTREL_MEMORY_BPF_H

#include "kestrel_syscall.h"

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20

SEC("tracepoint/syscalls/sys_exit_mmap")
int kestrel_mmap(struct kestrel_leave *context)
{
	struct task_struct *task = kestrel_current();
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_memory *memory;
	struct file *file = 0;

	if (kestrel_failed(context->result))
		return 0;
	kestrel_read_arguments(&arguments);
	if (!(arguments.value[2] & PROT_EXEC))
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_MMAP, &counters);
	if (!scratch)
		return 0;
	memory = &scratch->record.memory;
	memory->address = context->result;
	memory->length = arguments.value[1];
	memory->protection = arguments.value[2];
	memory->flags = arguments.value[3];
	if (!(memory->flags & MAP_ANONYMOUS))
		file = kestrel_file_of(task, arguments.value[4]);
	if (file)
		kestrel_write_path(scratch, KESTREL_MEMORY_PATH, &file->f_path, BPF_CORE_READ(task, fs));
	kestrel_send(scratch, counters, KESTREL_KIND_MMAP);
	return 0;
}

/* What memory was before a call of mprotect changes it. */
struct kestrel_before {
	__u32 protection;
	__u32 known;
	struct file *file; /* of the mapping; only looked at, and the thread that maps it is still in its call */
};

/*
 * By thread, from the begin of a call to its end. A full map, or a walk of the memory map that must wait for a lock,
 * costs the values, never the event: its record is flagged and says that they are not known.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct kestrel_before);
} kestrel_before SEC(".maps");

/* Low bits of vm_flags are VM_READ, VM_WRITE, VM_EXEC, which are PROT_*. */
static long kestrel_look_at_mapping(struct task_struct *task, struct vm_area_struct *mapping, void *context)
{
	struct kestrel_before *before = context;

	before->protection = BPF_CORE_READ(mapping, vm_flags) & 7;
	before->file = BPF_CORE_READ(mapping, vm_file);
	before->known = 1;
	return 0;
}

/* mprotect and pkey_mprotect, whose first three arguments are the same. */
SEC("tracepoint/syscalls/sys_enter_mprotect")
int kestrel_mprotect_begins(struct kestrel_enter *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_before before = {};

	if (!(context->arguments[2] & PROT_EXEC) || !kestrel_subscribed(KESTREL_KIND_MPROTECT))
		return 0;
	bpf_find_vma((void *)bpf_get_current_task_btf(), context->arguments[0], kestrel_look_at_mapping, &before, 0);
	if (before.known)
		bpf_map_update_elem(&kestrel_before, &thread, &before, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_mprotect")
int kestrel_mprotect(struct kestrel_leave *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_before *before, copy = {};
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_memory *memory;

	kestrel_read_arguments(&arguments);
	if (!(arguments.value[2] & PROT_EXEC))
		return 0;
	before = bpf_map_lookup_elem(&kestrel_before, &thread);
	if (before) {
		copy = *before;
		bpf_map_delete_elem(&kestrel_before, &thread);
	}
	if (context->result)
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_MPROTECT, &counters);
	if (!scratch)
		return 0;
	memory = &scratch->record.memory;
	memory->address = arguments.value[0];
	memory->length = arguments.value[1];
	memory->protection = arguments.value[2];
	memory->protection_old = copy.protection;
	memory->known = copy.known;
	if (!copy.known)
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	if (copy.file)
		kestrel_write_path(scratch, KESTREL_MEMORY_PATH, &copy.file->f_path,
				   BPF_CORE_READ(kestrel_current(), fs));
	kestrel_send(scratch, counters, KESTREL_KIND_MPROTECT);
	return 0;
}

#endif
