/* The TCP_ENO_* socket options that say what a socket is to negotiate. */
#ifndef ENO_SETTINGS_BPF_H
#define ENO_SETTINGS_BPF_H

#include "tepdata.bpf.h"

enum { ENO_CONFIG_MAX = ENO_CONFIG_SESSIONS_HEAD + ENO_OPTION_MAX };

/* Room to judge a value in, holding the value: w->options, w->options_len. */
static __always_inline void eno_value(struct bpf_sockopt *ctx, struct eno_work *w)
{
	__builtin_memset(w->options, 0, sizeof(w->options));
	w->options_len = ENO_READ(ctx, w->options, ENO_CONFIG_MAX);
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
static __always_inline int eno_set_teps(struct eno_work *w, __u32 from)
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
	__builtin_memcpy(w->want.teps.at, w->options + from, ENO_OPTION_MAX);
	w->want.teps_len = count;
	eno_name_teps(&w->local, w->want.tep_set);
	return 0;
}

static __always_inline int eno_set_raw(struct eno_work *w)
{
	__builtin_memcpy(w->want.raw.at, w->options, ENO_OPTION_MAX);
	eno_parse_bytes(w, &w->local, &w->want.raw, w->options_len);
	/* section 4.2: "at most one ENO suboption in this range" [8547:4.2-1] */
	if (w->options_len && (w->local.reason || w->local.explicit_global > 1))
		return -ENO_EINVAL;
	eno_name_teps(&w->local, w->want.raw_set);
	w->want.raw_len = w->options_len;
	return 0;
}

/* Version 2 of TCP_ENO_CONFIG: NONCE_LEN, TOKEN, and the rest of the scope.
 * [8548:3.5-3, 3.5-37] */
static __always_inline int eno_set_scope(struct bpf_sockopt *ctx, struct eno_work *w)
{
	const __u8 *value = w->options + ENO_CONFIG_PLAIN_HEAD;

	if (value[0] > TCPCRYPT_NONCE_MAX && value[0] != ENO_NO_RESUMPTION)
		return -ENO_EINVAL;
	w->want.scoped = 1;
	w->want.nonce_len = value[0];
	__builtin_memcpy(w->want.scope.token, value + 1, ENO_TOKEN_LEN);
	w->want.scope.netns = bpf_get_netns_cookie(ctx);
	w->want.scope.uid = bpf_get_current_uid_gid();
	return eno_set_teps(w, ENO_CONFIG_SESSIONS_HEAD);
}

static __always_inline int eno_set_plain(struct eno_work *w)
{
	w->want.scoped = 0;
	w->want.nonce_len = ENO_NO_RESUMPTION;
	__builtin_memset(&w->want.scope, 0, sizeof(w->want.scope));
	return eno_set_teps(w, ENO_CONFIG_PLAIN_HEAD);
}

/* TCP_ENO_CONFIG, enum eno_config. */
static __always_inline int eno_set_config(struct bpf_sockopt *ctx, struct eno_work *w)
{
	const __u8 *head = w->options;

	if (w->options_len < ENO_CONFIG_PLAIN_HEAD)
		return -ENO_EINVAL;
	if (head[0] != ENO_CONFIG_PLAIN && head[0] != ENO_CONFIG_SESSIONS)
		return -ENO_EPROTONOSUPPORT;
	if (head[1] > 2 || head[2] > 1)
		return -ENO_EINVAL;
	w->want.self_aware = head[1];
	w->want.role_b = head[2];
	w->want.raw_len = 0;
	return head[0] == ENO_CONFIG_PLAIN ? eno_set_plain(w) : eno_set_scope(ctx, w);
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

/* A call that fails changes nothing: judged on w->want. */
static __noinline int eno_set_bytes(struct bpf_sockopt *ctx, struct eno_work *w)
{
	if (!w)
		return -ENO_ENOMEM;
	if (ctx->optlen < 0 || ctx->optlen > ENO_CONFIG_MAX)
		return -ENO_EINVAL;
	eno_value(ctx, w);
	switch (ctx->optname) {
	case TCP_ENO_TEPS:
		return eno_set_teps(w, 0);
	case TCP_ENO_CONFIG:
		return eno_set_config(ctx, w);
	default: /* TCP_ENO_RAW */
		return eno_set_raw(w);
	}
}

static __always_inline int eno_set_wanted(struct bpf_sockopt *ctx, struct bpf_sock *sk,
					  struct eno_socket *s)
{
	struct eno_work *w;
	int err;

	w = bpf_sk_storage_get(&eno_work, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!w)
		return -ENO_ENOMEM;
	w->want = s->want;
	err = eno_set_bytes(ctx, w);
	if (!err)
		err = eno_enable(sk, s, w->want.teps_len || w->want.raw_len);
	if (err)
		return err;
	s->want = w->want;
	if (ctx->optname == TCP_ENO_CONFIG && s->data.entry[0].tep)
		__builtin_memset(&s->data, 0, sizeof(s->data));
	return 0;
}

static __always_inline int eno_set_setting(struct bpf_sockopt *ctx, struct bpf_sock *sk,
					   struct eno_socket *s)
{
	__u8 on = 0;
	int err;

	switch (ctx->optname) {
	case TCP_ENO_SELF_AWARE:
		return eno_read_int(ctx, 2, &s->want.self_aware); /* [8547:4.2-7] */
	case TCP_ENO_ROLEOVERRIDE:
		return eno_read_int(ctx, 1, &s->want.role_b); /* [8547:4.2-5] */
	case TCP_ENO_ENABLED:
		err = eno_read_int(ctx, 1, &on);
		if (!err && on && !s->want.teps_len && !s->want.raw_len)
			err = -ENO_EINVAL;
		return err ? err : eno_enable(sk, s, on);
	case TCP_ENO_TEPS:
	case TCP_ENO_CONFIG:
	case TCP_ENO_RAW:
		return eno_set_wanted(ctx, sk, s);
	case TCP_ENO_TEP_DATA:
		return eno_set_tep_data(ctx, s);
	default:
		return -ENO_EINVAL; /* read-only */
	}
}

#endif
