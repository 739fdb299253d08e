/* An active opener's proposal to resume (RFC 8548 section 3.5), and room for it.
 */
#ifndef ENO_RESUME_BPF_H
#define ENO_RESUME_BPF_H

#include "offer.bpf.h"
#include "session.bpf.h"

/* Figures 2 and 3, last, so that no length byte is needed; one, and never more.
 * [8548:3.5-7, 3.5-9, 3.5-23, 3.5-24, 3.5-25] */
static __noinline int eno_compose_proposal(struct eno_socket *s, struct eno_work *w)
{
	__u32 nonce_len, at;
	__u64 nonce;

	if (!s || !w)
		return 0;
	nonce_len = s->want.nonce_len;
	w->offer.gone = 0;
	eno_compose_teps(s, w, s->session.tep);
	at = w->offer.len;
	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX - ENO_SUBOPTION_LEAST)
		return 0;
	if (nonce_len > ENO_OPTION_MAX - ENO_SUBOPTION_LEAST - at)
		nonce_len = ENO_OPTION_MAX - ENO_SUBOPTION_LEAST - at;
	nonce = eno_nonce(&s->session, nonce_len);
	w->offer.option[at] = ENO_V | s->session.tep;
	__builtin_memcpy(&w->offer.option[at + 1], s->session.local, TCPCRYPT_RESUME_HALF);
	__builtin_memcpy(&w->offer.option[at + ENO_SUBOPTION_LEAST], &nonce, sizeof(nonce));
	s->local_len = at + ENO_SUBOPTION_LEAST + nonce_len;
	w->offer.option[1] = s->local_len;
	__builtin_memcpy(s->local.at, w->offer.option, ENO_OPTION_MAX);
	s->spare = nonce_len > ENO_NONCE_LEAST ? nonce_len - ENO_NONCE_LEAST : 0;
	return 1;
}

/* Is there room for a nonce as long as wanted, or as short as is allowed? */
static __always_inline int eno_may_propose(struct eno_socket *s, struct eno_work *w)
{
	__u32 nonce = s->want.nonce_len < ENO_NONCE_LEAST ? s->want.nonce_len : ENO_NONCE_LEAST;
	__u32 len = ENO_HEADER_LEN + (eno_global(s) != 0) + s->permitted_len;

	if (!eno_resumes(&s->want))
		return 0;
	if (w && eno_sends_data(s)) {
		w->offer.gone = 0;
		eno_compose_teps(s, w, 0);
		len = w->offer.len;
	}
	return len + TCPCRYPT_RESUME_HALF + nonce <= ENO_OPTION_MAX;
}

/* 0: there is no option to send. */
static __always_inline int eno_propose(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_work *w = 0;

	eno_permit_teps(s);
	if (eno_sends_data(s)) {
		w = eno_work_of(sk);
		if (!w)
			return 0;
	}
	if (sk && eno_may_propose(s, w) && eno_take_session(s, sk)) {
		if (!w)
			w = eno_work_of(sk);
		if (w && eno_compose_proposal(s, w))
			return 1;
		eno_wipe(&s->session);
	}
	return eno_compose(s, w);
}

/* One byte of the nonce less. */
static __always_inline int eno_shorten(struct eno_socket *s)
{
	__u32 last = s->local_len - 1;

	ENO_KEEP(last);
	if (!s->spare || last >= ENO_OPTION_MAX)
		return 0;
	s->spare--;
	s->local.at[last] = 0;
	s->local_len = s->local.at[1] = last;
	return 1;
}

/* The first SYN's room: rather a shorter nonce than no resumption, rather no
 * resumption than a TEP without its data, rather that than no encryption. */
static __noinline int eno_reserve_first(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_work *w = 0;
	int i;

	if (!s)
		return -1;
	if (eno_sends_data(s))
		w = eno_work_of(sk);
	if (!s->session.tep)
		return eno_reserve_offer(ctx, s, w);
#pragma unroll
	for (i = 0; i <= TCPCRYPT_NONCE_MAX - ENO_NONCE_LEAST; i++) {
		if (!bpf_reserve_hdr_opt(ctx, s->local_len, 0))
			return 0;
		if (!eno_shorten(s))
			break;
	}
	eno_wipe(&s->session);
	return eno_compose(s, w) ? eno_reserve_offer(ctx, s, w) : -1;
}

#endif
