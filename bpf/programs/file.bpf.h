/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Files, at the ends of system calls. What is open is named by the kernel's own path. What is only named is told by the
 * process's own text, read when the call has succeeded: then it is in memory for sure, and nothing has to be kept from
 * the begin of the call. Another thread may have changed the text by then; no tracepoint shows the kernel's copy.
 */
#ifndef KESTREL_FILE_BPF_H
#define KESTREL_FILE_BPF_H

#include "kestrel_syscall.h"

/* include/uapi/linux/stat.h, fcntl.h; include/linux/fs.h. The same on all architectures that matter here. */
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define S_IFLNK 0120000
#define O_TRUNC 01000
#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define FMODE_WRITE 0x2
#define FMODE_PATH 0x4000
#define FMODE_CREATED 0x100000

/* Writes what the inode says of an open file. */
static __noinline void kestrel_write_inode(struct kestrel_scratch *scratch, struct file *file)
{
	struct kestrel_file *out = &scratch->record.file;
	struct inode *inode = BPF_CORE_READ(file, f_inode);

	out->inode = BPF_CORE_READ(inode, i_ino);
	out->length = BPF_CORE_READ(inode, i_size);
	out->mode = BPF_CORE_READ(inode, i_mode);
	out->uid = BPF_CORE_READ(inode, i_uid.val);
	out->gid = BPF_CORE_READ(inode, i_gid.val);
	out->known |= KESTREL_KNOWN_INODE | KESTREL_KNOWN_MODE | KESTREL_KNOWN_TYPE | KESTREL_KNOWN_UID |
		      KESTREL_KNOWN_GID;
}

/* An event about an open file. */
static __noinline void kestrel_open_file(__u32 kind, struct file *file, __u32 flags, __u32 known)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch = kestrel_begin_current(kind, &counters);

	if (!scratch)
		return;
	scratch->record.file.flags = flags;
	scratch->record.file.known = known;
	kestrel_write_inode(scratch, file);
	kestrel_write_path(scratch, KESTREL_FILE_PATH, &file->f_path, BPF_CORE_READ(kestrel_current(), fs));
	kestrel_send(scratch, counters, kind);
}

/* A file that is only named, and what a call says of it. */
struct kestrel_named {
	__u64 text;
	__u64 other_text;
	__s32 folder; /* descriptor of the folder, or AT_FDCWD */
	__s32 other_folder;
	__u32 kind;
	__u32 flags;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 known;
};

/* Writes a user's text as section `section`. */
static __noinline void kestrel_write_user_text(struct kestrel_scratch *scratch, __u32 section, __u64 text)
{
	__u64 cursor = scratch->cursor;
	long length;

	kestrel_hide(cursor);
	if (cursor > KESTREL_TAIL_LIMIT - KESTREL_PATH_LIMIT) {
		kestrel_flag_section(scratch, section, KESTREL_SECTION_TRUNCATED);
		return;
	}
	length = bpf_probe_read_user_str(&scratch->tail[cursor], KESTREL_PATH_LIMIT, (void *)text);
	if (length < 0) {
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
		return;
	}
	kestrel_end_section(scratch, section, cursor + length);
}

/* Writes a name and the folder that it counts from, as sections `section` and the next. */
static __noinline void kestrel_write_named(struct kestrel_scratch *scratch, __u32 section, __u64 text, __s32 folder)
{
	struct task_struct *task = kestrel_current();
	struct fs_struct *fs = BPF_CORE_READ(task, fs);
	struct file *file;
	char first = 0;

	bpf_probe_read_user(&first, sizeof(first), (void *)text);
	if (first == '/') {
		/* From the root. */
	} else if (folder == AT_FDCWD) {
		kestrel_write_path(scratch, section, &fs->pwd, fs);
	} else {
		file = kestrel_file_of(task, folder);
		if (file)
			kestrel_write_path(scratch, section, &file->f_path, fs);
		else
			kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
	}
	kestrel_write_user_text(scratch, section + 1, text);
}

/* An event about a file that is only named. */
static __noinline int kestrel_named_file(struct kestrel_named *named)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch = kestrel_begin_current(named->kind, &counters);
	struct kestrel_file *out;

	if (!scratch)
		return 0;
	out = &scratch->record.file;
	out->mode = named->mode;
	out->uid = named->uid;
	out->gid = named->gid;
	out->flags = named->flags;
	out->known = named->known;
	kestrel_write_named(scratch, KESTREL_FILE_PATH, named->text, named->folder);
	if (named->other_text)
		kestrel_write_named(scratch, KESTREL_FILE_OTHER_PATH, named->other_text, named->other_folder);
	kestrel_send(scratch, counters, named->kind);
	return 0;
}

