/* Which socket gets a SYN, before the kernel looks for itself: those for the
 * programs' listeners go to the relay's, unless the relay sent them.
 */
#ifndef ENO_REDIRECT_STEER_BPF_H
#define ENO_REDIRECT_STEER_BPF_H

#include "redirect_maps.bpf.h"

/* A SYN's two ends, and where a listener for all addresses would be. */
struct eno_ends {
	struct eno_endpoint local, any, remote;
};

static __always_inline void eno_name_ends(const struct bpf_sk_lookup *ctx, struct eno_ends *ends)
{
	ENO_READ_WORD(local_ip4, ctx->local_ip4);
	ENO_READ_WORD(remote_ip4, ctx->remote_ip4);

	ends->local.port = ends->any.port = bpf_htons(ctx->local_port);
	ends->remote.port = ctx->remote_port;
	if (ctx->family == ENO_AF_INET) {
		eno_set_ipv4(&ends->local, local_ip4);
		eno_set_ipv4(&ends->any, 0);
		eno_set_ipv4(&ends->remote, remote_ip4);
		return;
	}
	ENO_READ_IPV6(&ends->local, ctx->local_ip6);
	ENO_READ_IPV6(&ends->remote, ctx->remote_ip6);
}

/* Would the kernel's own lookup find that listener of the relay?  Without branches, which
 * the verifier would multiply. */
static __always_inline int eno_is_for(const struct eno_endpoint *listener,
				      const struct eno_ends *ends)
{
	__u64 other = eno_difference(listener, &ends->local);
	__u64 bound = eno_difference(listener, &ends->any);

	return listener->port == ends->local.port && (!other | !bound);
}

static __always_inline int eno_has_listener(const struct eno_ends *ends)
{
	return bpf_map_lookup_elem(&eno_listeners, &ends->local) ||
	       bpf_map_lookup_elem(&eno_listeners, &ends->any);
}

static __always_inline int eno_is_steered(const struct eno_rules *rules,
					  const struct eno_ends *ends)
{
	__be16 port = ends->local.port;

	if (rules->every_port ? eno_has_port(rules->skipped, port) :
				!eno_has_port(rules->ports, port))
		return 0;
	return eno_has_listener(ends) && !eno_is_special(&ends->local) &&
	       !eno_is_special(&ends->remote) &&
	       !bpf_map_lookup_elem(&eno_reached, &ends->remote) &&
	       !eno_in_skipped_network(&ends->remote);
}

/* Nobody but diverted programs speaks to the near listeners, and those only when admitted. */
static __always_inline int eno_guard_near(const struct eno_endpoint *remote)
{
	const struct eno_verdict *verdict = bpf_map_lookup_elem(&eno_verdicts, remote);

	return verdict && !verdict->error ? SK_PASS : SK_DROP;
}

static __always_inline int eno_assign(struct bpf_sk_lookup *ctx, const struct eno_rules *rules,
				      __u64 which)
{
	struct bpf_sock *sk;
	long err;

	sk = bpf_map_lookup_elem(&eno_listening, &which);
	if (!sk)
		return rules->closed ? SK_DROP : SK_PASS;
	err = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	return err && rules->closed ? SK_DROP : SK_PASS;
}

static __always_inline int eno_on_lookup(struct bpf_sk_lookup *ctx)
{
	__u64 steered = ctx->family == ENO_AF_INET6 ? ENO_STEERED + 1 : ENO_STEERED;
	const struct eno_rules *rules = eno_get_rules();
	struct eno_ends ends = {};

	if (!rules || ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	eno_name_ends(ctx, &ends);
	if (eno_is_for(&rules->listening[ENO_NEAR], &ends) ||
	    eno_is_for(&rules->listening[ENO_NEAR + 1], &ends))
		return eno_guard_near(&ends.remote);
	if (eno_is_for(&rules->listening[ENO_STEERED], &ends) ||
	    eno_is_for(&rules->listening[ENO_STEERED + 1], &ends))
		return SK_DROP;
	if (!eno_has(rules, steered) || !eno_is_steered(rules, &ends))
		return SK_PASS;
	return eno_assign(ctx, rules, steered);
}

#endif
