/* Reading TCP_ENO_* socket options: each function writes the value and its
 * length, or gives an errno.  The caller's buffer has to hold the longest value.
 */
#ifndef ENO_GETSOCKOPT_BPF_H
#define ENO_GETSOCKOPT_BPF_H

#include "sockopt.bpf.h"

static __always_inline int eno_give_int(struct bpf_sockopt *ctx, __u32 value)
{
	__u32 *out = ctx->optval;

	if ((void *)(out + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	*out = value;
	ctx->optlen = sizeof(*out);
	return 0;
}

/* clang-format off */
#define ENO_GIVE(ctx, bytes, size, len) ({				\
	__u8 *out_ = (ctx)->optval;					\
	int err_ = -ENO_EINVAL;						\
	if (out_ + (size) <= (__u8 *)(ctx)->optval_end) {		\
		__builtin_memcpy(out_, bytes, size);			\
		(ctx)->optlen = (len);					\
		err_ = 0;						\
	}								\
	err_;								\
})
/* clang-format on */

static __noinline int eno_give_result(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_result *result = ctx->optval;
	struct eno_socket *s;

	if (!sk || (void *)(result + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	__builtin_memset(result, 0, sizeof(*result));
	ctx->optlen = sizeof(*result);
	result->reason = ENO_NOT_CONFIGURED;
	s = bpf_sk_storage_get(&eno_sockets, sk, 0, 0);
	if (!s || s->state == ENO_STATE_OFF)
		return 0;
	result->state = s->state;
	result->reason = s->reason;
	result->self_aware = s->self_aware;
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

/* What only an encrypted connection has. */
static __always_inline int eno_get_negotiated(struct bpf_sockopt *ctx, const struct eno_socket *s)
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
		return eno_give_int(ctx, s->self_aware);
	case TCP_ENO_ROLEOVERRIDE:
		return eno_give_int(ctx, s->role_b);
	case TCP_ENO_STATE:
		return eno_give_int(ctx, s->state | s->reason << 8);
	case TCP_ENO_PEER_AWARE: /* [8547:4.2-7] */
		if (!s->remote_len)
			return -ENO_ENOTCONN;
		return eno_give_int(ctx, s->outcome.peer_aware);
	default: /* TCP_ENO_TEPS */
		return ENO_GIVE(ctx, s->teps.at, ENO_OPTION_MAX, s->teps_len);
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
		return s->raw_len ? ENO_GIVE(ctx, s->raw.at, ENO_OPTION_MAX, s->raw_len) :
				    -ENO_ENOTCONN;
	if (s->state == ENO_STATE_READY)
		eno_compose(s);
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
	case TCP_ENO_ROLE:
	case TCP_ENO_NEGTEP:
	case TCP_ENO_TRANSCRIPT:
	case TCP_ENO_SESSID:
		return eno_get_negotiated(ctx, s);
	case TCP_ENO_CONFIG:
		return -ENO_EINVAL; /* write-only */
	}
	if (!s)
		s = eno_create(sk);
	if (!s)
		return -ENO_ENOMEM;
	return ctx->optname == TCP_ENO_RAW ? eno_get_raw(ctx, s) : eno_get_setting(ctx, s);
}

#endif