/* ---------------------------------------------------------------- open, create, modify */

/*
 * The open files that were reported as modified, so that each is reported once. Forgetting one costs a second report and
 * loses nothing, so the oldest may go. The inode tells a file from another that got its place in memory; `kestrel_opened`
 * forgets whatever had the place before.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct file */
	__type(value, __u64); /* struct inode */
} kestrel_modified SEC(".maps");

/* After any call that opens: `flags` are the caller's O_*. */
static __noinline int kestrel_opened(__s64 descriptor, __u32 flags)
{
	struct file *file;
	__u32 mode;
	__u64 key;

	if (descriptor < 0)
		return 0;
	file = kestrel_file_of(kestrel_current(), descriptor);
	if (!file)
		return 0;
	mode = BPF_CORE_READ(file, f_mode);
	if (mode & FMODE_PATH)
		return 0; /* a name for later use; the file is not opened */
	if ((mode & FMODE_CREATED) && kestrel_subscribed(KESTREL_KIND_FILE_CREATE))
		kestrel_open_file(KESTREL_KIND_FILE_CREATE, file, flags, KESTREL_KNOWN_FLAGS);
	if (kestrel_subscribed(KESTREL_KIND_FILE_OPEN))
		kestrel_open_file(KESTREL_KIND_FILE_OPEN, file, flags, KESTREL_KNOWN_FLAGS);
	if ((mode & FMODE_WRITE) && kestrel_subscribed(KESTREL_KIND_FILE_MODIFY)) {
		key = (__u64)file;
		if ((flags & O_TRUNC) && !(mode & FMODE_CREATED) &&
		    (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) == S_IFREG) {
			__u64 inode = (__u64)BPF_CORE_READ(file, f_inode);

			bpf_map_update_elem(&kestrel_modified, &key, &inode, BPF_ANY);
			kestrel_open_file(KESTREL_KIND_FILE_MODIFY, file, flags, KESTREL_KNOWN_FLAGS);
		} else {
			bpf_map_delete_elem(&kestrel_modified, &key);
		}
	}
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_open")
int kestrel_open(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	kestrel_read_arguments(&arguments);
	return kestrel_opened(context->result, arguments.value[1]);
}

SEC("tracepoint/syscalls/sys_exit_creat")
int kestrel_creat(struct kestrel_leave *context)
{
	return kestrel_opened(context->result, 01101); /* O_CREAT | O_WRONLY | O_TRUNC */
}

SEC("tracepoint/syscalls/sys_exit_openat")
int kestrel_openat(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	kestrel_read_arguments(&arguments);
	return kestrel_opened(context->result, arguments.value[2]);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int kestrel_openat2(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;
	__u64 flags = 0; /* the first word of struct open_how */

	kestrel_read_arguments(&arguments);
	bpf_probe_read_user(&flags, sizeof(flags), (void *)arguments.value[2]);
	return kestrel_opened(context->result, flags);
}

/* After a call that wrote to `descriptor`. */
static __noinline int kestrel_written(__s64 result, __s32 descriptor)
{
	struct file *file;
	struct inode *inode;
	__u64 key, value, *known;

	if (result < 0 || !kestrel_subscribed(KESTREL_KIND_FILE_MODIFY))
		return 0;
	file = kestrel_file_of(kestrel_current(), descriptor);
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	key = (__u64)file;
	value = (__u64)inode;
	known = bpf_map_lookup_elem(&kestrel_modified, &key);
	if ((known && *known == value) || (BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG)
		return 0;
	bpf_map_update_elem(&kestrel_modified, &key, &value, BPF_ANY);
	kestrel_open_file(KESTREL_KIND_FILE_MODIFY, file, 0, 0);
	return 0;
}

/* write, pwrite64, writev, pwritev, pwritev2, sendfile: the descriptor is the first argument. Writing nothing is nothing. */
SEC("tracepoint/syscalls/sys_exit_write")
int kestrel_write(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	if (context->result <= 0)
		return 0;
	kestrel_read_arguments(&arguments);
	return kestrel_written(context->result, arguments.value[0]);
}

/* ftruncate, fallocate. */
SEC("tracepoint/syscalls/sys_exit_ftruncate")
int kestrel_ftruncate(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	kestrel_read_arguments(&arguments);
	return kestrel_written(context->result, arguments.value[0]);
}

/* copy_file_range, splice: the descriptor is the third argument. */
SEC("tracepoint/syscalls/sys_exit_copy_file_range")
int kestrel_copy(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	if (context->result <= 0)
		return 0;
	kestrel_read_arguments(&arguments);
	return kestrel_written(context->result, arguments.value[2]);
}

/* ---------------------------------------------------------------- named files */

/* Begins a program about a named file: leaves it when the call failed. */
#define KESTREL_NAMED_FILE(kind_of_event) \
	struct kestrel_named named = { .kind = (kind_of_event), .folder = AT_FDCWD, .other_folder = AT_FDCWD }; \
	struct kestrel_arguments arguments; \
	if (context->result < 0) \
		return 0; \
	kestrel_read_arguments(&arguments)

SEC("tracepoint/syscalls/sys_exit_truncate")
int kestrel_truncate(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_MODIFY);
	named.text = arguments.value[0];
	named.mode = S_IFREG;
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_mkdir")
int kestrel_mkdir(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CREATE);
	named.text = arguments.value[0];
	named.mode = S_IFDIR;
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_mkdirat")
int kestrel_mkdirat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CREATE);
	named.folder = arguments.value[0];
	named.text = arguments.value[1];
	named.mode = S_IFDIR;
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

/* Without a type, mknod makes a plain file. */
static __always_inline __u32 kestrel_node_type(__u64 mode)
{
	return mode & S_IFMT ? mode & S_IFMT : S_IFREG;
}

SEC("tracepoint/syscalls/sys_exit_mknod")
int kestrel_mknod(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CREATE);
	named.text = arguments.value[0];
	named.mode = kestrel_node_type(arguments.value[1]);
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_mknodat")
int kestrel_mknodat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CREATE);
	named.folder = arguments.value[0];
	named.text = arguments.value[1];
	named.mode = kestrel_node_type(arguments.value[2]);
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_unlink")
int kestrel_unlink(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_DELETE);
	named.text = arguments.value[0];
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_rmdir")
int kestrel_rmdir(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_DELETE);
	named.text = arguments.value[0];
	named.mode = S_IFDIR;
	named.known = KESTREL_KNOWN_TYPE;
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_unlinkat")
int kestrel_unlinkat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_DELETE);
	named.folder = arguments.value[0];
	named.text = arguments.value[1];
	if (arguments.value[2] & AT_REMOVEDIR) {
		named.mode = S_IFDIR;
		named.known = KESTREL_KNOWN_TYPE;
	}
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_rename")
int kestrel_rename(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_RENAME);
	named.other_text = arguments.value[0];
	named.text = arguments.value[1];
	return kestrel_named_file(&named);
}

