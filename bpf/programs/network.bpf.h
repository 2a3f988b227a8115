/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Connections, sockets and name lookups.
 *
 * TCP is seen where the kernel changes a socket's state, all else at the end of the system calls; lookups are seen as
 * packets to and from port 53, on every socket of the host. Programs of cgroups let everything pass.
 */
#ifndef KESTREL_NETWORK_BPF_H
#define KESTREL_NETWORK_BPF_H

#include "kestrel_socket.h"
#include "kestrel_syscall.h"
#include "kestrel_task.h"

#define KESTREL_PASS 1

#define KESTREL_DNS_PORT 53
#define KESTREL_DNS_HEADER 12
#define KESTREL_ETHERTYPE_IPV4 0x0800
#define KESTREL_ETHERTYPE_IPV6 0x86dd

static __always_inline __u32 kestrel_tgid_of_current(void)
{
	struct task_struct *task = kestrel_current();

	return BPF_CORE_READ(task, tgid);
}

/* An event of the process that runs, about `sk`; with a role other than unknown, its owner is remembered. */
static __always_inline void kestrel_socket_event(struct sock *sk, __u32 kind, __u32 role)
{
	struct kestrel_counters *counters = kestrel_admit(kind, kestrel_tgid_of_current());
	struct kestrel_scratch *scratch = counters ? kestrel_begin(counters) : 0;
	__u64 key = (__u64)sk;

	if (!scratch)
		return;
	kestrel_identify(scratch, kestrel_current());
	scratch->record.network.role = role;
	if (role && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP && kestrel_owners_wanted() &&
	    BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE) {
		kestrel_remember(&kestrel_owners, (__u64)sk, scratch);
		/* It may have closed meanwhile, and nothing else would forget it. */
		if (BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE)
			bpf_map_delete_elem(&kestrel_owners, &key);
	}
	kestrel_read_socket(scratch, sk);
	kestrel_send(scratch, counters, kind);
}

/* ---------------------------------------------------------------- TCP */

