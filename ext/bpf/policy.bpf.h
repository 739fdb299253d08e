/* The host's policy (struct eno_policy of ext/wire/eno_abi.h), which 'pyeno attach'
 * writes: RFC 8548 section 5, "administrators MAY configure which TEPs a host will
 * negotiate".  Asked once a connection, of sockets that want ENO. [8548:5-11]
 */
#ifndef ENO_POLICY_BPF_H
#define ENO_POLICY_BPF_H

#include <bpf/bpf_endian.h>

#include "maps.bpf.h"

static __always_inline const struct eno_policy *eno_host_policy(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&eno_policy, &zero);
}

static __always_inline int eno_bit(const __u64 *bits, __u32 at)
{
	return bits[at >> 6] >> (at & 63) & 1;
}

static __always_inline int eno_skips_port(const struct eno_policy *p, __u32 port)
{
	ENO_KEEP(port);
	return eno_bit(p->skipped, port & (ENO_PORTS - 1));
}

/* Section 4.6: "an active opener MAY unilaterally disable ENO ... between
 * retransmissions of a SYN-only segment", which recovers from middleboxes that
 * drop segments with ENO. [8547:4.6-8] */
static __always_inline int eno_gives_up(const struct eno_socket *s)
{
	const struct eno_policy *p = eno_host_policy();

	return p && p->syns && s->syns >= p->syns;
}

static __always_inline int eno_permits_tep(__u32 tep)
{
	const struct eno_policy *p = eno_host_policy();

	return p && !eno_bit(p->forbidden, eno_glt(tep));
}

/* May this socket negotiate at all?  A raw option goes as it is or not at all. */
static __always_inline int eno_permits(const struct eno_socket *s, __u32 refusal, __u32 port)
{
	const struct eno_policy *p = eno_host_policy();

	if (!p || p->flags & refusal || eno_skips_port(p, port))
		return 0;
	if (s->want.raw_len)
		return !((s->want.raw_set[0] & p->forbidden[0]) |
			 (s->want.raw_set[1] & p->forbidden[1]));
	return ((s->want.tep_set[0] & ~p->forbidden[0]) |
		(s->want.tep_set[1] & ~p->forbidden[1])) != 0;
}

struct eno_permission {
	struct eno_socket *socket;
};

static long eno_permit_one(__u32 i, struct eno_permission *permission)
{
	struct eno_socket *s = permission->socket;
	__u32 at = s->permitted_len;
	__u8 tep;

	if (i >= s->want.teps_len || i >= ENO_OPTION_MAX)
		return 1;
	tep = s->want.teps.at[i];
	ENO_KEEP(at);
	if (!eno_permits_tep(tep) || at >= ENO_OPTION_MAX)
		return 0;
	s->permitted.at[at] = tep;
	s->permitted_len = at + 1;
	return 0;
}

/* Those of the socket's TEPs that the host negotiates, in their order. */
static __always_inline void eno_permit_teps(struct eno_socket *s)
{
	struct eno_permission permission = { .socket = s };

	__builtin_memset(&s->permitted, 0, sizeof(s->permitted));
	s->permitted_len = 0;
	bpf_loop(ENO_OPTION_MAX, eno_permit_one, &permission, 0);
}

/* The TEPs an option names, as a set. */
struct eno_naming {
	const struct eno_syn *syn;
	__u64 *set;
};

static long eno_name_one(__u32 i, struct eno_naming *naming)
{
	const struct eno_syn *syn = naming->syn;
	__u32 glt;

	if (i >= syn->count || i >= ENO_SUBOPTION_MAX)
		return 1;
	glt = eno_glt(syn->sub[i].tep_byte);
	naming->set[glt >> 6] |= 1ull << (glt & 63);
	return 0;
}

static __always_inline void eno_name_teps(const struct eno_syn *syn, __u64 *set)
{
	struct eno_naming naming = { .syn = syn, .set = set };

	set[0] = set[1] = 0;
	bpf_loop(ENO_SUBOPTION_MAX, eno_name_one, &naming, 0);
}

#endif
