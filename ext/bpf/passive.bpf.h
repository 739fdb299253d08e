/* The passive opener (RFC 8547 section 4.6).
 *
 *	cgroup_skb/ingress	SYN on a listener: judge it, put the answer in
 *				this CPU's slot
 *	HDR_OPT_LEN		first SYN-ACK: the slot becomes the request's
 *				entry; retransmissions find the entry
 *	WRITE_HDR_OPT		the entry's answer, byte for byte
 *	PASSIVE_ESTABLISHED	the ACK must carry ENO; the entry becomes the
 *				accepted socket's outcome
 *
 * The ingress program sees the very listener the kernel chose, SO_REUSEPORT
 * included, which the SYN-ACK callbacks, given a request_sock, cannot.  A
 * listener answers a SYN without leaving the softirq, so one slot per CPU is
 * enough; the SYN's ports and sequence number prove it is the same SYN.
 */
#ifndef ENO_PASSIVE_BPF_H
#define ENO_PASSIVE_BPF_H

#include <linux/in.h>

#include "active.bpf.h"

/* The answer with choice n. */
static __noinline int eno_compose_answer(const struct eno_socket *s, const struct eno_work *w,
					 struct eno_bytes *answer, __u32 n)
{
	const struct eno_tep_data *d = 0;
	__u32 with;

	if (!s || !w || !answer || n >= ENO_CHOICES_MAX)
		return 0;
	with = w->with[n];
	ENO_KEEP(with);
	if (with < ENO_TEP_DATA_MAX)
		d = &s->data.entry[with];
	__builtin_memset(answer, 0, sizeof(*answer));
	return eno_answer_with(answer->at, w->choice[n], d,
			       ENO_GLOBAL_B | (s->want.self_aware ? ENO_GLOBAL_A : 0));
}

/* Section 4.5: one TEP, the last of ours that host A's option makes valid; others
 * in case it has no room. [8547:4.5-4, 4.5-5] [8548:3.2-2] */
static __always_inline void eno_choose_answer(const struct eno_socket *s, struct eno_work *w,
					      struct eno_slot *slot)
{
	struct eno_request *r = &slot->request;
	__u8 global =
		ENO_GLOBAL_B | (s->want.self_aware ? ENO_GLOBAL_A : 0); /* [8547:4.2-3, 4.3-2] */
	struct eno_walk walk = { .work = w, .socket = s };
	__u32 n;

	__builtin_memset(&w->outcome, 0, sizeof(w->outcome));
	w->choices = 0;
	w->outcome.local_b = 1;
	w->outcome.peer_aware = (w->remote.global & ENO_GLOBAL_A) != 0;
	w->outcome.reason = eno_judge(&w->remote, global, s->want.self_aware == 2);
	if (w->outcome.reason)
		return;
	bpf_loop(ENO_OPTION_MAX, eno_choose_one, &walk, 0);
	if (!w->choices) {
		w->outcome.reason = ENO_NO_VALID_TEP; /* [8547:4.6-5] [8548:3.2-3] */
		return;
	}
	r->answer_len = eno_compose_answer(s, w, &r->answer, 0);
	w->outcome.tep_byte = r->answer.at[3];
	slot->others = w->choices - 1;
	for (n = 0; n < ENO_CHOICES_MAX - 1; n++)
		if (n < slot->others)
			eno_compose_answer(s, w, &slot->other[n], n + 1);
	eno_find_session(s, w, &r->proposed);
}

/* TCP_ENO_RAW on a listener: sent as it is, if section 4.6 lets a passive
 * opener send any option at all (a vacuous one only answers an ENO option;
 * b = 1 always).  What else is wrong with the two options, host A sees too;
 * that its a = 0 does not do here it cannot know, and would encrypt alone.
 * [8547:4.6-14, 4.6-16, 4.6-17, 4.6-18] */
static __always_inline void eno_raw_answer(const struct eno_socket *s, struct eno_work *w,
					   struct eno_request *r)
{
	eno_parse_bytes(w, &w->local, &s->want.raw, s->want.raw_len);
	eno_agree(w, s);
	if (!(w->local.global & ENO_GLOBAL_B))
		w->outcome.reason = ENO_SAME_ROLE;
	else if (!w->remote.reason && w->outcome.reason != ENO_PEER_NOT_AWARE) {
		r->answer = s->want.raw;
		r->answer_len = s->want.raw_len;
	}
}

static __always_inline void eno_refuse_answer(struct eno_work *w)
{
	__builtin_memset(&w->outcome, 0, sizeof(w->outcome));
	w->outcome.peer_aware = (w->remote.global & ENO_GLOBAL_A) != 0;
	w->outcome.reason = ENO_HOST_POLICY;
}

static __noinline int eno_answer_syn(const struct eno_socket *s, struct eno_work *w,
				     struct eno_slot *slot)
{
	struct eno_request *r = &slot->request;