/* Right before the first packet, when both ends are known, in the process that connects. */
SEC("sockops")
int kestrel_tcp_connect(struct bpf_sock_ops *context)
{
	struct sock *sk;

	if (context->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return KESTREL_PASS;
	sk = kestrel_plain_pointer(context->sk);
	if (sk && kestrel_is_internet(sk))
		kestrel_socket_event(sk, KESTREL_KIND_CONNECTION_ATTEMPTED, KESTREL_ROLE_CONNECTED);
	return KESTREL_PASS;
}

/* The same for hosts without cgroups of version 2. The kernel chooses the own port a little later: it is 0 here. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(kestrel_tcp_attempt, struct sock *sk, int before, int after)
{
	if (after == TCP_SYN_SENT && sk->sk_protocol == IPPROTO_TCP)
		kestrel_socket_event(sk, KESTREL_KIND_CONNECTION_ATTEMPTED, KESTREL_ROLE_CONNECTED);
	return 0;
}

static __always_inline void kestrel_tcp_end(struct sock *sk, bool by_packet, bool ended)
{
	struct kestrel_counters *counters;
	struct kestrel_scratch *scratch;
	struct kestrel_owner *owner;
	__u64 socket = (__u64)sk;
	__u32 pid = 0, role = 0;

	owner = bpf_map_lookup_elem(&kestrel_owners, &socket);
	if (owner)
		role = owner->role;
	if (!by_packet)
		pid = kestrel_tgid_of_current();
	else if (owner)
		pid = owner->task.pid;
	counters = kestrel_admit(KESTREL_KIND_DISCONNECT_RECEIVED, pid);
	scratch = counters ? kestrel_begin(counters) : 0;
	if (!scratch)
		return;
	if (!by_packet)
		kestrel_identify(scratch, kestrel_current());
	else if (!kestrel_recall(&kestrel_owners, socket, scratch))
		kestrel_nobody(scratch);
	scratch->record.network.role = role;
	kestrel_read_socket(scratch, sk);
	kestrel_read_bytes(&scratch->record.network, sk, ended);
	kestrel_send(scratch, counters, KESTREL_KIND_DISCONNECT_RECEIVED);
}

/*
 * A connection ends once: with the first step out of the states in which it carries data both ways or one way. Steps to
 * FIN_WAIT1 and LAST_ACK are taken by a process that closes or shuts down; that to CLOSE by a process that closes with
 * data unread, or by a packet or a timer, which nothing tells apart here: so there the owner counts. A connection that
 * nobody has accepted has no `sk_socket`, and no process: it is no event.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(kestrel_tcp_state, struct sock *sk, int before, int after)
{
	__u64 socket = (__u64)sk;

	if (sk->sk_protocol != IPPROTO_TCP)
		return 0;
	if (after == TCP_LISTEN)
		kestrel_socket_event(sk, KESTREL_KIND_LISTEN, KESTREL_ROLE_UNKNOWN);
	else if ((before == TCP_ESTABLISHED || before == TCP_CLOSE_WAIT) && sk->sk_socket &&
		 (after == TCP_FIN_WAIT1 || after == TCP_LAST_ACK || after == TCP_CLOSE))
		kestrel_tcp_end(sk, after == TCP_CLOSE, before == TCP_CLOSE_WAIT);
	if (after == TCP_CLOSE)
		bpf_map_delete_elem(&kestrel_owners, &socket);
	return 0;
}

/* ---------------------------------------------------------------- system calls */

static __always_inline int kestrel_accepted(struct kestrel_leave *context)
{
	struct sock *sk;

	if (context->result < 0)
		return 0;
	sk = kestrel_socket_of(kestrel_current(), context->result);
	if (sk && kestrel_is_internet(sk))
		kestrel_socket_event(sk, KESTREL_KIND_CONNECTION_ACCEPTED, KESTREL_ROLE_ACCEPTED);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept")
int kestrel_accept(struct kestrel_leave *context)
{
	return kestrel_accepted(context);
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int kestrel_accept4(struct kestrel_leave *context)
{
	return kestrel_accepted(context);
}

/* TCP has been seen already. Others know their peer when the call ends, and send nothing by it. */
SEC("tracepoint/syscalls/sys_exit_connect")
int kestrel_connect(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;
	__u16 protocol;
	struct sock *sk;

	if (context->result)
		return 0;
	kestrel_read_arguments(&arguments);
	sk = kestrel_socket_of(kestrel_current(), arguments.value[0]);
	if (!sk || !kestrel_is_internet(sk))
		return 0;
	protocol = BPF_CORE_READ(sk, sk_protocol);
	/* Without a peer it was told to forget the one it had. */
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP && BPF_CORE_READ(sk, __sk_common.skc_dport))
		kestrel_socket_event(sk, KESTREL_KIND_CONNECTION_ATTEMPTED, KESTREL_ROLE_CONNECTED);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_bind")
int kestrel_bind(struct kestrel_leave *context)
{
	struct kestrel_arguments arguments;
	struct sock *sk;

	if (context->result)
		return 0;
	kestrel_read_arguments(&arguments);
	sk = kestrel_socket_of(kestrel_current(), arguments.value[0]);
	if (sk && kestrel_is_internet(sk))
		kestrel_socket_event(sk, KESTREL_KIND_BIND, KESTREL_ROLE_UNKNOWN);
	return 0;
}

/* ---------------------------------------------------------------- lookups */

/* Where the parts of a packet are. */
struct kestrel_packet {
	__u16 family;
	__u16 protocol;
	__u16 source_port;
	__u16 destination_port;
	__u32 payload;
	__u32 length; /* of the payload */
};

/* Whether this is a UDP or TCP packet with a payload. Headers between that of IPv6 and these are not looked behind. */
static __always_inline bool kestrel_read_packet(struct __sk_buff *skb, struct kestrel_packet *packet)
{
	__u8 head[20], ports[14];
	__u32 transport;

	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return false;
	switch (skb->protocol) {
	case bpf_htons(KESTREL_ETHERTYPE_IPV4):
		if ((head[6] & 0x1f) || head[7])
			return false; /* not the first fragment */
		packet->family = AF_INET;
		packet->protocol = head[9];
		transport = (head[0] & 0xf) * 4;
		break;
	case bpf_htons(KESTREL_ETHERTYPE_IPV6):
		packet->family = AF_INET6;
		packet->protocol = head[6];
		transport = 40;
		break;
	default:
		return false;
	}
	if (packet->protocol == IPPROTO_UDP) {
		if (bpf_skb_load_bytes(skb, transport, ports, 8))
			return false;
		packet->payload = transport + 8;
	} else if (packet->protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, transport, ports, 14))
			return false;
		packet->payload = transport + (ports[12] >> 4) * 4;
	} else {
		return false;
	}
	packet->source_port = ports[0] << 8 | ports[1];
	packet->destination_port = ports[2] << 8 | ports[3];
	packet->length = skb->len > packet->payload ? skb->len - packet->payload : 0;
	return true;
}

/* Whether a payload begins as a message does that is a question, or an answer. */
static __always_inline bool kestrel_is_message(struct __sk_buff *skb, struct kestrel_packet *packet, bool answer)
{
	__u32 before = packet->protocol == IPPROTO_TCP ? 2 : 0;
	__u8 head[4];

	if (packet->length < KESTREL_DNS_HEADER + before ||
	    bpf_skb_load_bytes(skb, packet->payload, head, sizeof(head)))
		return false;
	if (before) {
		/* The length of the message comes first. A packet with the rest of one that began earlier has none. */
		if ((head[0] << 8 | head[1]) < KESTREL_DNS_HEADER ||
		    bpf_skb_load_bytes(skb, packet->payload + 2, head, sizeof(head)))
			return false;
	}
	return (head[2] >> 7) == answer;
}

static __always_inline void kestrel_copy_message(struct __sk_buff *skb, struct kestrel_scratch *scratch,
						 struct kestrel_packet *packet)
{
	__u32 length = packet->length;

	scratch->record.network.message_length = length;
	if (length > KESTREL_MESSAGE_LIMIT) {
		length = KESTREL_MESSAGE_LIMIT;
		kestrel_flag_section(scratch, KESTREL_LOOKUP_MESSAGE, KESTREL_SECTION_TRUNCATED);
	}
	length--; /* 0 becomes a great number; Linux 6.1 does not take a test for 0 as a lower bound */
	kestrel_hide(length);
	if (length >= KESTREL_MESSAGE_LIMIT ||
	    bpf_skb_load_bytes(skb, packet->payload, scratch->tail, length + 1)) {
		kestrel_flag_section(scratch, KESTREL_LOOKUP_MESSAGE, KESTREL_SECTION_UNREADABLE);
		return;
	}
	kestrel_end_section(scratch, KESTREL_LOOKUP_MESSAGE, length + 1);
}

static __always_inline int kestrel_lookup(struct __sk_buff *skb, bool answer)
{
	__u32 kind = answer ? KESTREL_KIND_LOOKUP_RESULT : KESTREL_KIND_LOOKUP_REQUESTED;
	struct kestrel_packet packet = {};
	struct kestrel_counters *counters;
	struct kestrel_network *network;
	struct kestrel_scratch *scratch;
	struct kestrel_owner *owner;
	__u8 *source, *destination;
	long failed;
	__u64 socket;
	__u32 pid = 0;

	if (!kestrel_read_packet(skb, &packet) ||
	    (answer ? packet.source_port : packet.destination_port) != KESTREL_DNS_PORT ||
	    !kestrel_is_message(skb, &packet, answer))
		return KESTREL_PASS;
	socket = (__u64)kestrel_plain_pointer(skb->sk);
	/* A question over UDP leaves in the call of who asks. TCP sends when it may, and answers come when they come. */
	if (!answer && packet.protocol == IPPROTO_UDP) {
		pid = kestrel_tgid_of_current();
	} else {
		owner = packet.protocol == IPPROTO_TCP ? bpf_map_lookup_elem(&kestrel_owners, &socket) :
							 bpf_map_lookup_elem(&kestrel_askers, &socket);
		if (owner)
			pid = owner->task.pid;
	}
	counters = kestrel_admit(kind, pid);
	scratch = counters ? kestrel_begin(counters) : 0;
	if (!scratch)
		return KESTREL_PASS;
	network = &scratch->record.network;
	if (!answer && packet.protocol == IPPROTO_UDP) {
		kestrel_identify(scratch, kestrel_current());
		network->role = KESTREL_ROLE_CONNECTED;
		kestrel_remember(&kestrel_askers, socket, scratch);
	} else if (packet.protocol == IPPROTO_TCP ? !kestrel_recall(&kestrel_owners, socket, scratch) :
						    !kestrel_recall(&kestrel_askers, socket, scratch)) {
		kestrel_nobody(scratch);
	}
	network->role = KESTREL_ROLE_CONNECTED;
	network->family = packet.family;
	network->protocol = packet.protocol;
	network->local_port = answer ? packet.destination_port : packet.source_port;
	network->remote_port = answer ? packet.source_port : packet.destination_port;
	source = answer ? network->remote_address : network->local_address;
	destination = answer ? network->local_address : network->remote_address;
	if (packet.family == AF_INET) {
		failed = bpf_skb_load_bytes(skb, 12, source, 4);
		failed |= bpf_skb_load_bytes(skb, 16, destination, 4);
	} else {
		failed = bpf_skb_load_bytes(skb, 8, source, 16);
		failed |= bpf_skb_load_bytes(skb, 24, destination, 16);
	}
	if (failed)
		scratch->record.header.flags |= KESTREL_FLAG_VALUE_UNREADABLE;
	kestrel_copy_message(skb, scratch, &packet);
	kestrel_send(scratch, counters, kind);
	return KESTREL_PASS;
}

SEC("cgroup_skb/egress")
int kestrel_question(struct __sk_buff *skb)
{
	return kestrel_lookup(skb, false);
}

SEC("cgroup_skb/ingress")
int kestrel_answer(struct __sk_buff *skb)
{
	return kestrel_lookup(skb, true);
}

#endif
