/* An active opener's offer (ext/wire/eno_offer.h), but for a proposal to resume.
 *
 * Without suboption data, which is the rule, the list of TEPs is copied as it is;
 * with them it is composed in eno_work, suboption by suboption.
 */
#ifndef ENO_OFFER_BPF_H
#define ENO_OFFER_BPF_H

#include "walk.bpf.h"

static __always_inline struct eno_work *eno_work_of(struct bpf_sock *sk)
{
	return sk ? bpf_sk_storage_get(&eno_work, sk, 0, BPF_SK_STORAGE_GET_F_CREATE) : 0;
}

/* Section 4.2: b = 1 only if asked for, a = 1 only if application-aware.
 * [8547:4.2-4, 4.2-6, 4.2-9] */
static __always_inline __u8 eno_global(const struct eno_socket *s)
{
	return (s->want.role_b ? ENO_GLOBAL_B : 0) | (s->want.self_aware ? ENO_GLOBAL_A : 0);
}

static __always_inline int eno_sends_data(const struct eno_socket *s)
{
	return s->data.entry[0].tep && !s->want.raw_len;
}

struct eno_offer_walk {
	struct eno_work *work;
	const struct eno_socket *socket;
	__u64 host, pass, besides; /* the TEP that is left out, or 0 */
};

static long eno_offer_one(__u32 i, struct eno_offer_walk *walk)
{
	const struct eno_socket *s = walk->socket;
	__u32 host = walk->host;
	__u8 tep;

	ENO_KEEP(host);
	if (i >= s->permitted_len || i >= ENO_OPTION_MAX)
		return 1;
	tep = s->permitted.at[i];
	if (tep == walk->besides)
		return 0;
	return !eno_offer_step(&walk->work->offer, &s->data, tep, host & 1, walk->pass);
}

/* The permitted TEPs besides one, all data with a length byte, in w->offer. */
static __noinline int eno_compose_teps(struct eno_socket *s, struct eno_work *w, __u32 besides)
{
	struct eno_offer_walk walk = { .work = w, .socket = s, .besides = besides };

	if (!s || !w)
		return 0;
	eno_offer_begin(&w->offer, eno_global(s));
	walk.host = s->want.role_b ? ENO_HOST_B : ENO_HOST_A;
	walk.pass = walk.host == ENO_HOST_B ? ENO_IN_ORDER : ENO_BARE;
	bpf_loop(ENO_OPTION_MAX, eno_offer_one, &walk, 0);
	if (walk.host == ENO_HOST_A && eno_sends_data(s)) {
		walk.pass = ENO_WITH_DATA;
		bpf_loop(ENO_OPTION_MAX, eno_offer_one, &walk, 0);
	}
	return 0;
}

/* The option, with the data that have not given way.  0: it is too long, or empty. */
static __noinline int eno_compose_left(struct eno_socket *s, struct eno_work *w)
{
	if (!s || !w)
		return 0;
	eno_compose_teps(s, w, 0);
	eno_offer_end(&w->offer);
	if (w->offer.len > ENO_OPTION_MAX || !w->offer.count)
		return 0;
	__builtin_memcpy(s->local.at, w->offer.option, ENO_OPTION_MAX);
	s->local_len = w->offer.len;
	return 1;
}

static long eno_compose_one(__u32 i, struct eno_offer_walk *walk)
{
	struct eno_socket *s = (struct eno_socket *)walk->socket;

	return eno_compose_left(s, walk->work) || !eno_gives_way(&walk->work->offer);
}

/* As much of it as 40 bytes hold. */
static __noinline int eno_compose_data(struct eno_socket *s, struct eno_work *w)
{
	struct eno_offer_walk walk = { .work = w, .socket = s };

	if (!s || !w)
		return 0;
	w->offer.gone = 0;
	bpf_loop(ENO_TEP_DATA_MAX + 1, eno_compose_one, &walk, 0);
	return w->offer.len <= ENO_OPTION_MAX && w->offer.count;
}

/* eno_offer() in fixed sizes, which is what the verifier can follow; w is for
 * data only.  0: there is none. [8547:4.7-2] */
static __always_inline int eno_compose(struct eno_socket *s, struct eno_work *w)
{
	__u8 global = eno_global(s);

	if (s->want.raw_len) {
		s->local = s->want.raw;
		s->local_len = s->want.raw_len;
		return 1;
	}
	eno_permit_teps(s);
	if (eno_sends_data(s))
		return eno_compose_data(s, w);
	__builtin_memset(&s->local, 0, sizeof(s->local));
	s->local.at[0] = ENO_KIND;
	if (global) {
		s->local.at[2] = global;
		__builtin_memcpy(&s->local.at[3], s->permitted.at, ENO_OPTION_MAX - 3);
		s->local_len = s->permitted_len + 3;
	} else {
		__builtin_memcpy(&s->local.at[2], s->permitted.at, ENO_OPTION_MAX - 2);
		s->local_len = s->permitted_len + 2;
	}
	s->local.at[1] = s->local_len;
	return 1;
}

/* The first SYN's room: the data of the least preferred TEP give way. */
static __noinline int eno_reserve_offer(struct bpf_sock_ops *ctx, struct eno_socket *s,
					struct eno_work *w)
{
	int i;

	if (!s)
		return -1;
	if (!w || !eno_sends_data(s))
		return bpf_reserve_hdr_opt(ctx, s->local_len, 0);
	for (i = 0; i <= ENO_TEP_DATA_MAX; i++) {
		if (!bpf_reserve_hdr_opt(ctx, s->local_len, 0))
			return 0;
		if (!eno_gives_way(&w->offer) || !eno_compose_left(s, w))
			break;
	}
	return -1;
}

#endif
