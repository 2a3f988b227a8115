/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fixed part of the records about files, the same for all their kinds. Included by kestrel_records.h.
 *
 * A file is named in one of two ways. What the kernel has open is named by its path, and the name's section is empty.
 * What a process only named is the text it gave (section name) below the folder that the text counts from (section path:
 * the working directory, or the descriptor's folder; empty when the text begins with a slash). The other file, where
 * there is one, is named in the same way.
 */
#ifndef KESTREL_RECORDS_FILE_H
#define KESTREL_RECORDS_FILE_H

#define KESTREL_FILE_PATH 0
#define KESTREL_FILE_NAME 1
/* rename: what it was called before; link: the file that got one more name, or a symbolic link's text. */
#define KESTREL_FILE_OTHER_PATH 2
#define KESTREL_FILE_OTHER_NAME 3

/* kestrel_file.known: which of the numbers are known. */
#define KESTREL_KNOWN_INODE 1 /* inode and size */
#define KESTREL_KNOWN_MODE 2
#define KESTREL_KNOWN_TYPE 4
#define KESTREL_KNOWN_UID 8
#define KESTREL_KNOWN_GID 16
#define KESTREL_KNOWN_ORIGINAL 32 /* mode, uid and gid as they were */
#define KESTREL_KNOWN_FLAGS 64

struct kestrel_file {
	__u64 inode;
	__u64 length; /* in bytes */
	__u32 mode; /* S_IF* and permissions */
	__u32 uid; /* in the initial user namespace */
	__u32 gid;
	__u32 original_mode;
	__u32 original_uid;
	__u32 original_gid;
	__u32 flags; /* open: O_*; rename: RENAME_* */
	__u32 known;
};

KESTREL_OFFSET(kestrel_file, inode, 0);
KESTREL_OFFSET(kestrel_file, length, 8);
KESTREL_OFFSET(kestrel_file, mode, 16);
KESTREL_OFFSET(kestrel_file, uid, 20);
KESTREL_OFFSET(kestrel_file, gid, 24);
KESTREL_OFFSET(kestrel_file, original_mode, 28);
KESTREL_OFFSET(kestrel_file, original_uid, 32);
KESTREL_OFFSET(kestrel_file, original_gid, 36);
KESTREL_OFFSET(kestrel_file, flags, 40);
KESTREL_OFFSET(kestrel_file, known, 44);
KESTREL_SIZE(kestrel_file, 48);

#endif
