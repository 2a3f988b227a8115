/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Writes a path as the process itself sees it, by walking from the last component up to the process's root, over mount
 * points. The components go out in the order of the walk, last one first, each with a NUL; user space turns them round.
 * So nothing is moved, and a path that is cut loses its beginning.
 *
 * bpf_loop, because the verifier unrolls a plain loop past a million instructions. A rename during the walk may mix the
 * old and the new name, as it may for anybody who looks from outside.
 */
#ifndef KESTREL_PATH_H
#define KESTREL_PATH_H

#include "kestrel_maps.h"

#include <bpf/bpf_core_read.h>

/* Deeper paths are cut. PATH_MAX allows 2,048 components; every mount point on the way takes a step too. */
#define KESTREL_PATH_STEPS 1024

enum kestrel_walk_state {
	KESTREL_WALK_GOING, /* ran out of steps or of room: the path is cut */
	KESTREL_WALK_ROOT, /* arrived */
	KESTREL_WALK_FAILED, /* something could not be read */
};

static __always_inline struct mount *kestrel_mount_of(struct vfsmount *vfsmount)
{
	return (void *)vfsmount - bpf_core_field_offset(struct mount, mnt);
}

static long kestrel_walk_step(__u32 index, struct kestrel_scratch **context)
{
	struct kestrel_scratch *scratch = *context;
	struct kestrel_walk *walk = &scratch->walk;
	struct dentry *dentry = walk->dentry;
	struct mount *mount = walk->mount;
	struct dentry *parent;
	const unsigned char *name;
	__u32 cursor = walk->cursor;
	long length;

	if (dentry == walk->root_dentry && mount == walk->root_mount) {
		walk->state = KESTREL_WALK_ROOT;
		return 1;
	}
	if (dentry == BPF_CORE_READ(mount, mnt.mnt_root)) {
		struct mount *outer = BPF_CORE_READ(mount, mnt_parent);

		if (!outer) {
			walk->state = KESTREL_WALK_FAILED;
			return 1;
		}
		if (outer == mount) { /* the root of all, outside of the process's root */
			walk->state = KESTREL_WALK_ROOT;
			return 1;
		}
		walk->dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		walk->mount = outer;
		return 0;
	}
	parent = BPF_CORE_READ(dentry, d_parent);
	name = BPF_CORE_READ(dentry, d_name.name);
	if (!parent || !name) {
		walk->state = KESTREL_WALK_FAILED;
		return 1;
	}
	/* The second test is the verifier's: it does not know `limit`. */
	if (cursor > walk->limit - KESTREL_NAME_LIMIT || cursor > KESTREL_TAIL_LIMIT)
		return 1;
	length = bpf_probe_read_kernel_str(&scratch->tail[cursor], KESTREL_NAME_LIMIT, name);
	if (length <= 0) {
		walk->state = KESTREL_WALK_FAILED;
		return 1;
	}
	walk->cursor = cursor + length;
	if (parent == dentry) { /* in no tree: a memfd, a pipe, a directory that is gone from a lazily unmounted tree */
		walk->state = KESTREL_WALK_ROOT;
		return 1;
	}
	walk->dentry = parent;
	return 0;
}

/*
 * Writes `path` as section `section`, KESTREL_PATH_LIMIT bytes at most; `fs` says where the process's root is.
 */
static __noinline void kestrel_write_path(struct kestrel_scratch *scratch, __u32 section, const struct path *path,
					       struct fs_struct *fs)
{
	struct kestrel_walk *walk = &scratch->walk;
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct mount *mount = kestrel_mount_of(BPF_CORE_READ(path, mnt));

	if (!dentry) {
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
		return;
	}
	walk->dentry = dentry;
	walk->mount = mount;
	walk->root_dentry = BPF_CORE_READ(fs, root.dentry);
	walk->root_mount = kestrel_mount_of(BPF_CORE_READ(fs, root.mnt));
	walk->cursor = scratch->cursor;
	walk->limit = scratch->cursor + KESTREL_PATH_LIMIT;
	walk->state = KESTREL_WALK_GOING;
	/* What has been unlinked is in no hash list any more. A file system's root never is in one. */
	if (dentry != BPF_CORE_READ(mount, mnt.mnt_root) && !BPF_CORE_READ(dentry, d_hash.pprev))
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNLINKED);
	bpf_loop(KESTREL_PATH_STEPS, kestrel_walk_step, &scratch, 0);
	if (walk->state == KESTREL_WALK_FAILED)
		kestrel_flag_section(scratch, section, KESTREL_SECTION_UNREADABLE);
	else if (walk->state == KESTREL_WALK_GOING)
		kestrel_flag_section(scratch, section, KESTREL_SECTION_TRUNCATED);
	kestrel_end_section(scratch, section, walk->cursor);
}

#endif
