/* TCP_ENO_* socket options (ext/wire/eno_abi.h) for any program of the cgroup.
 *
 * Answers: optlen = -1 and 1 means "done, do not ask TCP"; an errno goes
 * through bpf_set_retval() and 0.  Values are copied in fixed sizes or byte by
 * byte against optval_end, since the verifier cannot follow a variable length.
 */
#ifndef ENO_SOCKOPT_BPF_H
#define ENO_SOCKOPT_BPF_H

#include <linux/in.h>

#include "active.bpf.h"

enum {
	ENO_EEXIST = 17,
	ENO_EINVAL = 22,
	ENO_ENOMEM = 12,
	ENO_ENOPROTOOPT = 92,
	ENO_EPROTONOSUPPORT = 93,
	ENO_EOPNOTSUPP = 95,
	ENO_EISCONN = 106,
	ENO_ENOTCONN = 107,
	ENO_SOCK_STREAM = 1,
	ENO_PAGE = 4096,
	ENO_CONFIG_HEAD = 3,
	ENO_TEPS_MAX = ENO_OPTION_MAX - ENO_HEADER_LEN - 1,
	ENO_SESSID_MIN = 33, /* RFC 8547 section 5.1 */
	/* linux/tcp.h; the last one is younger than the oldest headers we build with */
	ENO_TCP_FASTOPEN = 23,
	ENO_TCP_FASTOPEN_CONNECT = 30,
	ENO_TCP_FASTOPEN_NO_COOKIE = 34,
	ENO_TCP_BPF_SOCK_OPS_CB_FLAGS = 1008,
};

static __always_inline int eno_is_tcp(struct bpf_sock *sk)
{
	return sk && sk->protocol == IPPROTO_TCP && sk->type == ENO_SOCK_STREAM;
}

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

static __always_inline struct eno_socket *eno_create(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&eno_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

/* The value's first bytes, to a zeroed array; how many there are.  The buffer
 * may be longer than the value: the kernel rounds small ones up to 16 bytes. */
/* clang-format off */
#define ENO_READ(ctx, out, max) ({					\
	const __u8 *value_ = (ctx)->optval, *end_ = (ctx)->optval_end;	\
	int len_ = (ctx)->optlen;					\
	__u32 n_ = 0;							\
	_Pragma("unroll")						\
	for (int i_ = 0; i_ < (max); i_++) {				\
		if (value_ + i_ + 1 > end_)				\
			break;						\
		(out)[i_] = i_ < len_ ? value_[i_] : 0;			\
		n_ = i_ + 1;						\
	}								\
	len_ < (int)n_ ? len_ : n_;					\
})
/* clang-format on */

/* Room to judge a value in, holding the value: w->options, w->options_len. */
static __always_inline void eno_value(struct bpf_sockopt *ctx, struct eno_work *w)
{
	__builtin_memset(w->options, 0, sizeof(w->options));
	w->options_len = ENO_READ(ctx, w->options, ENO_CONFIG_HEAD + ENO_OPTION_MAX);
}

/* One of w->local's suboptions: v = 0, and its identifier not repeated. */
static long eno_check_tep_one(__u32 i, struct eno_walk *walk)
{
	const struct eno_syn *syn = walk->a;

	if (i >= syn->count || i >= ENO_SUBOPTION_MAX)
		return 1;
	if (!(syn->sub[i].tep_byte & ENO_V) && eno_find_tep(syn, syn->sub[i].tep_byte))
		return 0;
	walk->work->chosen = 0;
	return 1;
}

/* A list of TEP identifiers, each a suboption of its own (section 4.1). */
static __always_inline int eno_set_teps(struct eno_socket *s, struct eno_work *w, __u32 from)
{
	struct eno_walk walk = { .work = w, .a = &w->local };
	__u32 count = w->options_len - from;

	if (w->options_len < from || count > ENO_TEPS_MAX)
		return -ENO_EINVAL;
	__builtin_memset(&w->local, 0, sizeof(w->local));
	__builtin_memcpy(w->local.option + ENO_HEADER_LEN, w->options + from, ENO_TEPS_MAX);
	w->local.option[0] = ENO_KIND;
	w->local.len = w->local.option[1] = count + ENO_HEADER_LEN;
	eno_parse(w, &w->local);
	w->chosen = 1;
	bpf_loop(ENO_SUBOPTION_MAX, eno_check_tep_one, &walk, 0);
	if (!w->chosen || w->local.reason || w->local.count != count)
		return -ENO_EINVAL;
	eno_name_teps(&w->local, s->tep_set);
	__builtin_memcpy(s->teps.at, w->options + from, ENO_OPTION_MAX);
	s->teps_len = count;
	return 0;
}