/* renameat has no flags, and what stands in their place is not looked at. */
SEC("tracepoint/syscalls/sys_exit_renameat")
int kestrel_renameat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_RENAME);
	named.other_folder = arguments.value[0];
	named.other_text = arguments.value[1];
	named.folder = arguments.value[2];
	named.text = arguments.value[3];
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_renameat2")
int kestrel_renameat2(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_RENAME);
	named.other_folder = arguments.value[0];
	named.other_text = arguments.value[1];
	named.folder = arguments.value[2];
	named.text = arguments.value[3];
	named.flags = arguments.value[4];
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_link")
int kestrel_link(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_LINK);
	named.other_text = arguments.value[0];
	named.text = arguments.value[1];
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_linkat")
int kestrel_linkat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_LINK);
	named.other_folder = arguments.value[0];
	named.other_text = arguments.value[1];
	named.folder = arguments.value[2];
	named.text = arguments.value[3];
	return kestrel_named_file(&named);
}

/* A symbolic link's text is told as it is: it counts from nowhere. */
static __noinline int kestrel_symbolic_link(__u64 target, __u64 text, __s32 folder)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch = kestrel_begin_current(KESTREL_KIND_FILE_LINK, &counters);

	if (!scratch)
		return 0;
	scratch->record.file.mode = S_IFLNK;
	scratch->record.file.known = KESTREL_KNOWN_TYPE;
	kestrel_write_named(scratch, KESTREL_FILE_PATH, text, folder);
	kestrel_write_user_text(scratch, KESTREL_FILE_OTHER_NAME, target);
	kestrel_send(scratch, counters, KESTREL_KIND_FILE_LINK);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_symlink")
int kestrel_symlink(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	if (context->result < 0)
		return 0;
	kestrel_read_arguments(&arguments);
	return kestrel_symbolic_link(arguments.value[0], arguments.value[1], AT_FDCWD);
}

SEC("tracepoint/syscalls/sys_exit_symlinkat")
int kestrel_symlinkat(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;

	if (context->result < 0)
		return 0;
	kestrel_read_arguments(&arguments);
	return kestrel_symbolic_link(arguments.value[0], arguments.value[2], arguments.value[1]);
}

SEC("tracepoint/syscalls/sys_exit_chmod")
int kestrel_chmod(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CHMOD);
	named.text = arguments.value[0];
	named.mode = arguments.value[1] & 07777;
	named.known = KESTREL_KNOWN_MODE;
	return kestrel_named_file(&named);
}

