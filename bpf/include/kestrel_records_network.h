/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fixed part of the records about connections, sockets and name lookups, and the sections of their tails. Included
 * by kestrel_records.h.
 */
#ifndef KESTREL_RECORDS_NETWORK_H
#define KESTREL_RECORDS_NETWORK_H

/* A lookup's packet is cut here: what is asked stands at its begin. */
#define KESTREL_MESSAGE_LIMIT 4096

/* The one section of a lookup: a DNS message, over TCP with its length before it. Other records have no sections. */
#define KESTREL_LOOKUP_MESSAGE 0

/* kestrel_network.role: which end of the connection the acting process has. */
#define KESTREL_ROLE_UNKNOWN 0
#define KESTREL_ROLE_CONNECTED 1
#define KESTREL_ROLE_ACCEPTED 2

struct kestrel_network {
	__u32 role; /* first, so that it stands right behind the section lengths: see struct kestrel_owner */
	__u16 family; /* AF_INET: addresses have 4 bytes and 0 behind them; AF_INET6: 16 */
	__u16 protocol; /* IPPROTO_* */
	__u64 bytes_sent; /* by the acting process, as far as it was handed to the network; of ended connections only */
	__u64 bytes_received;
	__u8 local_address[16]; /* in network order */
	__u8 remote_address[16];
	__u16 local_port;
	__u16 remote_port;
	__u32 message_length; /* of a lookup's message, before any cut */
};

/* The one element of `kestrel_network_counters`, by CPU. */
struct kestrel_network_counters {
	__u64 owners_full; /* owners of sockets that were not remembered for want of room */
	__u64 owners_unknown; /* events that came by a packet on a socket whose owner is not known */
};

KESTREL_OFFSET(kestrel_network, role, 0);
KESTREL_OFFSET(kestrel_network, family, 4);
KESTREL_OFFSET(kestrel_network, protocol, 6);
KESTREL_OFFSET(kestrel_network, bytes_sent, 8);
KESTREL_OFFSET(kestrel_network, bytes_received, 16);
KESTREL_OFFSET(kestrel_network, local_address, 24);
KESTREL_OFFSET(kestrel_network, remote_address, 40);
KESTREL_OFFSET(kestrel_network, local_port, 56);
KESTREL_OFFSET(kestrel_network, remote_port, 58);
KESTREL_OFFSET(kestrel_network, message_length, 60);
KESTREL_SIZE(kestrel_network, 64);

KESTREL_OFFSET(kestrel_network_counters, owners_full, 0);
KESTREL_OFFSET(kestrel_network_counters, owners_unknown, 8);
KESTREL_SIZE(kestrel_network_counters, 16);

#endif
