/* Which socket gets a SYN, before the kernel looks for itself: those for the
 * programs' listeners go to the relay's, unless the relay sent them.
 */
#ifndef ENO_REDIRECT_STEER_BPF_H
#define ENO_REDIRECT_STEER_BPF_H

#include "redirect_maps.bpf.h"

static __always_inline void eno_name_ends(const struct bpf_sk_lookup *ctx,
					  struct eno_endpoint *local, struct eno_endpoint *remote)
{
	ENO_READ_IPV4(local_ip4, ctx->local_ip4);
	ENO_READ_IPV4(remote_ip4, ctx->remote_ip4);

	local->port = bpf_htons(ctx->local_port);
	remote->port = ctx->remote_port;
	if (ctx->family == ENO_AF_INET) {
		eno_set_ipv4(local, local_ip4);
		eno_set_ipv4(remote, remote_ip4);
		return;
	}
	ENO_READ_IPV6(local, ctx->local_ip6);
	ENO_READ_IPV6(remote, ctx->remote_ip6);
}

/* Would the kernel's own lookup find that listener of the relay? */
static __always_inline int eno_is_for(const struct eno_endpoint *listener,
				      const struct eno_endpoint *local)
{
	return listener->port && listener->port == local->port &&
	       eno_is_ipv4(listener) == eno_is_ipv4(local) &&
	       (eno_is_any(listener) || eno_same_address(listener, local));
}

static __always_inline int eno_has_listener(const struct eno_endpoint *local)
{
	struct eno_endpoint any = { .port = local->port };

	if (bpf_map_lookup_elem(&eno_listeners, local))
		return 1;
	if (eno_is_ipv4(local))
		eno_set_ipv4(&any, 0);
	return bpf_map_lookup_elem(&eno_listeners, &any) != 0;
}

static __always_inline int eno_is_steered(const struct eno_rules *rules,
					  const struct eno_endpoint *local,
					  const struct eno_endpoint *remote)
{
	if (rules->every_port ? eno_has_port(rules->skipped, local->port) :
				!eno_has_port(rules->ports, local->port))
		return 0;
	return !eno_is_special(local) && !eno_is_special(remote) && eno_has_listener(local) &&
	       !bpf_map_lookup_elem(&eno_reached, remote) && !eno_in_skipped_network(remote);
}

/* Nobody but diverted programs speaks to the near listeners, and those only when admitted. */
static __always_inline int eno_guard_near(const struct eno_endpoint *remote)
{
	const struct eno_verdict *verdict = bpf_map_lookup_elem(&eno_verdicts, remote);

	return verdict && !verdict->error ? SK_PASS : SK_DROP;
}

static __always_inline int eno_assign(struct bpf_sk_lookup *ctx, const struct eno_rules *rules,
				      __u32 which)
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
	__u32 steered = ctx->family == ENO_AF_INET6 ? ENO_STEERED + 1 : ENO_STEERED;
	const struct eno_rules *rules = eno_get_rules();
	struct eno_endpoint local = {}, remote = {};

	if (!rules || ctx->protocol != IPPROTO_TCP)
		return SK_PASS;
	eno_name_ends(ctx, &local, &remote);
	if (eno_is_for(&rules->listening[ENO_NEAR], &local) ||
	    eno_is_for(&rules->listening[ENO_NEAR + 1], &local))
		return eno_guard_near(&remote);
	if (eno_is_for(&rules->listening[ENO_STEERED], &local) ||
	    eno_is_for(&rules->listening[ENO_STEERED + 1], &local))
		return SK_DROP;
	if (!eno_has(rules, steered) || !eno_is_steered(rules, &local, &remote))
		return SK_PASS;
	return eno_assign(ctx, rules, steered);
}

#endif
