/* connect(2) of a program of the cgroups: to the relay's near listener instead,
 * and the names that the program is told afterwards.
 *
 * The destination is kept in the socket's storage: it goes with the socket, and
 * when the socket connects elsewhere.
 */
#ifndef ENO_REDIRECT_CONNECT_BPF_H
#define ENO_REDIRECT_CONNECT_BPF_H

#include "redirect_maps.bpf.h"

enum { ENO_REFUSE = 0, ENO_ALLOW = 1, ENO_ECONNREFUSED = 111 };
enum { ENO_DIRECT = -1, ENO_CLOSED = -2 };

/* The sockmap forgets a socket that stopped listening, however its process died. */
static __always_inline int eno_listens(__u64 which)
{
	struct bpf_sock *sk = bpf_map_lookup_elem(&eno_listening, &which);

	if (!sk)
		return 0;
	bpf_sk_release(sk);
	return 1;
}

static __always_inline int eno_is_owner(void)
{
	__u64 pid = bpf_get_current_pid_tgid() >> 32;

	return bpf_map_lookup_elem(&eno_owners, &pid) != 0;
}

static __always_inline int eno_is_wanted(struct bpf_sock_addr *ctx, const struct eno_rules *rules,
					 const struct eno_endpoint *to)
{
	if (ctx->type != ENO_SOCK_STREAM || ctx->protocol != IPPROTO_TCP)
		return 0;
	if (eno_is_special(to) || bpf_get_netns_cookie(ctx) != rules->netns)
		return 0;
	/* The near listener is not to be reached through another interface. */
	return !ctx->sk->bound_dev_if && !eno_has_port(rules->skipped, to->port) &&
	       !eno_in_skipped_network(to);
}

static __always_inline int eno_keep(struct bpf_sock_addr *ctx, const struct eno_endpoint *to)
{
	struct eno_origin *origin =
		bpf_sk_storage_get(&eno_origins, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);

	if (!origin)
		return 0;
	__builtin_memset(origin, 0, sizeof(*origin));
	origin->remote = *to;
	origin->state = ENO_DIVERTED;
	origin->attempt = eno_join((__u32)bpf_get_socket_cookie(ctx), bpf_ktime_get_ns());
	origin->owner =
		eno_join((__u32)bpf_get_current_uid_gid(), bpf_get_current_pid_tgid() >> 32);
	return 1;
}

/* Which near listener it goes to; or ENO_DIRECT, ENO_CLOSED. */
static __always_inline int eno_divert(struct bpf_sock_addr *ctx, const struct eno_rules *rules,
				      const struct eno_endpoint *to)
{
	int near = eno_is_ipv4(to) ? ENO_NEAR : ENO_NEAR + 1;

	if (!eno_is_wanted(ctx, rules, to) || !eno_has(rules, near))
		return ENO_DIRECT;
	/* A dead relay owns nothing: its number may be another process's by now. */
	if (!eno_listens(near))
		return rules->closed ? ENO_CLOSED : ENO_DIRECT;
	if (eno_is_owner())
		return ENO_DIRECT;
	if (!eno_keep(ctx, to))
		return rules->closed ? ENO_CLOSED : ENO_DIRECT;
	return near;
}

/* A direct connection has its own names, whatever the socket was used for before. */
static __always_inline int eno_leave(struct bpf_sock_addr *ctx, int why)
{
	bpf_sk_storage_delete(&eno_origins, ctx->sk);
	if (why != ENO_CLOSED)
		return ENO_ALLOW;
	bpf_set_retval(-ENO_ECONNREFUSED);
	return ENO_REFUSE;
}

static __always_inline int eno_on_connect4(struct bpf_sock_addr *ctx)
{
	const struct eno_rules *rules = eno_get_rules();
	struct eno_endpoint to = { .port = ctx->user_port };
	int near;

	eno_set_ipv4(&to, ctx->user_ip4);
	if (!rules)
		return ENO_ALLOW;
	near = eno_divert(ctx, rules, &to);
	if (near < 0)
		return eno_leave(ctx, near);
	ctx->user_ip4 = eno_get_ipv4(&rules->listening[ENO_NEAR]);
	ctx->user_port = rules->listening[ENO_NEAR].port;
	return ENO_ALLOW;
}

static __always_inline void eno_write_ip6(struct bpf_sock_addr *ctx, const struct eno_endpoint *e)
{
	ctx->user_ip6[0] = e->address[0];
	ctx->user_ip6[1] = e->address[0] >> 32;
	ctx->user_ip6[2] = e->address[1];
	ctx->user_ip6[3] = e->address[1] >> 32;
	ctx->user_port = e->port;
}

/* IPv6, and IPv4 from an IPv6 socket. */
static __always_inline int eno_on_connect6(struct bpf_sock_addr *ctx)
{
	const struct eno_rules *rules = eno_get_rules();
	struct eno_endpoint to = { .port = ctx->user_port };
	const struct eno_endpoint *four, *six;
	int near;

	ENO_READ_IPV6(&to, ctx->user_ip6);
	if (!rules)
		return ENO_ALLOW;
	near = eno_divert(ctx, rules, &to);
	if (near < 0)
		return eno_leave(ctx, near);
	/* Without CAP_PERFMON the verifier allows no index into a map's value. */
	four = &rules->listening[ENO_NEAR];
	six = &rules->listening[ENO_NEAR + 1];
	ENO_KEEP(four);
	ENO_KEEP(six);
	eno_write_ip6(ctx, near == ENO_NEAR ? four : six);
	return ENO_ALLOW;
}

/* MPTCP connects a TCP socket of its own, which is diverted like any other; the program's
 * socket, which is asked for names, has its addresses but not its storage. */
static __always_inline const struct eno_verdict *eno_verdict_of_mptcp(struct bpf_sock *sk)
{
	struct eno_endpoint source = {};

	eno_name_source(sk, &source);
	return bpf_map_lookup_elem(&eno_verdicts, &source);
}

/* After a failure or a disconnect the kernel's port is 0: it has no names either. */
static __always_inline const struct eno_endpoint *eno_true_name(struct bpf_sock_addr *ctx,
								int remote)
{
	const struct eno_verdict *verdict;
	const struct eno_origin *origin;

	if (!ctx->sk->dst_port)
		return 0;
	if (ctx->protocol == IPPROTO_MPTCP) {
		verdict = eno_verdict_of_mptcp(ctx->sk);
		if (!verdict)
			return 0;
		return remote ? &verdict->remote : &verdict->local;
	}
	origin = bpf_sk_storage_get(&eno_origins, ctx->sk, 0, 0);
	if (!origin)
		return 0;
	return remote ? &origin->remote : &origin->local;
}

static __always_inline void eno_tell4(struct bpf_sock_addr *ctx, const struct eno_endpoint *e)
{
	if (!e || !e->port || !eno_is_ipv4(e))
		return;
	ctx->user_ip4 = eno_get_ipv4(e);
	ctx->user_port = e->port;
}

static __always_inline void eno_tell6(struct bpf_sock_addr *ctx, const struct eno_endpoint *e)
{
	if (e && e->port)
		eno_write_ip6(ctx, e);
}

#endif
