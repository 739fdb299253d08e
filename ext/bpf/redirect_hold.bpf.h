/* The SYN of a diverted connection is held: it does not leave, and the relay
 * gets its headers, once.  The relay sends it on when the far connection stands,
 * or answers it when that failed, so connect(2) ends as it would have ended.
 */
#ifndef ENO_REDIRECT_HOLD_BPF_H
#define ENO_REDIRECT_HOLD_BPF_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "redirect_maps.bpf.h"

enum { ENO_DROP = 0, ENO_PASS = 1 };

/* Bytes of the IP and TCP headers; 0 if they are not understood. */
static __always_inline __u32 eno_headers_len(struct __sk_buff *skb)
{
	struct ipv6hdr ip6;
	struct iphdr ip;
	struct tcphdr tcp;
	__u32 at = sizeof(ip6);

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return 0;
		at = ip.ihl * 4;
	} else if (bpf_skb_load_bytes(skb, 0, &ip6, sizeof(ip6)) || ip6.nexthdr != IPPROTO_TCP) {
		return 0;
	}
	if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)))
		return 0;
	return at + tcp.doff * 4;
}

/* 0 if the ring is full: the next retransmission tries again. */
static __always_inline int eno_report(struct __sk_buff *skb, const struct eno_event *event)
{
	struct eno_held *held = bpf_ringbuf_reserve(&eno_events, sizeof(*held), 0);
	__u32 len;

	if (!held)
		return 0;
	held->event = *event;
	__builtin_memset(held->packet, 0, sizeof(held->packet));
	len = eno_headers_len(skb);
	ENO_KEEP(len);
	if (len > ENO_PACKET_MAX)
		len = 0;
	ENO_KEEP(len);
	if (len >= sizeof(struct tcphdr) && !bpf_skb_load_bytes(skb, 0, held->packet, len))
		held->event.len = len;
	bpf_ringbuf_submit(held, 0);
	return 1;
}

static __always_inline int eno_on_syn(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk ? bpf_sk_fullsock(skb->sk) : 0;
	struct eno_event event = {};
	const struct eno_verdict *verdict;
	struct eno_origin *origin;

	if (!sk || sk->protocol != IPPROTO_TCP)
		return ENO_PASS;
	origin = bpf_sk_storage_get(&eno_origins, sk, 0, 0);
	if (!origin)
		return ENO_PASS;
	eno_name_source(sk, &event.source);
	event.attempt = origin->attempt;
	verdict = bpf_map_lookup_elem(&eno_verdicts, &event.source);
	if (verdict && verdict->attempt == event.attempt) {
		if (!verdict->error)
			return ENO_PASS;
		/* The answer was lost on a socket in use: it needs another. */
		event.kind = ENO_EVENT_AGAIN;
	} else if (origin->state == ENO_HELD) {
		return ENO_DROP;
	}
	event.owner = origin->owner;
	event.remote = origin->remote;
	if (eno_report(skb, &event))
		origin->state = ENO_HELD;
	return ENO_DROP;
}

#endif
