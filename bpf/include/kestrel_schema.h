/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The numbers of the event kinds. Written by `cargo xtask schema` from ir/schema/kinds.toml: do not edit. */
#ifndef KESTREL_SCHEMA_H
#define KESTREL_SCHEMA_H

/* A number is never given to another kind: records and logs carry it. */
enum kestrel_kind {
	KESTREL_KIND_NONE = 0,
	/* A process replaced its program. */
	KESTREL_KIND_EXEC = 1,
	/* A process was created as a copy of its parent. */
	KESTREL_KIND_FORK = 2,
	/* A process ended, by itself or by a signal. */
	KESTREL_KIND_EXIT = 3,
	/* A process changed its user. */
	KESTREL_KIND_UID_CHANGE = 4,
	/* A process changed its group. */
	KESTREL_KIND_GID_CHANGE = 5,
	/* A process became the leader of a new session. */
	KESTREL_KIND_SESSION_ID_CHANGE = 6,
	/* A process asked to trace another one. */
	KESTREL_KIND_PTRACE = 7,
	/* A process sent a signal to another one. */
	KESTREL_KIND_KILL = 8,
	/* A process created a file that exists only in memory. */
	KESTREL_KIND_MEMFD_CREATE = 9,
	/* A process loaded a kernel module. */
	KESTREL_KIND_LOAD_MODULE = 10,
	/* A process mapped memory that can be executed. */
	KESTREL_KIND_MMAP = 11,
	/* A process made memory executable. */
	KESTREL_KIND_MPROTECT = 12,
	/* A process loaded or attached a BPF program. */
	KESTREL_KIND_BPF = 13,
	/* A file was created. */
	KESTREL_KIND_FILE_CREATE = 14,
	/* A file was opened. */
	KESTREL_KIND_FILE_OPEN = 15,
	/* A file's content was changed. */
	KESTREL_KIND_FILE_MODIFY = 16,
	/* A file got another name or place. */
	KESTREL_KIND_FILE_RENAME = 17,
	/* A file's name was removed. */
	KESTREL_KIND_FILE_DELETE = 18,
	/* A file's permissions were changed. */
	KESTREL_KIND_FILE_CHMOD = 19,
	/* A file got another owner or group. */
	KESTREL_KIND_FILE_CHOWN = 20,
	/* A file got one more name, by a hard or a symbolic link. */
	KESTREL_KIND_FILE_LINK = 21,
	/* A process asked to connect. */
	KESTREL_KIND_CONNECTION_ATTEMPTED = 22,
	/* A process accepted a connection. */
	KESTREL_KIND_CONNECTION_ACCEPTED = 23,
	/* A process gave a socket its own address. */
	KESTREL_KIND_BIND = 24,
	/* A process began to wait for connections. */
	KESTREL_KIND_LISTEN = 25,
	/* A connection ended. */
	KESTREL_KIND_DISCONNECT_RECEIVED = 26,
	/* A process asked for a name. */
	KESTREL_KIND_LOOKUP_REQUESTED = 27,
	/* A name server answered. */
	KESTREL_KIND_LOOKUP_RESULT = 28,
	/* One more than the greatest number: the size of a table indexed by kind. */
	KESTREL_KIND_LIMIT = 29,
};

/* SHA-256 of the built-in schema, as an initialiser of 32 bytes. */
#define KESTREL_SCHEMA_HASH \
	{ \
		0xfc, 0xf3, 0xaf, 0x34, 0xc9, 0xd1, 0xbc, 0x18, \
		0x69, 0x81, 0x99, 0xb3, 0x62, 0x0e, 0x7f, 0x13, \
		0x8c, 0xa2, 0x93, 0x27, 0x1e, 0xfe, 0x0c, 0x1b, \
		0x0c, 0x73, 0xc9, 0xb3, 0x1c, 0xa0, 0x81, 0x4d, \
	}

/* The first eight bytes of that hash as a big-endian number, for a header that has no room for all. */
#define KESTREL_SCHEMA_HASH_PREFIX 0xfcf3af34c9d1bc18ULL

#endif /* KESTREL_SCHEMA_H */
