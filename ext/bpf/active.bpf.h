/* The active opener (RFC 8547 section 4.6), and simultaneous open.
 *
 *	TCP_CONNECT_CB		compose the SYN's option, ask for callbacks
 *	HDR_OPT_LEN, WRITE	SYN form in SYN segments, non-SYN form after
 *	ACTIVE_ESTABLISHED	judge the SYN-ACK
 *	PARSE_HDR_OPT		a non-SYN segment came: nothing more to write
 *
 * All of these run with the socket locked.
 */
#ifndef ENO_ACTIVE_BPF_H
#define ENO_ACTIVE_BPF_H

#include "fastopen.bpf.h"
#include "resume.bpf.h"

enum { ENO_TH_SYN = 0x02, ENO_TH_ACK = 0x10 }; /* in skb_tcp_flags */

enum {
	ENO_CALLBACKS = BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG | BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG,
};

static __always_inline void eno_want_callbacks(struct bpf_sock_ops *ctx, int flags)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | flags);
}

static __always_inline void eno_end_callbacks(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags & ~ENO_CALLBACKS);
}

static __always_inline struct eno_socket *eno_socket_of(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&eno_sockets, sk, 0, 0) : 0;
}

static __always_inline void eno_forget(struct eno_socket *s)
{
	s->reason = 0;
	s->crossed = 0;
	s->syns = 0;
	s->acked = 0;
	s->active = 0;
	s->offered = 0;
	s->spare = 0;
	s->original_b = 0;
	s->tag = 0;
	s->local_len = 0;
	s->remote_len = 0;
	s->transcript_len = 0;
	s->sessid_len = 0;
	__builtin_memset(&s->outcome, 0, sizeof(s->outcome));
	__builtin_memset(&s->local, 0, sizeof(s->local));
	__builtin_memset(&s->remote, 0, sizeof(s->remote));
	__builtin_memset(s->transcript, 0, sizeof(s->transcript));
	__builtin_memset(s->sessid, 0, sizeof(s->sessid));
	__builtin_memset(&s->put, 0, sizeof(s->put));
	eno_wipe(&s->session);
}

/* A secret that nobody fetches must not outlive its connection. */
static __always_inline void eno_watch(struct bpf_sock_ops *ctx, const struct eno_socket *s)
{
	if (s->session.tep)
		eno_want_callbacks(ctx, BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline void eno_on_state(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);

	if (s && ctx->args[1] == BPF_TCP_CLOSE)
		eno_wipe(&s->session);
}

static __always_inline void eno_on_connect(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);

	if (!s || !s->enabled)
		return;
	eno_forget(s);
	if (!eno_permits(s, ENO_POLICY_NO_CONNECT, bpf_ntohl(ctx->remote_port))) {
		eno_disable(s, ENO_HOST_POLICY);
		return;
	}
	if (!eno_propose(ctx, s)) {
		eno_disable(s, ENO_UNAVAILABLE);
		return;
	}
	s->active = 1;
	s->state = ENO_STATE_OFFERED;
	eno_want_callbacks(ctx, ENO_CALLBACKS);
	eno_watch(ctx, s);
}

/* How many bytes of ENO this segment carries. [8547:4.6-1] */
static __always_inline __u32 eno_due(const struct eno_socket *s, struct bpf_sock_ops *ctx)
{
	if (s->state != ENO_STATE_OFFERED && s->state != ENO_STATE_ENCRYPTED)
		return 0;
	return ctx->skb_tcp_flags & ENO_TH_SYN ? s->local_len : ENO_HEADER_LEN;
}

/* Only a non-SYN segment acknowledges more than the SYN, or brings data.  The
 * kernel's fast path, which a peer without window scaling gets at once, takes
 * such a segment without PARSE_HDR_OPT. */
static __always_inline int eno_heard(struct bpf_sock_ops *ctx)
{
	return ctx->bytes_acked > 1 || ctx->bytes_received;
}

static __always_inline int eno_is_syn_only(struct bpf_sock_ops *ctx)
{
	return (ctx->skb_tcp_flags & (ENO_TH_SYN | ENO_TH_ACK)) == ENO_TH_SYN;
}

static __always_inline void eno_reserve(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	__u32 len = eno_due(s, ctx);

	if (!len)
		return;
	if (!(ctx->skb_tcp_flags & ENO_TH_SYN) && s->acked && eno_heard(ctx)) {
		eno_end_callbacks(ctx);
		return;
	}
	/* Section 4.7: no data in a SYN+ENO segment, so MSG_FASTOPEN goes without ENO
	 * [8547:4.7-3, 4.7-21] */
	if ((ctx->skb_tcp_flags & ENO_TH_SYN) && ctx->skb_len)
		eno_disable(s, ENO_FAST_OPEN);
	else if (eno_is_syn_only(ctx) && eno_gives_up(s))
		eno_disable(s, ENO_NO_ANSWER);
	else if (!s->offered && (s->session.tep || eno_sends_data(s)) ?
			 eno_reserve_first(ctx, s) :
			 bpf_reserve_hdr_opt(ctx, len, 0))
		eno_disable(s, ENO_NO_ROOM);
	else
		s->offered = 1;
}

/* Comparisons the compiler may not fold into one of len - 2. */
static __always_inline void eno_store(struct bpf_sock_ops *ctx, const struct eno_bytes *option,
				      __u32 len)
{
	ENO_KEEP(len);
	if (len > ENO_OPTION_MAX)
		return;
	ENO_KEEP(len);
	if (len >= ENO_HEADER_LEN)
		bpf_store_hdr_opt(ctx, option->at, len, 0);
}