static __always_inline int eno_set_raw(struct eno_socket *s, struct eno_work *w)
{
	struct eno_bytes raw;

	__builtin_memcpy(raw.at, w->options, ENO_OPTION_MAX);
	eno_parse_bytes(w, &w->local, &raw, w->options_len);
	if (w->options_len && w->local.reason)
		return -ENO_EINVAL;
	eno_name_teps(&w->local, s->raw_set);
	s->raw = raw;
	s->raw_len = w->options_len;
	return 0;
}

/* TCP_ENO_CONFIG: ABI version, self_aware, role_b, then the TEPs. */
static __always_inline int eno_set_config(struct eno_socket *s, struct eno_work *w)
{
	const __u8 *head = w->options;
	int err;

	if (w->options_len < ENO_CONFIG_HEAD)
		return -ENO_EINVAL;
	if (head[0] != ENO_ABI_VERSION)
		return -ENO_EPROTONOSUPPORT;
	if (head[1] > 2 || head[2] > 1)
		return -ENO_EINVAL;
	err = eno_set_teps(s, w, ENO_CONFIG_HEAD);
	if (err)
		return err;
	s->self_aware = head[1];
	s->role_b = head[2];
	s->raw_len = 0;
	return 0;
}

static __always_inline int eno_read_int(struct bpf_sockopt *ctx, __u32 max, __u8 *out)
{
	__u32 *value = ctx->optval;

	if (ctx->optlen < (int)sizeof(*value) || (void *)(value + 1) > ctx->optval_end ||
	    *value > max)
		return -ENO_EINVAL;
	*out = *value;
	return 0;
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

/* A listener enabled after listen(): its callback flags have to be set here. */
static __always_inline int eno_wake_listener(struct bpf_sock *sk)
{
	int flags = 0;

	bpf_getsockopt(sk, IPPROTO_TCP, ENO_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags));
	flags |= BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG;
	if (bpf_setsockopt(sk, IPPROTO_TCP, ENO_TCP_BPF_SOCK_OPS_CB_FLAGS, &flags, sizeof(flags)))
		return -ENO_EOPNOTSUPP;
	return 0;
}

static __always_inline int eno_enable(struct bpf_sock *sk, struct eno_socket *s, int on)
{
	int err = 0;

	if (on && s->fast_open & ENO_FAST_OPEN_ON)
		return -ENO_EOPNOTSUPP; /* section 4.7 */
	if (on && sk->state == BPF_TCP_LISTEN)
		err = eno_wake_listener(sk);
	if (err)
		return err;
	s->enabled = on;
	s->state = on ? ENO_STATE_READY : ENO_STATE_OFF;
	s->reason = 0;
	return 0;
}

static __noinline int eno_set_bytes(struct bpf_sockopt *ctx, struct eno_socket *s,
				    struct eno_work *w)
{
	if (!s || !w)
		return -ENO_ENOMEM;
	if (ctx->optlen < 0 || ctx->optlen > ENO_CONFIG_HEAD + ENO_OPTION_MAX)
		return -ENO_EINVAL;
	eno_value(ctx, w);
	switch (ctx->optname) {
	case TCP_ENO_TEPS:
		return eno_set_teps(s, w, 0);
	case TCP_ENO_CONFIG:
		return eno_set_config(s, w);
	default: /* TCP_ENO_RAW */
		return eno_set_raw(s, w);
	}
}

static __always_inline int eno_set_setting(struct bpf_sockopt *ctx, struct bpf_sock *sk,
					   struct eno_socket *s)
{
	struct eno_work *w;
	__u8 on = 0;
	int err;

	switch (ctx->optname) {
	case TCP_ENO_SELF_AWARE:
		return eno_read_int(ctx, 2, &s->self_aware); /* [8547:4.2-7] */
	case TCP_ENO_ROLEOVERRIDE:
		return eno_read_int(ctx, 1, &s->role_b); /* [8547:4.2-5] */
	case TCP_ENO_ENABLED:
		err = eno_read_int(ctx, 1, &on);
		if (!err && on && !s->teps_len && !s->raw_len)
			err = -ENO_EINVAL;
		return err ? err : eno_enable(sk, s, on);
	case TCP_ENO_TEPS:
	case TCP_ENO_CONFIG:
	case TCP_ENO_RAW:
		w = bpf_sk_storage_get(&eno_work, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
		err = eno_set_bytes(ctx, s, w);
		return err ? err : eno_enable(sk, s, s->teps_len || s->raw_len);
	default:
		return -ENO_EINVAL; /* read-only */
	}
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
	if (ctx->optname == TCP_ENO_SESSID)
		return eno_set_sessid(ctx, s);
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
