/* What the redirecting programs remember, and for how long.
 *
 * eno_origins   sk_storage: where a program meant to connect, or who connects to
 *               it, while the kernel's own addresses are the relay's; the socket
 * eno_verdicts  by the connecting socket's address and port: what the relay made
 *               of a held SYN; until that socket closes
 * eno_reached   by the relay's address and port: for whom the relay connects to a
 *               listener of a program; until that connection is established
 * eno_listeners by address and port: how many sockets of the cgroups listen there
 * eno_rules     array of one: what is redirected, and to where
 * eno_skipped   longest prefix match: networks that are not redirected
 * eno_owners    processes of the relay, whose own connections are left alone
 * eno_listening sockmap: the relay's listeners, as long as they listen
 * eno_events    ring buffer to the relay
 *
 * Addresses are in network order, IPv4's mapped (RFC 4291 section 2.5.5.2); ports too.
 * pyeno/redirect/layout.py has the same structures.
 */
#ifndef ENO_REDIRECT_MAPS_BPF_H
#define ENO_REDIRECT_MAPS_BPF_H

#include <linux/in.h>
#include <bpf/bpf_endian.h>

#include "map.bpf.h"

enum {
	ENO_FLOWS_MAX = 16384,
	ENO_LISTENERS_MAX = 16384,
	ENO_NETWORKS_MAX = 8192, /* what the rules had, and what they will have */
	ENO_OWNERS_MAX = 1024,
	ENO_RING_SIZE = 1 << 20,
	ENO_PACKET_MAX = 120, /* the longest IP and TCP headers */
	ENO_PORTS_LEN = 8192, /* a bit for every port */
};

enum { ENO_AF_INET = 2, ENO_AF_INET6 = 10, ENO_SOCK_STREAM = 1 };

/* eno_listening, and in this order in eno_rules: IPv6 is one more than IPv4 */
enum { ENO_NEAR, ENO_STEERED = 2, ENO_LISTENING_MAX = 4 };

/* What is put together on the stack is of whole words of 8 bytes: before 6.5, without
 * CAP_PERFMON, the verifier takes half a word beside another one for a pointer that is
 * being corrupted. */
struct eno_endpoint {
	__u64 address[2];
	__u64 port; /* in the first two bytes */
};

enum { ENO_DIVERTED = 1, ENO_HELD, ENO_REACHED };

struct eno_origin {
	struct eno_endpoint remote;
	struct eno_endpoint local; /* port 0: the kernel's is right, or nobody knows yet */
	__u64 state;
	__u64 attempt; /* a socket may connect again */
	__u64 owner;   /* process << 32 | user */
};

struct eno_verdict {
	__u64 attempt;
	struct eno_endpoint remote, local; /* of the far connection */
	__u64 error;			   /* 0: admitted */
};

enum { ENO_EVENT_HELD, ENO_EVENT_AGAIN, ENO_EVENT_GONE };

struct eno_event {
	__u64 attempt, kind, owner, len;
	struct eno_endpoint remote, source;
};

struct eno_held {
	struct eno_event event;
	__u8 packet[ENO_PACKET_MAX];
};

struct eno_rules {
	__u64 netns; /* its cookie: elsewhere the relay's listeners cannot be reached */
	struct eno_endpoint listening[ENO_LISTENING_MAX]; /* port 0: none */
	__u8 closed;					  /* without a relay, refuse */
	__u8 every_port; /* inbound; otherwise only those of ports */
	__u8 present;	 /* bit n: there is listening[n] */
	__u8 pad[5];
	__u8 skipped[ENO_PORTS_LEN], ports[ENO_PORTS_LEN];
};

/* A key begins at bits. */
struct eno_prefix {
	__u32 before, bits;
	__u64 address[2];
};

ENO_MAP(eno_origins, BPF_MAP_TYPE_SK_STORAGE, sizeof(int), sizeof(struct eno_origin), 0,
	BPF_F_NO_PREALLOC);
ENO_MAP(eno_verdicts, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_endpoint),
	sizeof(struct eno_verdict), ENO_FLOWS_MAX, 0);
ENO_MAP(eno_reached, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_endpoint),
	sizeof(struct eno_endpoint), ENO_FLOWS_MAX, 0);