	if (!s || !w || !slot)
		return 0;
	slot->others = 0;
	__builtin_memset(&r->answer, 0, sizeof(r->answer));
	__builtin_memset(&r->proposed, 0, sizeof(r->proposed));
	r->answer_len = 0;
	r->nonce_len = s->want.nonce_len;
	if (!eno_permits(s, ENO_POLICY_NO_LISTEN, r->flow.head[2] << 8 | r->flow.head[3]))
		eno_refuse_answer(w);
	else if (s->want.raw_len)
		eno_raw_answer(s, w, r);
	else
		eno_choose_answer(s, w, slot);
	__builtin_memcpy(r->remote.at, w->remote.option, ENO_OPTION_MAX);
	r->remote_len = w->remote.len;
	r->outcome = w->outcome;
	return 0;
}

static __always_inline struct eno_request *eno_known(const struct eno_flow *flow)
{
	__u64 *cookie = bpf_map_lookup_elem(&eno_flows, flow);

	return cookie ? bpf_map_lookup_elem(&eno_requests, cookie) : 0;
}

/* Section 4.6: a retransmitted SYN must carry the same option.  One with
 * another sequence number is not ours to judge: TCP itself rejects it. */
static __always_inline void eno_on_listener_syn(const struct eno_socket *s, struct eno_work *w,
						const struct eno_flow *flow)
{
	struct eno_request *r = eno_known(flow);
	struct eno_slot *slot;
	__u32 zero = 0;

	eno_collect(w, ENO_SYN_WITHOUT_ENO);
	if (r) {
		if (!eno_same((struct eno_bytes *)w->remote.option, &r->remote)) {
			r->answer_len = 0;
			eno_wipe(&r->session);
			if (!r->outcome.reason)
				r->outcome.reason = ENO_SYN_CHANGED;
		}
		return;
	}
	slot = bpf_map_lookup_elem(&eno_slot, &zero);
	if (!slot)
		return;
	slot->request.flow = *flow;
	eno_answer_syn(s, w, slot);
}

static __always_inline int eno_is_slots_syn(struct bpf_sock_ops *ctx, const struct eno_slot *slot)
{
	__u64 head = 0;
	long len = bpf_getsockopt(ctx, IPPROTO_TCP, TCP_BPF_SYN, &head, sizeof(head));

	/* ENOSPC: the SYN is there and longer than the eight bytes we want */
	return len == -28 && head == *(const __u64 *)slot->request.flow.head;
}

/* The slot becomes the request's entry. */
static __always_inline struct eno_request *eno_adopt(struct bpf_sock_ops *ctx, __u64 cookie,
						     struct eno_slot *slot)
{
	struct eno_flow *flow = &slot->request.flow;

	if (!eno_is_slots_syn(ctx, slot) ||
	    bpf_map_update_elem(&eno_requests, &cookie, &slot->request, BPF_ANY))
		return 0;
	bpf_map_update_elem(&eno_flows, flow, &cookie, BPF_ANY);
	__builtin_memset(flow->head, 0, sizeof(flow->head));
	return bpf_map_lookup_elem(&eno_requests, &cookie);
}

/* Room for so much, of which some is reserved already? */
static __always_inline int eno_makes_room(struct bpf_sock_ops *ctx, __u32 len, __u32 reserved)
{
	return len <= reserved || !bpf_reserve_hdr_opt(ctx, len - reserved, 0);
}

static __always_inline void eno_has_no_room(struct eno_request *r)
{
	r->answer_len = 0;
	r->outcome.reason = ENO_NO_ROOM;
	eno_wipe(&r->session);
}

/* The best answer that has room. */
static __noinline int eno_reserve_answer(struct bpf_sock_ops *ctx, struct eno_request *r,
					 const struct eno_slot *slot, __u32 reserved)
{
	__u32 n;

	if (!r || !slot)
		return 0;
	if (eno_makes_room(ctx, r->answer_len, reserved))
		return 1;
	for (n = 0; n < ENO_CHOICES_MAX - 1; n++) {
		if (n >= slot->others)
			break;
		if (eno_makes_room(ctx, slot->other[n].at[1], reserved)) {
			r->answer = slot->other[n];
			r->answer_len = r->answer.at[1];
			r->outcome.tep_byte = r->answer.at[3];
			return 1;
		}
	}
	eno_has_no_room(r);
	return 0;
}

/* RFC 8548 section 3.5, figures 2 and 3, after the explicit global suboption.
 * [8548:3.5-7, 3.5-9, 3.5-21] */
