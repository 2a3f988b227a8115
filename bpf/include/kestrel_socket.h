/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sockets: what their ends are, and whose they are.
 *
 * Who acts is plain where a process is in the middle of a call. A connection can also end by a packet, and an answer
 * always comes by one: then whoever happens to run is not meant. So owners are remembered, by the address of the socket,
 * from the call by which the socket got its peer until it is closed.
 */
#ifndef KESTREL_SOCKET_H
#define KESTREL_SOCKET_H

#include "kestrel_maps.h"
#include "kestrel_syscall.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262

/* enum in include/net/tcp_states.h, the same since 2.6. */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_FIN_WAIT1 4
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10

/* Connections whose owners are known. Memory is taken as they come. */
#define KESTREL_OWNERS 65536
/* Sockets that wait for an answer of a name server; the oldest give way. */
#define KESTREL_ASKERS 4096

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kestrel_in6 {
	__u8 bytes[16];
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
};

/* Another view of the same, since the addresses' type is a union that is of no interest. */
struct sock_common___six {
	struct kestrel_in6 skc_v6_daddr;
	struct kestrel_in6 skc_v6_rcv_saddr;
};

struct socket;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	struct socket *sk_socket;
};

struct sock___six {
	struct sock_common___six __sk_common;
};

struct inet_sock {
	__be16 inet_sport;
};

struct tcp_sock {
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	__u32 snd_nxt;
	__u32 write_seq;
};

struct socket {
	struct file *file;
	struct sock *sk;
};

#pragma clang attribute pop

/* The part of a record from its task to its role, so that one copy remembers both. */
struct kestrel_owner {
	struct kestrel_task task;
	__u32 sections[KESTREL_SECTIONS]; /* all 0 */
	__u32 role;
	__u32 reserved;
};

_Static_assert(__builtin_offsetof(struct kestrel_record, network.role) - __builtin_offsetof(struct kestrel_record, task) ==
		       __builtin_offsetof(struct kestrel_owner, role),
	       "an owner is a part of a record");

/* By the address of a socket. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, KESTREL_OWNERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct kestrel_owner);
} kestrel_owners SEC(".maps");

/* By the address of a socket: who asked last. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, KESTREL_ASKERS);
	__type(key, __u64);
	__type(value, struct kestrel_owner);
} kestrel_askers SEC(".maps");

/* What went wrong with owners. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct kestrel_network_counters);
} kestrel_network_counters SEC(".maps");

static __always_inline struct kestrel_network_counters *kestrel_network_count(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kestrel_network_counters, &zero);
}

/* Whether somebody wants events for which owners must be remembered. */
static __always_inline bool kestrel_owners_wanted(void)
{
	return kestrel_subscribed(KESTREL_KIND_DISCONNECT_RECEIVED) ||
	       kestrel_subscribed(KESTREL_KIND_LOOKUP_REQUESTED) || kestrel_subscribed(KESTREL_KIND_LOOKUP_RESULT);
}

/* Remembers the process of a record, and its role, for a socket. */
static __always_inline void kestrel_remember(void *map, __u64 socket, struct kestrel_scratch *scratch)
{
	struct kestrel_network_counters *counters;

	if (!bpf_map_update_elem(map, &socket, &scratch->record.task, BPF_ANY))
		return;
	counters = kestrel_network_count();
	if (counters)
		kestrel_count(&counters->owners_full);
}

/* Writes into the record whose a socket is, if that is known. */
static __always_inline bool kestrel_recall(void *map, __u64 socket, struct kestrel_scratch *scratch)
{
	struct kestrel_owner *owner = bpf_map_lookup_elem(map, &socket);
	struct kestrel_network_counters *counters;

	if (owner) {
		scratch->record.task = owner->task;
		scratch->record.task.flags |= KESTREL_TASK_REMEMBERED;
		scratch->record.network.role = owner->role;
		return true;
	}
	counters = kestrel_network_count();
	if (counters)
		kestrel_count(&counters->owners_unknown);
	return false;
}

/* Nobody is known to have done it. */
static __always_inline void kestrel_nobody(struct kestrel_scratch *scratch)
{
	__builtin_memset(&scratch->record.task, 0, sizeof(scratch->record.task));
	scratch->record.header.flags |= KESTREL_FLAG_TASK_UNREADABLE;
}

/* A pointer that the verifier watches, as one that can only be read with checks. */
static __always_inline void *kestrel_plain_pointer(void *watched)
{
	void *plain = 0;

	bpf_probe_read_kernel(&plain, sizeof(plain), &watched);
	return plain;
}

static __always_inline bool kestrel_is_internet(struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	return family == AF_INET || family == AF_INET6;
}

/* Writes both ends of a socket. */
static __always_inline void kestrel_read_socket(struct kestrel_scratch *scratch, struct sock *sk)
{
	struct kestrel_network *network = &scratch->record.network;
	struct sock___six *six = (void *)sk;
	long failed;

	network->family = BPF_CORE_READ(sk, __sk_common.skc_family);
	network->protocol = BPF_CORE_READ(sk, sk_protocol);
	network->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	/* A socket that is closed has given its port back, but still has it here. */
	if (!network->local_port)
		network->local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	network->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (network->family == AF_INET) {
		failed = bpf_core_read(network->local_address, 4, &sk->__sk_common.skc_rcv_saddr);
		failed |= bpf_core_read(network->remote_address, 4, &sk->__sk_common.skc_daddr);
	} else {
		failed = bpf_core_read(network->local_address, 16, &six->__sk_common.skc_v6_rcv_saddr);
		failed |= bpf_core_read(network->remote_address, 16, &six->__sk_common.skc_v6_daddr);
	}
	if (failed)
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
}

/*
 * What went through a TCP socket. What waits to be sent counts as sent, what was sent twice counts once. The kernel
 * counts the other end's sign that it has ended as a byte; `ended` says that it came.
 */
static __always_inline void kestrel_read_bytes(struct kestrel_network *network, struct sock *sk, bool ended)
{
	struct tcp_sock *tcp = (void *)sk;
	__u32 waiting = BPF_CORE_READ(tcp, write_seq) - BPF_CORE_READ(tcp, snd_nxt);

	network->bytes_sent = BPF_CORE_READ(tcp, bytes_sent) - BPF_CORE_READ(tcp, bytes_retrans) + waiting;
	network->bytes_received = BPF_CORE_READ(tcp, bytes_received);
	if (ended && network->bytes_received)
		network->bytes_received--;
}

/* The socket behind a descriptor of a process, NULL if it is none. */
static __always_inline struct sock *kestrel_socket_of(struct task_struct *task, __s32 descriptor)
{
	struct file *file = kestrel_file_of(task, descriptor);
	struct socket *socket;

	if (!file)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	/* Only a socket leads back to its file. */
	if (!socket || BPF_CORE_READ(socket, file) != file)
		return 0;
	return BPF_CORE_READ(socket, sk);
}

#endif
