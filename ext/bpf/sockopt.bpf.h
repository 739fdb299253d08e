/* TCP_ENO_* socket options (ext/wire/eno_abi.h) for any program of the cgroup.
 *
 * Answers: optlen = -1 and 1 means "done, do not ask TCP"; an errno goes
 * through bpf_set_retval() and 0.
 */
#ifndef ENO_SOCKOPT_BPF_H
#define ENO_SOCKOPT_BPF_H

#include "sessionopt.bpf.h"
#include "settings.bpf.h"

static __always_inline int eno_is_ours(struct bpf_sockopt *ctx)
{
	return ctx->level == IPPROTO_TCP && ctx->optname > TCP_ENO_BASE &&
	       ctx->optname <= TCP_ENO_LAST;
}

/* Not ours: let TCP see it.  A value beyond a page is ours to wave through. */
static __always_inline int eno_pass(struct bpf_sockopt *ctx)
{
	if (ctx->optlen > ENO_PAGE)
		ctx->optlen = 0;
	return 1;
}

/* Section 5.1: at least 33 bytes, once, after the key exchange. [8547:5.1-13] */
static __noinline int eno_set_sessid(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	if (!s || s->state != ENO_STATE_ENCRYPTED)
		return -ENO_ENOTCONN;
	if (ctx->optlen > ENO_SESSID_MAX || ctx->optlen < ENO_SESSID_MIN)
		return -ENO_EINVAL;
	if (s->sessid_len)
		return -ENO_EEXIST;
	s->sessid_len = ENO_READ(ctx, s->sessid, ENO_SESSID_MAX);
	return 0;
}

static __noinline int eno_set(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct eno_socket *s;

	if (!eno_is_tcp(sk))
		return -ENO_ENOPROTOOPT;
	s = eno_create(sk);
	if (!s)
		return -ENO_ENOMEM;
	switch (ctx->optname) {
	case TCP_ENO_SESSID:
		return eno_set_sessid(ctx, s);
	case TCP_ENO_SESSION_PUT:
		return eno_put_session(ctx, s);
	case TCP_ENO_ESTABLISHED:
		return eno_establish(ctx, s);
	case TCP_ENO_SESSION_FLUSH:
		return eno_flush_sessions(ctx, s);
	}
	if (sk->state != BPF_TCP_CLOSE && sk->state != BPF_TCP_LISTEN)
		return -ENO_EISCONN;
	return eno_set_setting(ctx, sk, s);
}

/* Section 4.7 rules out ENO with Fast Open: refuse it on ENO sockets, and
 * remember it on others, should they want ENO later. */
static __always_inline int eno_on_fast_open(struct bpf_sockopt *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 *value = ctx->optval;
	struct eno_socket *s;

	if (!eno_is_tcp(sk) || ctx->optlen < (int)sizeof(*value) ||
	    (void *)(value + 1) > ctx->optval_end)
		return 0; /* TCP refuses it too */
	s = eno_create(sk);
	if (!s)
		return -ENO_ENOMEM;
	if (*value && s->enabled)
		return -ENO_EOPNOTSUPP;
	switch (ctx->optname) {
	case ENO_TCP_FASTOPEN_CONNECT:
		eno_note_fast_open(s, ENO_FAST_OPEN_CONNECT, *value);
		break;
	case ENO_TCP_FASTOPEN_NO_COOKIE:
		eno_note_fast_open(s, ENO_FAST_OPEN_NO_COOKIE, *value);
		break;
	default:
		eno_note_fast_open(s, ENO_FAST_OPEN_LISTEN, *value);
		/* after listen() nothing but this very option switches it on again */
		eno_note_fast_open(s, ENO_FAST_OPEN_OFF, !*value && sk->state == BPF_TCP_LISTEN);
	}
	return 0;
}

static __always_inline int eno_is_fast_open(struct bpf_sockopt *ctx)
{
	return ctx->level == IPPROTO_TCP &&
	       (ctx->optname == ENO_TCP_FASTOPEN || ctx->optname == ENO_TCP_FASTOPEN_CONNECT ||
		ctx->optname == ENO_TCP_FASTOPEN_NO_COOKIE);
}

#endif
