/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Files that are only named, at functions of the kernel (fentry and fexit): the path is the kernel's own, not the text that a
 * process gave and another thread may have changed since; what the file was like before is known; and calls that come
 * another way than by a system call are seen too. Kernels and containers that refuse these programs get the same events from
 * file.bpf.h, with fewer fields.
 */
#ifndef KESTREL_TIER_A_FILE_BPF_H
#define KESTREL_TIER_A_FILE_BPF_H

#include "file.bpf.h"

/* What is known of a file before something happens to it. */
struct kestrel_file_before {
	__u64 folder; /* removal: the struct path of the folder, on the stack of the thread that removes */
	__u64 dentry;
	__u64 inode;
	__u64 length;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 reserved;
};

/*
 * By thread, from the begin of a function to its end. A call that is refused in between leaves its entry, so the oldest must
 * give way, or refused calls could fill the map for good. What is not there at the end costs a change its original values,
 * and the record is flagged; of a removal the event, which is counted as dropped.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct kestrel_file_before);
} kestrel_file_befores SEC(".maps");

static __noinline int kestrel_file_remember(__u32 kind, struct dentry *dentry, __u64 folder)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_file_before before = { .folder = folder, .dentry = (__u64)dentry };
	struct kestrel_counters *counters;
	struct inode *inode;

	if (!kestrel_subscribed(kind))
		return 0;
	inode = BPF_CORE_READ(dentry, d_inode);
	before.inode = BPF_CORE_READ(inode, i_ino);
	before.length = BPF_CORE_READ(inode, i_size);
	before.mode = BPF_CORE_READ(inode, i_mode);
	before.uid = BPF_CORE_READ(inode, i_uid.val);
	before.gid = BPF_CORE_READ(inode, i_gid.val);
	if (bpf_map_update_elem(&kestrel_file_befores, &thread, &before, BPF_ANY) && folder) {
		counters = kestrel_admit(kind, kestrel_current_pid());
		if (counters)
			kestrel_count(&counters->dropped);
	}
	return 0;
}

/* Counts an event that happened and of which too little is known to tell it. */
static __always_inline void kestrel_file_lost(__u32 kind)
{
	struct kestrel_counters *counters = kestrel_admit(kind, kestrel_current_pid());

	if (counters)
		kestrel_count(&counters->dropped);
}

/* What was remembered of this dentry by this thread; it is forgotten. `missing` tells that this thread has nothing at all. */
static __always_inline bool kestrel_file_recall(struct dentry *dentry, struct kestrel_file_before *out, bool *missing)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_file_before *stored = bpf_map_lookup_elem(&kestrel_file_befores, &thread);

	*missing = !stored;
	/* A file system on top of another removes there too, which nobody asked for by name. */
	if (!stored || stored->dentry != (__u64)dentry)
		return false;
	*out = *stored;
	bpf_map_delete_elem(&kestrel_file_befores, &thread);
	return true;
}

/* ---------------------------------------------------------------- mode and owner */

SEC("fentry/chmod_common")
int BPF_PROG(kestrel_mode_begins, const struct path *path)
{
	return kestrel_file_remember(KESTREL_KIND_FILE_CHMOD, BPF_CORE_READ(path, dentry), 0);
}

SEC("fentry/chown_common")
int BPF_PROG(kestrel_owner_begins, const struct path *path)
{
	return kestrel_file_remember(KESTREL_KIND_FILE_CHOWN, BPF_CORE_READ(path, dentry), 0);
}

static __noinline int kestrel_path_changed(__u32 kind, const struct path *path, int result)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_file_before before;
	struct kestrel_file *out;
	bool known, missing;

	if (!kestrel_subscribed(kind))
		return 0;
	known = kestrel_file_recall(dentry, &before, &missing);
	if (result)
		return 0;
	scratch = kestrel_begin_current(kind, &counters);
	if (!scratch)
		return 0;
	out = &scratch->record.file;
	out->inode = BPF_CORE_READ(inode, i_ino);
	out->length = BPF_CORE_READ(inode, i_size);
	out->mode = BPF_CORE_READ(inode, i_mode);
	out->uid = BPF_CORE_READ(inode, i_uid.val);
	out->gid = BPF_CORE_READ(inode, i_gid.val);
	out->known = KESTREL_KNOWN_INODE | KESTREL_KNOWN_MODE | KESTREL_KNOWN_TYPE | KESTREL_KNOWN_UID |
		     KESTREL_KNOWN_GID;
	if (known) {
		out->original_mode = before.mode;
		out->original_uid = before.uid;
		out->original_gid = before.gid;
		out->known |= KESTREL_KNOWN_ORIGINAL;
	} else {
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	}
	kestrel_write_path(scratch, KESTREL_FILE_PATH, path, BPF_CORE_READ(kestrel_current(), fs));
	kestrel_send(scratch, counters, kind);
	return 0;
}

SEC("fexit/chmod_common")
int BPF_PROG(kestrel_mode_changed, const struct path *path, unsigned short mode, int result)
{
	return kestrel_path_changed(KESTREL_KIND_FILE_CHMOD, path, result);
}

SEC("fexit/chown_common")
int BPF_PROG(kestrel_owner_changed, const struct path *path, unsigned int user, unsigned int group, int result)
{
	return kestrel_path_changed(KESTREL_KIND_FILE_CHOWN, path, result);
}

/* ---------------------------------------------------------------- removal */