/* fchmodat, fchmodat2. */
SEC("tracepoint/syscalls/sys_exit_fchmodat")
int kestrel_fchmodat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CHMOD);
	named.folder = arguments.value[0];
	named.text = arguments.value[1];
	named.mode = arguments.value[2] & 07777;
	named.known = KESTREL_KNOWN_MODE;
	return kestrel_named_file(&named);
}

/* What chown was given; -1 means that the owner, or the group, stays. */
static __always_inline void kestrel_new_owner(struct kestrel_named *named, __u32 uid, __u32 gid)
{
	named->uid = uid;
	named->gid = gid;
	if (uid != (__u32)-1)
		named->known |= KESTREL_KNOWN_UID;
	if (gid != (__u32)-1)
		named->known |= KESTREL_KNOWN_GID;
}

/* chown, lchown. */
SEC("tracepoint/syscalls/sys_exit_chown")
int kestrel_chown(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CHOWN);
	named.text = arguments.value[0];
	kestrel_new_owner(&named, arguments.value[1], arguments.value[2]);
	return kestrel_named_file(&named);
}

SEC("tracepoint/syscalls/sys_exit_fchownat")
int kestrel_fchownat(struct kestrel_leave *context)
{
	KESTREL_NAMED_FILE(KESTREL_KIND_FILE_CHOWN);
	named.folder = arguments.value[0];
	named.text = arguments.value[1];
	kestrel_new_owner(&named, arguments.value[2], arguments.value[3]);
	return kestrel_named_file(&named);
}

/* ---------------------------------------------------------------- fchmod, fchown: what it was before */

struct kestrel_original {
	__u64 inode;
	__u32 mode;
	__u32 uid;
	__u32 gid;
	__u32 reserved;
};

/*
 * By thread, from the begin of fchmod or fchown to its end. A full map costs the original values, never the event: the
 * record is flagged then.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct kestrel_original);
} kestrel_originals SEC(".maps");

/* fchmod, fchown. */
SEC("tracepoint/syscalls/sys_enter_fchmod")
int kestrel_change_begins(struct kestrel_enter *context)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_original original = {};
	struct inode *inode;
	struct file *file;

	if (!kestrel_subscribed(KESTREL_KIND_FILE_CHMOD) && !kestrel_subscribed(KESTREL_KIND_FILE_CHOWN))
		return 0;
	file = kestrel_file_of(kestrel_current(), context->arguments[0]);
	if (!file)
		return 0;
	inode = BPF_CORE_READ(file, f_inode);
	original.inode = (__u64)inode;
	original.mode = BPF_CORE_READ(inode, i_mode);
	original.uid = BPF_CORE_READ(inode, i_uid.val);
	original.gid = BPF_CORE_READ(inode, i_gid.val);
	bpf_map_update_elem(&kestrel_originals, &thread, &original, BPF_ANY);
	return 0;
}

static __noinline int kestrel_changed(__u32 kind, __s64 result)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct kestrel_original *stored, original = {};
	struct kestrel_arguments arguments;
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_file *out;
	struct file *file;

	stored = bpf_map_lookup_elem(&kestrel_originals, &thread);
	if (stored) {
		original = *stored;
		bpf_map_delete_elem(&kestrel_originals, &thread);
	}
	if (result < 0)
		return 0;
	kestrel_read_arguments(&arguments);
	file = kestrel_file_of(kestrel_current(), arguments.value[0]);
	scratch = kestrel_begin_current(kind, &counters);
	if (!scratch)
		return 0;
	out = &scratch->record.file;
	if (file) {
		kestrel_write_inode(scratch, file);
		kestrel_write_path(scratch, KESTREL_FILE_PATH, &file->f_path, BPF_CORE_READ(kestrel_current(), fs));
	} else { /* another thread has closed it */
		kestrel_flag_section(scratch, KESTREL_FILE_PATH, KESTREL_SECTION_UNREADABLE);
	}
	if (file && original.inode == (__u64)BPF_CORE_READ(file, f_inode)) {
		out->original_mode = original.mode;
		out->original_uid = original.uid;
		out->original_gid = original.gid;
		out->known |= KESTREL_KNOWN_ORIGINAL;
	} else {
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	}
	kestrel_send(scratch, counters, kind);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_fchmod")
int kestrel_fchmod(struct kestrel_leave *context)
{
	return kestrel_changed(KESTREL_KIND_FILE_CHMOD, context->result);
}

SEC("tracepoint/syscalls/sys_exit_fchown")
int kestrel_fchown(struct kestrel_leave *context)
{
	return kestrel_changed(KESTREL_KIND_FILE_CHOWN, context->result);
}

#endif
