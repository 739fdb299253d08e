/* An active opener's proposal to resume (RFC 8548 section 3.5), and its offer
 * without one.
 */
#ifndef ENO_RESUME_BPF_H
#define ENO_RESUME_BPF_H

#include "session.bpf.h"

/* Section 4.2: b = 1 only if asked for, a = 1 only if application-aware.
 * [8547:4.2-4, 4.2-6, 4.2-9] */
static __always_inline __u8 eno_global(const struct eno_socket *s)
{
	return (s->want.role_b ? ENO_GLOBAL_B : 0) | (s->want.self_aware ? ENO_GLOBAL_A : 0);
}

/* eno_offer() in fixed sizes, which is what the verifier can follow. [8547:4.7-2] */
static __always_inline void eno_compose(struct eno_socket *s)
{
	__u8 global = eno_global(s);

	if (s->want.raw_len) {
		s->local = s->want.raw;
		s->local_len = s->want.raw_len;
		return;
	}
	eno_permit_teps(s);
	__builtin_memset(&s->local, 0, sizeof(s->local));
	s->local.at[0] = ENO_KIND;
	if (global) {
		s->local.at[2] = global;
		__builtin_memcpy(&s->local.at[3], s->permitted.at, ENO_OPTION_MAX - 3);
		s->local_len = s->permitted_len + 3;
	} else {
		__builtin_memcpy(&s->local.at[2], s->permitted.at, ENO_OPTION_MAX - 2);
		s->local_len = s->permitted_len + 2;
	}
	s->local.at[1] = s->local_len;
}

/* The TEPs besides the session's, to w->options. */
static long eno_other_tep_one(__u32 i, struct eno_walk *walk)
{
	const struct eno_socket *s = walk->socket;
	struct eno_work *w = walk->work;
	__u32 at = w->options_len;

	if (i >= s->permitted_len || i >= ENO_OPTION_MAX || at >= ENO_OPTION_MAX)
		return 1;
	if (s->permitted.at[i] != s->session.tep) {
		w->options[at] = s->permitted.at[i];
		w->options_len = at + 1;
	}
	return 0;
}

/* Figures 2 and 3, last, so that no length byte is needed; one, and never more.
 * [8548:3.5-7, 3.5-9, 3.5-23, 3.5-24, 3.5-25] */
static __noinline int eno_compose_proposal(struct eno_socket *s, struct eno_work *w)
{
	struct eno_walk walk = { .work = w, .socket = s };
	__u32 nonce_len, at;
	__u64 nonce;

	if (!s || !w)
		return 0;
	nonce_len = s->want.nonce_len;
	__builtin_memset(w->options, 0, sizeof(w->options));
	w->options[0] = ENO_KIND;
	w->options[ENO_HEADER_LEN] = eno_global(s);
	w->options_len = ENO_HEADER_LEN + (eno_global(s) != 0);
	bpf_loop(ENO_OPTION_MAX, eno_other_tep_one, &walk, 0);
	at = w->options_len;
	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX - ENO_SUBOPTION_LEAST)
		return 0;
	if (nonce_len > ENO_OPTION_MAX - ENO_SUBOPTION_LEAST - at)
		nonce_len = ENO_OPTION_MAX - ENO_SUBOPTION_LEAST - at;
	nonce = eno_nonce(&s->session, nonce_len);
	w->options[at] = ENO_V | s->session.tep;
	__builtin_memcpy(&w->options[at + 1], s->session.local, TCPCRYPT_RESUME_HALF);
	__builtin_memcpy(&w->options[at + ENO_SUBOPTION_LEAST], &nonce, sizeof(nonce));
	s->local_len = at + ENO_SUBOPTION_LEAST + nonce_len;
	w->options[1] = s->local_len;
	__builtin_memcpy(s->local.at, w->options, ENO_OPTION_MAX);
	s->spare = nonce_len > ENO_NONCE_LEAST ? nonce_len - ENO_NONCE_LEAST : 0;
	return 1;
}

/* Is there room for a nonce as long as wanted, or as short as is allowed? */
static __always_inline int eno_may_propose(const struct eno_socket *s)
{
	__u32 nonce = s->want.nonce_len < ENO_NONCE_LEAST ? s->want.nonce_len : ENO_NONCE_LEAST;
	__u32 len = ENO_HEADER_LEN + (eno_global(s) != 0) + s->permitted_len;

	return eno_resumes(&s->want) && len + TCPCRYPT_RESUME_HALF + nonce <= ENO_OPTION_MAX;
}

static __always_inline void eno_propose(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_work *w;

	eno_permit_teps(s);
	if (sk && eno_may_propose(s) && eno_take_session(s, sk)) {
		w = bpf_sk_storage_get(&eno_work, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		if (w && eno_compose_proposal(s, w))
			return;
		eno_wipe(&s->session);
	}
	eno_compose(s);
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
 * resumption than no encryption. */
static __noinline int eno_reserve_proposal(struct bpf_sock_ops *ctx, struct eno_socket *s)
{
	int i;

	if (!s)
		return -1;
#pragma unroll
	for (i = 0; i <= TCPCRYPT_NONCE_MAX - ENO_NONCE_LEAST; i++) {
		if (!bpf_reserve_hdr_opt(ctx, s->local_len, 0))
			return 0;
		if (!eno_shorten(s))
			break;
	}
	eno_wipe(&s->session);
	eno_compose(s);
	return bpf_reserve_hdr_opt(ctx, s->local_len, 0);
}

#endif