ENO_MAP(eno_listeners, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_endpoint), sizeof(__u32),
	ENO_LISTENERS_MAX, 0);
ENO_MAP(eno_rules, BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct eno_rules), 1, 0);
ENO_MAP(eno_skipped, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct eno_prefix) - sizeof(__u32),
	sizeof(__u32), ENO_NETWORKS_MAX, BPF_F_NO_PREALLOC);
ENO_MAP(eno_owners, BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(__u32), ENO_OWNERS_MAX,
	BPF_F_NO_PREALLOC);
ENO_MAP(eno_listening, BPF_MAP_TYPE_SOCKMAP, sizeof(__u32), sizeof(__u64), ENO_LISTENING_MAX, 0);
ENO_MAP(eno_events, BPF_MAP_TYPE_RINGBUF, 0, 0, ENO_RING_SIZE, 0);

/* Before the branch that needs it: out of two branches the compiler would merge the
 * loads into one, at an address of its own, which the verifier refuses for contexts. */
#define ENO_READ_WORD(name, field) \
	__u32 name = (field);      \
	ENO_KEEP(name)

/* By 4 bytes: not every context allows 8. */
#define ENO_READ_IPV6(e, field)                            \
	do {                                               \
		ENO_READ_WORD(first, (field)[0]);          \
		ENO_READ_WORD(second, (field)[1]);         \
		ENO_READ_WORD(third, (field)[2]);          \
		ENO_READ_WORD(fourth, (field)[3]);         \
		(e)->address[0] = eno_join(first, second); \
		(e)->address[1] = eno_join(third, fourth); \
	} while (0)

static __always_inline __u64 eno_join(__u64 first, __u64 second)
{
	return first | second << 32;
}

static __always_inline struct eno_rules *eno_get_rules(void)
{
	__u64 zero = 0;

	return bpf_map_lookup_elem(&eno_rules, &zero);
}

static __always_inline void eno_set_ipv4(struct eno_endpoint *e, __u32 address)
{
	e->address[0] = 0;
	e->address[1] = eno_join(bpf_htonl(0xffff), address);
}

static __always_inline __u32 eno_get_ipv4(const struct eno_endpoint *e)
{
	return e->address[1] >> 32;
}

static __always_inline void eno_name_source(struct bpf_sock *sk, struct eno_endpoint *e)
{
	ENO_READ_WORD(ip4, sk->src_ip4);

	e->port = bpf_htons(sk->src_port);
	if (sk->family == ENO_AF_INET) {
		eno_set_ipv4(e, ip4);
		return;
	}
	ENO_READ_IPV6(e, sk->src_ip6);
}

static __always_inline int eno_is_ipv4(const struct eno_endpoint *e)
{
	return !e->address[0] && (__u32)e->address[1] == bpf_htonl(0xffff);
}

static __always_inline int eno_has(const struct eno_rules *rules, __u32 which)
{
	return rules->present >> which & 1;
}

/* 0: the same address. */
static __always_inline __u64 eno_difference(const struct eno_endpoint *a,
					    const struct eno_endpoint *b)
{
	return (a->address[0] ^ b->address[0]) | (a->address[1] ^ b->address[1]);
}

/* This host itself, the link (whose scope the hooks do not tell), or many: left alone. */
static __always_inline int eno_is_special(const struct eno_endpoint *e)
{
	__u32 first;

	if (eno_is_ipv4(e)) {
		first = bpf_ntohl(eno_get_ipv4(e)) >> 24;
		return first == 0 || first == 127 || first >= 224;
	}
	first = bpf_ntohl(e->address[0]);
	return !(e->address[0] | (__u32)e->address[1]) || first >> 24 == 0xff ||
	       first >> 22 == 0xfe80 >> 6;
}

static __always_inline int eno_has_port(const __u8 *ports, __be16 port)
{
	__u32 n = bpf_ntohs(port);

	return ports[n >> 3 & (ENO_PORTS_LEN - 1)] >> (n & 7) & 1;
}

static __always_inline int eno_in_skipped_network(const struct eno_endpoint *e)
{
	struct eno_prefix key = {
		.bits = 128,
		.address = { e->address[0], e->address[1] },
	};

	return bpf_map_lookup_elem(&eno_skipped, &key.bits) != 0;
}

#endif