static __always_inline void eno_write(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	/* [8547:4.1-2, 4.1-4, 4.6-2] */
	__u8 ack[ENO_HEADER_LEN] = { ENO_KIND, ENO_HEADER_LEN }; /* figure 3, N = 0 */
	__u32 len = eno_due(s, ctx);

	if (!len)
		return;
	if (!(ctx->skb_tcp_flags & ENO_TH_SYN))
		s->acked = !bpf_store_hdr_opt(ctx, ack, sizeof(ack), 0);
	else if (eno_opens_fast(ctx))
		eno_disable(s, ENO_FAST_OPEN); /* what was reserved becomes NOPs */
	else
		eno_store(ctx, &s->local, len); /* [8547:4.1-7, 4.6-7] */
	if (eno_is_syn_only(ctx) && s->syns < ENO_SYNS_MAX)
		s->syns++;
}

/* The options of the segment at hand, into w. */
static __always_inline void eno_load_options(struct bpf_sock_ops *ctx, struct eno_work *w)
{
	const __u8 *at = ctx->skb_data, *end = ctx->skb_data_end;
	int i;

	at += 20;
	w->options_len = 0;
#pragma unroll
	for (i = 0; i < ENO_OPTION_MAX; i++) {
		if (at + i + 1 > end)
			break;
		w->options[i] = at[i];
		w->options_len = i + 1;
	}
}

static __always_inline void eno_keep(struct eno_socket *s, const struct eno_work *w)
{
	__builtin_memcpy(s->remote.at, w->remote.option, ENO_OPTION_MAX);
	s->remote_len = w->remote.len;
	s->outcome = w->outcome;
}

/* What was sent against what came, w->remote. */
static __always_inline void eno_negotiate_sent(struct eno_socket *s, struct eno_work *w)
{
	eno_parse_bytes(w, &w->local, &s->local, s->local_len);
	if (s->session.tep)
		eno_ignore_other_half(&w->remote, s->session.tep, s->session.remote);
	eno_agree(w, s);
	eno_keep(s, w);
}

static __always_inline void eno_judge_syn_ack(struct bpf_sock_ops *ctx, struct eno_socket *s,
					      struct eno_work *w)
{
	eno_load_options(ctx, w);
	eno_collect(w, ENO_SYN_ACK_WITHOUT_ENO);
	eno_negotiate_sent(s, w);
	eno_conclude(s, w->outcome.reason);
}

static __noinline int eno_on_active_established(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);
	struct bpf_sock *sk = ctx->sk;
	struct eno_work *w;

	if (!s || !sk || s->state != ENO_STATE_OFFERED)
		return 0;
	w = bpf_sk_storage_get(&eno_work, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (w)
		eno_judge_syn_ack(ctx, s, w);
	else
		eno_disable(s, ENO_UNAVAILABLE);
	bpf_sk_storage_delete(&eno_work, sk);
	if (s->state != ENO_STATE_ENCRYPTED) /* [8547:4.6-3] [8548:3.5-16, 3.5-17, 3.5-18] */
		eno_end_callbacks(ctx);
	return 0;
}

/* Section 4.6: "until ... the host receives a non-SYN segment", but not before
 * "a host has both sent and received an ACK segment containing an ENO option":
 * a challenge ACK, which a crossing SYN draws, may come before our first ACK. */
static __always_inline void eno_on_segment(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s = eno_socket_of(ctx);

	if (ctx->skb_tcp_flags & ENO_TH_SYN)
		return;
	if (!s || s->acked || s->state == ENO_STATE_DISABLED)
		eno_end_callbacks(ctx);
}

/* A SYN that crossed ours, seen by the ingress program: judged at once, so
 * that our SYN-ACK goes without ENO if it ruled encryption out. [8547:4.6-9] [8548:3.5-22] */
static __always_inline void eno_on_crossing_syn(struct eno_socket *s, struct eno_work *w)
{
	if (s->state != ENO_STATE_OFFERED)
		return;
	eno_collect(w, ENO_SYN_WITHOUT_ENO);
	if (s->crossed) {
		if (!eno_same((struct eno_bytes *)w->remote.option, &s->remote))
			eno_disable(s, ENO_SYN_CHANGED);
		return;
	}
	eno_negotiate_sent(s, w);
	s->crossed = 1;
	if (w->outcome.reason)
		eno_disable(s, w->outcome.reason);
}

static __always_inline int eno_carries(struct bpf_sock_ops *ctx, struct eno_bytes *found)
{
	int len;

	__builtin_memset(found, 0, sizeof(*found));
	found->at[0] = ENO_KIND;
	len = bpf_load_hdr_opt(ctx, found->at, sizeof(found->at), 0);
	/* [8547:4.1-3, 4.1-10] */
	return len > 0 || len == -28 /* ENOSPC: longer than any we sent */;
}

/* The segment that ends a simultaneous open: the SYN-ACK, or an ACK where an
 * older kernel answered the SYN-ACK by a challenge. */
static __always_inline void eno_on_crossed_established(struct bpf_sock_ops *ctx,
						       struct eno_socket *s)
{
	int syn = ctx->skb_tcp_flags & ENO_TH_SYN;
	struct eno_bytes found;

	if (s->state != ENO_STATE_OFFERED || !s->crossed)
		eno_disable(s, s->reason ? s->reason : ENO_SYN_WITHOUT_ENO);
	else if (!eno_carries(ctx, &found))
		eno_disable(s, ENO_ACK_WITHOUT_ENO);
	else if (syn && !eno_same(&found, &s->remote))
		eno_disable(s, ENO_SYN_CHANGED);
	else
		eno_conclude(s, ENO_NEGOTIATED);
	if (!syn || s->state != ENO_STATE_ENCRYPTED)
		eno_end_callbacks(ctx);
}

#endif
