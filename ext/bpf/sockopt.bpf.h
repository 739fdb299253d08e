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

/* Section 5.1: at least 33 bytes, once, after the key exchange. */
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
	struct eno_socket *s;
	__u8 on = 0;

	if (!eno_is_tcp(sk) || eno_read_int(ctx, -1, &on))
		return 0;
	s = on ? eno_create(sk) : bpf_sk_storage_get(&eno_sockets, sk, 0, 0);
	if (!s)
		return 0;
	if (on && s->enabled)
		return -ENO_EOPNOTSUPP;
	s->fast_open = on != 0;
	return 0;
}

static __always_inline int eno_is_fast_open(struct bpf_sockopt *ctx)
{
	return ctx->level == IPPROTO_TCP &&
	       (ctx->optname == ENO_TCP_FASTOPEN || ctx->optname == ENO_TCP_FASTOPEN_CONNECT);
}

#endif
