/* A SYN's option made of TEPs and their data (RFC 8547 sections 4.1, 4.2, 4.4, 4.5).
 *
 * Written suboption by suboption with eno_offer_step(), which a BPF program drives
 * with bpf_loop() and everybody else with eno_offer().  Host A's order says
 * nothing, so its data come last, where the last need no length byte; host B's is
 * its priority.
 *
 * What turns out too long gives way until it fits: of the TEPs with data the least
 * preferred one goes without them, and where they may not be missing it is left
 * out, since no such suboption would be valid.
 */
#ifndef ENO_OFFER_H
#define ENO_OFFER_H

#include "eno_tep_data.h"

enum eno_pass { ENO_BARE = 1, ENO_WITH_DATA = 2, ENO_IN_ORDER = 3 };

struct eno_offering {
	eno_u8 option[2 * ENO_OPTION_MAX]; /* of which more than 40 bytes are no option */
	eno_u8 len;
	eno_u8 count;	       /* suboptions */
	eno_u8 length_byte_at; /* of the last one; 0: it has none */
	eno_u8 least;	       /* 1 + place in the table of the first data; 0: there are none */
	eno_u8 gone;	       /* bit n: the data of entry n gave way */
	eno_u8 pad[3];
} __attribute__((aligned(8)));

/* All but o->gone. */
ENO_INLINE void eno_offer_begin(struct eno_offering *o, eno_u8 global)
{
	__builtin_memset(o->option, 0, sizeof(o->option));
	o->option[0] = ENO_KIND;
	o->len = ENO_HEADER_LEN;
	if (global) /* a 0 is left implicit (section 4.2) [8547:4.2-1] */
		o->option[o->len++] = global;
	o->count = o->length_byte_at = o->least = 0;
}

ENO_INLINE int eno_put_bare(struct eno_offering *o, eno_u8 tep)
{
	unsigned int at = o->len;

	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX)
		return 0;
	o->option[at] = tep;
	o->len = (eno_u8)(at + 1);
	o->length_byte_at = 0;
	o->count++;
	return 1;
}

/* Figure 7.  A copy of fixed size: what follows overwrites what was too much. */
ENO_INLINE int eno_put_data(struct eno_offering *o, const struct eno_tep_data *d, int host)
{
	unsigned int at = o->len;
	int i;

	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX)
		return 0;
	o->option[at] = (eno_u8)(ENO_V | (d->len[host] - 1)); /* [8547:4.4-2] */
	o->option[at + 1] = ENO_V | d->tep;
	for (i = 0; i < ENO_TEP_DATA_SENT_MAX; i++)
		o->option[at + 2 + i] = d->data[host][i];
	o->len = (eno_u8)(at + 2 + d->len[host]);
	o->length_byte_at = (eno_u8)at;
	o->count++;
	return 1;
}

/* One TEP, if it is one of those that this pass is for; 0: too long anyway. */
ENO_INLINE int eno_offer_step(struct eno_offering *o, const struct eno_tep_table *table, eno_u8 tep,
			      int host, enum eno_pass pass)
{
	unsigned int place = eno_place_of(table, tep);
	const struct eno_tep_data *d;

	ENO_KEEP(place);
	if (place >= ENO_TEP_DATA_MAX || !table->entry[place].len[host])
		return pass & ENO_BARE ? eno_put_bare(o, tep) : 1;
	d = &table->entry[place];
	if (o->gone & 1 << place) /* as v = 0, if that is valid */
		return pass & ENO_BARE && !d->least[host] ? eno_put_bare(o, tep) : 1;
	if (!(pass & ENO_WITH_DATA))
		return 1;
	if (!o->least)
		o->least = (eno_u8)(place + 1);
	return eno_put_data(o, d, host);
}

/* The last suboption's length is the option's. [8547:4.1-6] */
ENO_INLINE void eno_offer_end(struct eno_offering *o)
{
	unsigned int at = o->length_byte_at;
	int i;

	ENO_KEEP(at);
	if (at && at <= ENO_OPTION_MAX) {
		for (i = 0; i <= ENO_TEP_DATA_SENT_MAX; i++)
			o->option[at + i] = o->option[at + i + 1];
		o->option[at + i] = 0;
		o->len--;
	}
	o->option[1] = o->len;
}

/* 0: no data are left to give way. */
ENO_INLINE int eno_gives_way(struct eno_offering *o)
{
	if (!o->least)
		return 0;
	o->gone |= (eno_u8)(1 << ((o->least - 1) & (ENO_TEP_DATA_MAX - 1)));
	return 1;
}

ENO_INLINE void eno_offer_whole(struct eno_offering *o, const struct eno_tep_table *table,
				const eno_u8 *teps, eno_u8 count, eno_u8 global)
{
	int host = global & ENO_GLOBAL_B ? ENO_HOST_B : ENO_HOST_A;
	enum eno_pass pass = host == ENO_HOST_B ? ENO_IN_ORDER : ENO_BARE;
	int i;

	eno_offer_begin(o, global);
	for (i = 0; i < count && eno_offer_step(o, table, teps[i], host, pass); i++)
		;
	for (i = 0; i < count && host == ENO_HOST_A; i++)
		if (!eno_offer_step(o, table, teps[i], host, ENO_WITH_DATA))
			break;
	eno_offer_end(o);
}

/* Figure 2, into o->option: its length, 0 if it has no room or no TEP is left. */
ENO_INLINE eno_u8 eno_offer(struct eno_offering *o, const struct eno_tep_table *table,
			    const eno_u8 *teps, eno_u8 count, eno_u8 global, eno_u8 room)
{
	o->gone = 0;
	do {
		eno_offer_whole(o, table, teps, count, global);
		if (o->len <= room)
			return count && !o->count ? 0 : o->len;
	} while (eno_gives_way(o));
	return 0;
}

/* Host B's in a SYN-ACK: global suboption and one TEP, whose data need no length
 * byte.  d: with its data; 0: without. [8547:4.5-4] */
ENO_INLINE eno_u8 eno_answer_with(eno_u8 option[ENO_OPTION_MAX], eno_u8 tep,
				  const struct eno_tep_data *d, eno_u8 global)
{
	eno_u8 len = ENO_HEADER_LEN + 2;
	int i;

	option[0] = ENO_KIND;
	option[2] = global;
	option[3] = tep;
	if (d) {
		option[3] |= ENO_V;
		for (i = 0; i < ENO_TEP_DATA_SENT_MAX; i++)
			option[len + i] = d->data[ENO_HOST_B][i];
		len = (eno_u8)(len + d->len[ENO_HOST_B]);
	}
	option[1] = len;
	return len;
}

#endif
