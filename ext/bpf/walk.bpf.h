/* The walks of ext/wire driven by bpf_loop(): the verifier follows a callback
 * once, where a plain loop would be followed for every option there can be.
 * The callbacks' context has to be on the stack; what it points to need not.
 */
#ifndef ENO_WALK_BPF_H
#define ENO_WALK_BPF_H

#include "policy.bpf.h"

struct eno_walk {
	struct eno_work *work;
	struct eno_syn *a, *b;
	const struct eno_socket *socket;
	const struct eno_tep_table *table;
};

static long eno_search_one(__u32 i, struct eno_walk *walk)
{
	struct eno_work *w = walk->work;

	return !eno_search_step(&w->search, w->options, w->options_len);
}

static long eno_parse_one(__u32 i, struct eno_walk *walk)
{
	return !eno_step(walk->a);
}

/* From B's last suboption down: section 4.5, "the last valid TEP". */
static long eno_negotiate_one(__u32 i, struct eno_walk *walk)
{
	__u32 place = walk->b->count - 1 - i;

	ENO_KEEP(place);
	if (place >= ENO_SUBOPTION_MAX)
		return 1;
	return eno_negotiate_step(walk->a, walk->b, place, walk->table, &walk->work->outcome);
}

static __always_inline void eno_add_choice(struct eno_work *w, __u8 tep, __u8 with)
{
	__u32 n = w->choices;

	ENO_KEEP(n);
	if (n >= ENO_CHOICES_MAX)
		return;
	w->choice[n] = tep;
	w->with[n] = with;
	w->choices = n + 1;
}

/* From our highest priority down, to the first that has room for certain: one
 * without data. */
static long eno_choose_one(__u32 i, struct eno_walk *walk)
{
	const struct eno_socket *s = walk->socket;
	__u32 place = s->want.teps_len - 1 - i;
	const struct eno_tep_data *d;
	__u32 with;
	__u8 tep;

	if (place >= ENO_OPTION_MAX)
		return 1;
	tep = s->want.teps.at[place];
	if (!eno_permits_tep(tep) || !eno_acceptable(&walk->work->remote, tep, &s->data))
		return 0;
	with = eno_place_of(&s->data, tep);
	ENO_KEEP(with);
	if (with < ENO_TEP_DATA_MAX) {
		d = &s->data.entry[with];
		if (d->len[ENO_HOST_B]) {
			eno_add_choice(walk->work, tep, with);
			if (d->least[ENO_HOST_B])
				return 0;
		}
	}
	eno_add_choice(walk->work, tep, ENO_TEP_DATA_MAX);
	return 1;
}

/* Section 4.4's walk of syn->option. */
static __always_inline void eno_parse(struct eno_work *w, struct eno_syn *syn)
{
	struct eno_walk walk = { .work = w, .a = syn };

	if (eno_syn_begin(syn))
		bpf_loop(ENO_SUBOPTION_MAX, eno_parse_one, &walk, 0);
}

static __always_inline void eno_parse_bytes(struct eno_work *w, struct eno_syn *syn,
					    const struct eno_bytes *option, __u8 len)
{
	__builtin_memset(syn, 0, sizeof(*syn));
	__builtin_memcpy(syn->option, option->at, ENO_OPTION_MAX);
	syn->len = len;
	eno_parse(w, syn);
}

static __always_inline void eno_copy_found(struct eno_work *w)
{
	__u32 first = w->search.first;
	int i;

	if (first > ENO_OPTION_MAX - ENO_HEADER_LEN)
		return;
	w->remote.len = w->options[first + 1];
#pragma unroll
	for (i = 0; i < ENO_OPTION_MAX; i++)
		if (i < w->remote.len)
			w->remote.option[i] = w->options[first + i];
}

/* Section 4.1: find the one ENO option of w->options and take it apart;
 * absent is the reason if there is none. */
static __noinline int eno_collect(struct eno_work *w, __u8 absent)
{
	struct eno_walk walk = { .work = w };

	if (!w)
		return 0;
	__builtin_memset(&w->search, 0, sizeof(w->search));
	__builtin_memset(&w->remote, 0, sizeof(w->remote));
	bpf_loop(ENO_OPTION_MAX, eno_search_one, &walk, 0);
	if (w->search.count == 1) {
		eno_copy_found(w);
		eno_parse(w, &w->remote);
	} else {
		/* [8547:4.1-8, 4.6-4] */
		w->remote.reason = w->search.count ? ENO_REPEATED_OPTION : absent;
	}
	return w->remote.reason;
}

/* eno_negotiate() between w->local and w->remote, into w->outcome. */
static __noinline int eno_agree(struct eno_work *w, const struct eno_socket *s)
{
	struct eno_walk walk = { .work = w };

	if (!w || !s)
		return 0;
	__builtin_memset(&w->outcome, 0, sizeof(w->outcome));
	if (!eno_negotiate_begin(&w->local, &w->remote, s->want.self_aware == 2, &w->outcome))
		return w->outcome.reason;
	walk.a = w->outcome.local_b ? &w->remote : &w->local;
	walk.b = w->outcome.local_b ? &w->local : &w->remote;
	walk.table = &s->data;
	bpf_loop(ENO_SUBOPTION_MAX, eno_negotiate_one, &walk, 0);
	return w->outcome.reason;
}

#endif