static __always_inline void eno_compose_resumption(struct eno_request *r, __u32 nonce_len)
{
	__u64 nonce = eno_nonce(&r->session, nonce_len);

	r->outcome.tep_byte = r->answer.at[3] = ENO_V | r->session.tep;
	r->outcome.resumed = 1;
	__builtin_memcpy(&r->answer.at[4], r->session.local, TCPCRYPT_RESUME_HALF);
	__builtin_memcpy(&r->answer.at[4 + TCPCRYPT_RESUME_HALF], &nonce, sizeof(nonce));
	r->answer_len = r->answer.at[1] = 4 + TCPCRYPT_RESUME_HALF + nonce_len;
}

/* "SHOULD agree to resume".  Room first, then the claim: a secret claimed for
 * an answer that does not fit would be lost.  Answered afresh: what is reserved,
 * which TCP pads, and 0 if that is nothing. [8548:3.5-10, 3.5-12] */
static __noinline int eno_resume(struct bpf_sock_ops *ctx, struct eno_request *r)
{
	__u32 nonce_len;
	int i;

	if (!r)
		return 0;
	nonce_len = r->nonce_len;
	if (nonce_len > TCPCRYPT_NONCE_MAX)
		return 0;
#pragma unroll
	for (i = 0; i <= TCPCRYPT_NONCE_MAX - ENO_NONCE_LEAST; i++) {
		if (!bpf_reserve_hdr_opt(ctx, 4 + TCPCRYPT_RESUME_HALF + nonce_len, 0)) {
			if (!eno_claim(&r->proposed, &r->session))
				return 4 + TCPCRYPT_RESUME_HALF + nonce_len;
			eno_compose_resumption(r, nonce_len);
			return r->answer_len;
		}
		if (nonce_len <= ENO_NONCE_LEAST)
			break;
		nonce_len--;
	}
	return 0;
}

static __always_inline void eno_reserve_syn_ack(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct eno_request *r;
	struct eno_slot *slot;
	__u32 zero = 0;

	/* Nothing would remember what a SYN cookie's SYN-ACK said. */
	if (ctx->args[0] == BPF_WRITE_HDR_TCP_SYNACK_COOKIE)
		return;
	r = bpf_map_lookup_elem(&eno_requests, &cookie);
	if (r) {
		if (r->answer_len && bpf_reserve_hdr_opt(ctx, r->answer_len, 0))
			eno_has_no_room(r);
		return;
	}
	slot = bpf_map_lookup_elem(&eno_slot, &zero);
	r = slot ? eno_adopt(ctx, cookie, slot) : 0;
	if (r && r->answer_len)
		eno_reserve_answer(ctx, r, slot, r->proposed.tep ? eno_resume(ctx, r) : 0);
}

static __always_inline void eno_write_syn_ack(struct bpf_sock_ops *ctx)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct eno_request *r = bpf_map_lookup_elem(&eno_requests, &cookie);

	if (r && ctx->args[0] != BPF_WRITE_HDR_TCP_SYNACK_COOKIE)
		eno_store(ctx, &r->answer, r->answer_len); /* [8547:4.1-7, 4.6-7] */
}

static __always_inline void eno_on_accepted(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct eno_request *r = bpf_map_lookup_elem(&eno_requests, &cookie);
	struct eno_bytes found;

	eno_forget(s);
	if (!r) {
		/* Only a peer that was answered with ENO sends it now. */
		eno_disable(s, eno_carries(ctx, &found) ? ENO_FORGOTTEN : ENO_SYN_COOKIE);
		return;
	}
	s->local = r->answer;
	s->local_len = r->answer_len;
	s->remote = r->remote;
	s->remote_len = r->remote_len;
	s->outcome = r->outcome;
	s->session = r->session;
	eno_wipe(&r->session);
	bpf_map_delete_elem(&eno_flows, &r->flow);
	bpf_map_delete_elem(&eno_requests, &cookie);
	if (!s->outcome.reason && !eno_carries(ctx, &found)) /* [8547:4.6-4] */
		s->outcome.reason = ENO_ACK_WITHOUT_ENO;
	eno_conclude(s, s->outcome.reason);
	eno_watch(ctx, s);
}

static __noinline int eno_on_passive_established(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);

	if (!s)
		return 0;
	if (s->state == ENO_STATE_OFFERED || s->state == ENO_STATE_DISABLED) {
		eno_on_crossed_established(ctx, s);
		return 0;
	}
	/* The listener's callbacks were cloned with it; the ACK was a non-SYN segment. */
	eno_end_callbacks(ctx);
	if (s->enabled)
		eno_on_accepted(ctx, s);
	return 0;
}

static __always_inline void eno_on_listen(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);

	if (!s)
		return;
	eno_forget(s);
	eno_note_fast_open(s, ENO_FAST_OPEN_OFF, 0); /* listen() may have switched it on */
	s->state = s->enabled ? ENO_STATE_READY : ENO_STATE_OFF;
	if (s->enabled)
		eno_want_callbacks(ctx, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
}

#endif