SEC("fentry/security_path_unlink")
int BPF_PROG(kestrel_unlink_begins, const struct path *folder, struct dentry *dentry)
{
	return kestrel_file_remember(KESTREL_KIND_FILE_DELETE, dentry, (__u64)folder);
}

SEC("fentry/security_path_rmdir")
int BPF_PROG(kestrel_rmdir_begins, const struct path *folder, struct dentry *dentry)
{
	return kestrel_file_remember(KESTREL_KIND_FILE_DELETE, dentry, (__u64)folder);
}

/* The folder's path stands on the stack of the caller, who still runs. */
static __noinline int kestrel_name_removed(struct dentry *dentry, int result)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_file_before before;
	struct kestrel_file *out;
	bool known, missing;

	known = kestrel_file_recall(dentry, &before, &missing);
	if (missing && !result && kestrel_subscribed(KESTREL_KIND_FILE_DELETE))
		kestrel_file_lost(KESTREL_KIND_FILE_DELETE);
	if (!known || result)
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_FILE_DELETE, &counters);
	if (!scratch)
		return 0;
	out = &scratch->record.file;
	out->inode = before.inode;
	out->length = before.length;
	out->mode = before.mode;
	out->uid = before.uid;
	out->gid = before.gid;
	out->known = KESTREL_KNOWN_INODE | KESTREL_KNOWN_TYPE;
	kestrel_write_path(scratch, KESTREL_FILE_PATH, (const struct path *)before.folder,
			   BPF_CORE_READ(kestrel_current(), fs));
	kestrel_write_text(scratch, KESTREL_FILE_NAME, BPF_CORE_READ(dentry, d_name.name));
	kestrel_send(scratch, counters, KESTREL_KIND_FILE_DELETE);
	return 0;
}

SEC("fexit/vfs_unlink")
int BPF_PROG(kestrel_unlinked, void *mapping, struct inode *folder, struct dentry *dentry, void *delegated, int result)
{
	return kestrel_name_removed(dentry, result);
}

SEC("fexit/vfs_rmdir")
int BPF_PROG(kestrel_folder_removed, void *mapping, struct inode *folder, struct dentry *dentry, int result)
{
	return kestrel_name_removed(dentry, result);
}

/* ---------------------------------------------------------------- rename */

struct kestrel_file_move {
	__u64 old_folder; /* the struct paths of both folders, on the stack of the thread that renames */
	__u64 new_folder;
	__u64 dentry;
	char name[KESTREL_NAME_LIMIT]; /* the old one: the dentry has the new one afterwards */
};

/* By thread, from the permission to the end; as above. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct kestrel_file_move);
} kestrel_file_moves SEC(".maps");

SEC("fentry/security_path_rename")
int BPF_PROG(kestrel_rename_begins, const struct path *old_folder, struct dentry *dentry, const struct path *new_folder)
{
	struct kestrel_file_move move = {
		.old_folder = (__u64)old_folder,
		.new_folder = (__u64)new_folder,
		.dentry = (__u64)dentry,
	};
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_counters *counters;

	if (!kestrel_subscribed(KESTREL_KIND_FILE_RENAME))
		return 0;
	bpf_probe_read_kernel_str(move.name, sizeof(move.name), BPF_CORE_READ(dentry, d_name.name));
	if (bpf_map_update_elem(&kestrel_file_moves, &thread, &move, BPF_ANY)) {
		counters = kestrel_admit(KESTREL_KIND_FILE_RENAME, kestrel_current_pid());
		if (counters)
			kestrel_count(&counters->dropped);
	}
	return 0;
}

static __noinline int kestrel_moved(struct kestrel_file_move *move, struct dentry *dentry)
{
	struct fs_struct *fs = BPF_CORE_READ(kestrel_current(), fs);
	struct inode *inode = BPF_CORE_READ(dentry, d_inode);
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_file *out;

	if (!move)
		return 0;
	scratch = kestrel_begin_current(KESTREL_KIND_FILE_RENAME, &counters);
	if (!scratch)
		return 0;
	out = &scratch->record.file;
	out->inode = BPF_CORE_READ(inode, i_ino);
	out->length = BPF_CORE_READ(inode, i_size);
	out->mode = BPF_CORE_READ(inode, i_mode);
	out->known = KESTREL_KNOWN_INODE | KESTREL_KNOWN_TYPE;
	kestrel_write_path(scratch, KESTREL_FILE_PATH, (const struct path *)move->new_folder, fs);
	kestrel_write_text(scratch, KESTREL_FILE_NAME, BPF_CORE_READ(dentry, d_name.name));
	kestrel_write_path(scratch, KESTREL_FILE_OTHER_PATH, (const struct path *)move->old_folder, fs);
	kestrel_write_text(scratch, KESTREL_FILE_OTHER_NAME, move->name);
	kestrel_send(scratch, counters, KESTREL_KIND_FILE_RENAME);
	return 0;
}

SEC("fexit/vfs_rename")
int BPF_PROG(kestrel_renamed, struct renamedata *data, int result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_file_move *move = bpf_map_lookup_elem(&kestrel_file_moves, &thread);
	struct dentry *dentry = BPF_CORE_READ(data, old_dentry);

	if (!move && !result && kestrel_subscribed(KESTREL_KIND_FILE_RENAME))
		kestrel_file_lost(KESTREL_KIND_FILE_RENAME);
	if (!move || move->dentry != (__u64)dentry)
		return 0;
	if (!result)
		kestrel_moved(move, dentry);
	bpf_map_delete_elem(&kestrel_file_moves, &thread);
	return 0;
}

#endif
