/* Reading TCP_ENO_* socket options: each function writes the value and its
 * length, or gives an errno.  The caller's buffer has to hold the longest value.
 */
#ifndef ENO_GETSOCKOPT_BPF_H
#define ENO_GETSOCKOPT_BPF_H

#include "sockopt.bpf.h"

/* What was put with the session that the connection resumes, to who has room. */
static __always_inline void eno_give_original(struct bpf_sockopt *ctx, const struct eno_socket *s)
{
	struct eno_result *result = ctx->optval;

	if ((void *)(result + 1) > ctx->optval_end)
		return;
	result->original_b = s ? s->original_b : 0;
	result->given = 0;
	result->tag = s ? s->tag : 0;
	result->pad2 = 0;
	ctx->optlen = sizeof(*result);
}

static __noinline int eno_give_result(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_result *result = ctx->optval;
	struct eno_socket *s;

	if (!sk || (void *)result + ENO_RESULT_V1 > ctx->optval_end)
		return -ENO_EINVAL;
	__builtin_memset(result, 0, ENO_RESULT_V1);
	ctx->optlen = ENO_RESULT_V1;
	s = bpf_sk_storage_get(&eno_sockets, sk, 0, 0);
	eno_give_original(ctx, s);
	result->reason = ENO_NOT_CONFIGURED;
	if (!s || s->state == ENO_STATE_OFF)
		return 0;
	result->state = s->state;
	result->reason = s->reason;
	result->self_aware = s->want.self_aware;
	result->peer_aware = s->outcome.peer_aware;
	result->role = s->outcome.local_b;
	if (s->state != ENO_STATE_ENCRYPTED)
		return 0;
	result->tep_byte = s->outcome.tep_byte;
	result->resumed = s->outcome.resumed;
	result->transcript_len = s->transcript_len;
	__builtin_memcpy(result->transcript, s->transcript, ENO_TRANSCRIPT_MAX);
	return 0;
}

static __noinline int eno_give_result_and_secret(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct eno_taken *taken = ctx->optval;
	int err;

	if ((void *)(taken + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	err = eno_give_result(ctx);
	if (err)
		return err;
	ctx->optlen = sizeof(*taken);
	__builtin_memset(taken->ss, 0, sizeof(taken->ss));
	if (!s || s->state != ENO_STATE_ENCRYPTED || !s->session.tep || !s->outcome.resumed)
		return 0;
	taken->result.given = 1;
	__builtin_memcpy(taken->ss, s->session.ss, sizeof(taken->ss));
	eno_wipe(&s->session);
	return 0;
}

/* What only an encrypted connection has. */
static __always_inline int eno_get_negotiated(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	if (!s || s->state != ENO_STATE_ENCRYPTED)
		return -ENO_ENOTCONN;
	switch (ctx->optname) {
	case TCP_ENO_ROLE:
		return eno_give_int(ctx, s->outcome.local_b);
	case TCP_ENO_NEGTEP:
		return eno_give_int(ctx, s->outcome.tep_byte);
	case TCP_ENO_TRANSCRIPT:
		return ENO_GIVE(ctx, s->transcript, ENO_TRANSCRIPT_MAX, s->transcript_len);
	case TCP_ENO_SESSION_TAKE:
		return eno_take_secret(ctx, s);
	default: /* TCP_ENO_SESSID [8547:5.1-2, 5.1-3] */
		if (!s->sessid_len)
			return -ENO_ENOTCONN;
		return ENO_GIVE(ctx, s->sessid, ENO_SESSID_MAX, s->sessid_len);
	}
}

static __always_inline int eno_get_setting(struct bpf_sockopt *ctx, const struct eno_socket *s)
{
	switch (ctx->optname) {
	case TCP_ENO_ENABLED:
		return eno_give_int(ctx, s->enabled);
	case TCP_ENO_SELF_AWARE:
		return eno_give_int(ctx, s->want.self_aware);
	case TCP_ENO_ROLEOVERRIDE:
		return eno_give_int(ctx, s->want.role_b);
	case TCP_ENO_STATE:
		return eno_give_int(ctx, s->state | s->reason << 8);
	case TCP_ENO_PEER_AWARE: /* [8547:4.2-7] */
		if (!s->remote_len)
			return -ENO_ENOTCONN;
		return eno_give_int(ctx, s->outcome.peer_aware);
	default: /* TCP_ENO_TEPS */
		return ENO_GIVE(ctx, s->want.teps.at, ENO_OPTION_MAX, s->want.teps_len);
	}
}

/* The option this socket sent; before that, the one it would send.  A
 * listener's answer depends on the SYN, unless it was given as a whole. */
static __always_inline int eno_get_raw(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct bpf_sock *sk = ctx->sk;

	if (!s->local_len && !s->enabled)
		return -ENO_ENOTCONN;
	if (sk && sk->state == BPF_TCP_LISTEN)
		return s->want.raw_len ?
			       ENO_GIVE(ctx, s->want.raw.at, ENO_OPTION_MAX, s->want.raw_len) :
			       -ENO_ENOTCONN;
	if (s->state == ENO_STATE_READY && !eno_compose(s, eno_sends_data(s) ? eno_work_of(sk) : 0))
		return -ENO_ENOMEM;
	return ENO_GIVE(ctx, s->local.at, ENO_OPTION_MAX, s->local_len);
}

static __noinline int eno_get(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_socket *s;

	if (!eno_is_tcp(sk))
		return -ENO_ENOPROTOOPT;
	s = bpf_sk_storage_get(&eno_sockets, sk, 0, 0);
	switch (ctx->optname) {
	case TCP_ENO_VERSION:
		return eno_give_int(ctx, ENO_ABI_VERSION);
	case TCP_ENO_RESULT:
		return eno_give_result(ctx);
	case TCP_ENO_RESULT_TAKE:
		return eno_give_result_and_secret(ctx, s);
	case TCP_ENO_ROLE:
	case TCP_ENO_NEGTEP:
	case TCP_ENO_TRANSCRIPT:
	case TCP_ENO_SESSID:
	case TCP_ENO_SESSION_TAKE:
		return eno_get_negotiated(ctx, s);
	case TCP_ENO_CONFIG:
	case TCP_ENO_SESSION_PUT:
	case TCP_ENO_SESSION_FLUSH:
	case TCP_ENO_ESTABLISHED:
	case TCP_ENO_TEP_DATA:
		return -ENO_EINVAL; /* write-only */
	}
	if (!s)
		s = eno_create(sk);
	if (!s)
		return -ENO_ENOMEM;
	return ctx->optname == TCP_ENO_RAW ? eno_get_raw(ctx, s) : eno_get_setting(ctx, s);
}

#endif
