/* SYN segments on their way in, read before TCP sees them.
 *
 * Every segment of every socket of the cgroup passes here, so the state of
 * the socket is looked at first: established connections leave after a few
 * instructions, with no packet byte read.
 */
#ifndef ENO_INGRESS_BPF_H
#define ENO_INGRESS_BPF_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <bpf/bpf_endian.h>

#include "passive.bpf.h"

enum { ENO_DROP = 0, ENO_PASS = 1 };
enum {
	ENO_STATES = 1 << BPF_TCP_LISTEN | 1 << BPF_TCP_SYN_SENT | 1 << BPF_TCP_SYN_RECV,
	ENO_SYN_STATES = 1 << BPF_TCP_SYN_SENT | 1 << BPF_TCP_SYN_RECV,
};

struct eno_segment {
	struct eno_flow flow;
	__u32 tcp_at; /* where the TCP header starts */
	__u8 syn_only;
	__u8 has_data;
};

static __always_inline int eno_read_ipv4(struct __sk_buff *skb, struct eno_segment *g)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.protocol != IPPROTO_TCP)
		return 0;
	g->flow.local[2] = g->flow.remote[2] = bpf_htonl(0xffff);
	g->flow.local[3] = ip.daddr;
	g->flow.remote[3] = ip.saddr;
	g->tcp_at = ip.ihl * 4;
	return 1;
}

/* A SYN behind extension headers goes unread: no ENO, plain TCP. */
static __always_inline int eno_read_ipv6(struct __sk_buff *skb, struct eno_segment *g)
{
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.nexthdr != IPPROTO_TCP)
		return 0;
	__builtin_memcpy(g->flow.local, &ip.daddr, sizeof(g->flow.local));
	__builtin_memcpy(g->flow.remote, &ip.saddr, sizeof(g->flow.remote));
	g->tcp_at = sizeof(ip);
	return 1;
}

/* Is this a SYN without ACK?  Then its options are in w. */
static __always_inline int eno_read_syn(struct __sk_buff *skb, struct eno_segment *g,
					struct eno_work *w)
{
	struct tcphdr tcp;
	__u32 len;

	if (!(skb->protocol == bpf_htons(ETH_P_IP) ? eno_read_ipv4(skb, g) : eno_read_ipv6(skb, g)))
		return 0;
	if (bpf_skb_load_bytes(skb, g->tcp_at, &tcp, sizeof(tcp)) || !tcp.syn || tcp.ack)
		return 0;
	__builtin_memcpy(g->flow.head, &tcp, sizeof(g->flow.head));
	g->has_data = skb->len > g->tcp_at + tcp.doff * 4;
	len = tcp.doff * 4 - sizeof(tcp);
	w->options_len = 0;
	/* Two comparisons, and not with 0: before 6.8 "!=" taught the verifier no bound. */
	ENO_KEEP(len);
	if (len > ENO_OPTION_MAX)
		return 1;
	ENO_KEEP(len);
	if (len >= ENO_HEADER_LEN &&
	    !bpf_skb_load_bytes(skb, g->tcp_at + sizeof(tcp), w->options, len))
		w->options_len = len;
	return 1;
}

static __noinline int eno_on_handshake(struct __sk_buff *skb)
{
	struct eno_segment g = {};
	struct bpf_sock *sk = skb->sk;
	struct eno_socket *s;
	struct eno_work *w;
	__u32 zero = 0;

	sk = sk ? bpf_sk_fullsock(sk) : 0;
	w = bpf_map_lookup_elem(&eno_scratch, &zero);
	if (!sk || !w || sk->protocol != IPPROTO_TCP || !eno_read_syn(skb, &g, w))
		return ENO_PASS;
	s = bpf_sk_storage_get(&eno_sockets, sk, 0, 0);
	if (g.has_data && sk->state == BPF_TCP_LISTEN && eno_fast_opens(s, w))
		return ENO_DROP; /* [8547:4.7-15] */
	if (!s || !s->enabled)
		return ENO_PASS;
	if (1 << (sk->state & 31) & ENO_SYN_STATES)
		eno_on_crossing_syn(s, w);
	else
		eno_on_listener_syn(s, w, &g.flow);
	return ENO_PASS;
}

#endif
