/* Offer, choose and negotiate (RFC 8547 sections 4.3, 4.5, 4.6).
 *
 * eno_offer()      a SYN's option from a list of TEPs (eno_offer.h)
 * eno_choose()     host B's answer to host A's option
 * eno_negotiate()  both SYN-form options -> TEP, or the reason there is none
 *
 * TEP lists are in the order of section 4.5: increasing priority.  Which suboption
 * data are valid, tcpcrypt's aside, says a struct eno_tep_table.
 */
#ifndef ENO_NEGOTIATE_H
#define ENO_NEGOTIATE_H

#include "eno_offer.h"

/* RFC 8548 section 3.5: nine bytes of identifier, nonce of at most eight. [8548:3.5-1] */
enum {
	TCPCRYPT_TEP_FIRST = 0x21,
	TCPCRYPT_TEP_LAST = 0x24,
	TCPCRYPT_RESUME_HALF = 9,
	TCPCRYPT_NONCE_MAX = 8,
};

enum eno_validity { ENO_INVALID, ENO_FRESH, ENO_RESUMED };

struct eno_outcome {
	eno_u8 reason;	   /* enum eno_reason */
	eno_u8 tep_byte;   /* section 5.1: as host B sent it, v included */
	eno_u8 local_b;	   /* 1: this host is B */
	eno_u8 peer_aware; /* the remote a bit */
	eno_u8 resumed;	   /* both sent well-sized resumption data */
};

ENO_INLINE int eno_is_tcpcrypt(eno_u8 tep)
{
	return tep >= TCPCRYPT_TEP_FIRST && tep <= TCPCRYPT_TEP_LAST;
}

/* RFC 8548 section 3.5: may host A have sent this? [8548:3.5-13, 3.5-14] */
ENO_INLINE int eno_tcpcrypt_proposes(const struct eno_suboption *s)
{
	return (s->tep_byte & ENO_V) && s->data_len >= TCPCRYPT_RESUME_HALF;
}

ENO_INLINE int eno_tcpcrypt_well_sized(const struct eno_suboption *s)
{
	return s->data_len <= TCPCRYPT_RESUME_HALF + TCPCRYPT_NONCE_MAX;
}

/* Section 4.5 rule 2 for what host A sent, judged alone. */
ENO_INLINE int eno_offer_valid(const struct eno_suboption *a, const struct eno_tep_table *table)
{
	eno_u8 tep = a->tep_byte & ENO_GLT;

	if (eno_is_tcpcrypt(tep))
		return eno_tcpcrypt_well_sized(a);
	return eno_size_valid(eno_data_of(table, tep), ENO_HOST_A, a);
}

/* RFC 8548 section 3.5 for host B's answer to a valid suboption. */
ENO_INLINE enum eno_validity eno_tcpcrypt_validity(const struct eno_suboption *a,
						   const struct eno_suboption *b)
{
	if (!(b->tep_byte & ENO_V)) /* [8548:3.2-4, 3.2-7] */
		return ENO_FRESH;
	if (eno_tcpcrypt_proposes(a) && eno_tcpcrypt_proposes(b) && eno_tcpcrypt_well_sized(b))
		return ENO_RESUMED; /* [8548:3.2-5] */
	return ENO_INVALID;
}

/* Section 4.5 rule 2 for both hosts' data. */
ENO_INLINE enum eno_validity eno_data_validity(const struct eno_suboption *a,
					       const struct eno_suboption *b,
					       const struct eno_tep_table *table)
{
	eno_u8 tep = b->tep_byte & ENO_GLT;

	if (!eno_offer_valid(a, table))
		return ENO_INVALID;
	if (eno_is_tcpcrypt(tep))
		return eno_tcpcrypt_validity(a, b);
	return eno_size_valid(eno_data_of(table, tep), ENO_HOST_B, b) ? ENO_FRESH : ENO_INVALID;
}

/* The one suboption for glt, or 0: absent, or repeated, which no TEP here
 * defines (section 4.5 rule 3). [8547:4.5-3] */
ENO_INLINE const struct eno_suboption *eno_find_tep(const struct eno_syn *s, eno_u8 tep_byte)
{
	eno_u8 place = s->index[eno_glt(tep_byte)];

	if (place == ENO_ABSENT || place > ENO_SUBOPTION_MAX)
		return 0;
	return &s->sub[place - 1];
}

ENO_INLINE int eno_has_half(const struct eno_syn *syn, const struct eno_suboption *s,
			    const eno_u8 half[TCPCRYPT_RESUME_HALF])
{
	unsigned int at = s->data_at;
	int i;

	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX - TCPCRYPT_RESUME_HALF)
		return 0;
	for (i = 0; i < TCPCRYPT_RESUME_HALF; i++)
		if (syn->option[at + i] != half[i])
			return 0;
	return 1;
}

/* RFC 8548 section 3.5: a resumption suboption "with the same TEP and an
 * identifier-half that does not match", which this host MUST ignore. [8548:3.5-15] */
ENO_INLINE void eno_ignore_other_half(struct eno_syn *remote, eno_u8 tep,
				      const eno_u8 half[TCPCRYPT_RESUME_HALF])
{
	const struct eno_suboption *s = eno_find_tep(remote, tep);

	if (s && eno_tcpcrypt_proposes(s) && !eno_has_half(remote, s, half))
		remote->index[eno_glt(tep)] = ENO_ABSENT;
}

/* The same for whichever TEP this host proposed. */
ENO_INLINE void eno_ignore_other_halves(const struct eno_syn *local, struct eno_syn *remote,
					const eno_u8 half[TCPCRYPT_RESUME_HALF])
{
	eno_u8 tep;

	for (tep = TCPCRYPT_TEP_FIRST; tep <= TCPCRYPT_TEP_LAST; tep++) {
		const struct eno_suboption *s = eno_find_tep(local, tep);

		if (s && eno_tcpcrypt_proposes(s))
			eno_ignore_other_half(remote, tep, half);
	}
}

/* Section 4.6: what a received SYN-form option alone rules out. */
ENO_INLINE enum eno_reason eno_judge(const struct eno_syn *remote, eno_u8 local_global,
				     int mandatory_aware)
{
	if (remote->reason) /* [8547:4.4-7, 4.4-8, 4.6-4] */
		return (enum eno_reason)remote->reason;
	if (!((remote->global ^ local_global) & ENO_GLOBAL_B)) /* [8547:4.3-3, 4.3-4, 4.6-6] */
		return ENO_SAME_ROLE;
	if (mandatory_aware && !(remote->global & ENO_GLOBAL_A)) /* [8547:4.2-8, 4.6-6] */
		return ENO_PEER_NOT_AWARE;
	if (!remote->count) /* [8547:4.6-15] */
		return ENO_VACUOUS;
	return ENO_NEGOTIATED;
}

/* Section 4.5: is B's suboption at this place the negotiated TEP?  Called
 * from the last place down, the first hit is "the last valid TEP". [8547:4.5-6] */
ENO_INLINE int eno_negotiate_step(const struct eno_syn *a, const struct eno_syn *b, eno_u8 place,
				  const struct eno_tep_table *table, struct eno_outcome *out)
{
	const struct eno_suboption *in_a, *in_b;
	enum eno_validity validity;
	eno_u8 tep_byte;

	if (place >= ENO_SUBOPTION_MAX || place >= b->count)
		return 0;
	tep_byte = b->sub[place].tep_byte;
	in_a = eno_find_tep(a, tep_byte);
	in_b = eno_find_tep(b, tep_byte);
	if (!in_a || !in_b) /* [8547:4.5-1] */
		return 0;
	validity = eno_data_validity(in_a, in_b, table); /* [8547:4.5-2] */
	if (validity == ENO_INVALID)
		return 0;
	out->tep_byte = tep_byte;
	out->resumed = validity == ENO_RESUMED;
	out->reason = ENO_NEGOTIATED;
	return 1;
}

/* What precedes the walk over B's suboptions; 0 if the outcome is settled. */
ENO_INLINE int eno_negotiate_begin(const struct eno_syn *local, const struct eno_syn *remote,
				   int mandatory_aware, struct eno_outcome *out)
{
	enum eno_reason reason = eno_judge(remote, local->global, mandatory_aware);

	out->local_b = local->global & ENO_GLOBAL_B; /* [8547:4.3-1] */
	out->peer_aware = (remote->global & ENO_GLOBAL_A) != 0;
	out->reason = (eno_u8)(reason ? reason : ENO_NO_VALID_TEP);
	return !reason;
}

ENO_INLINE void eno_negotiate(const struct eno_syn *local, const struct eno_syn *remote,
			      int mandatory_aware, const struct eno_tep_table *table,
			      struct eno_outcome *out)
{
	const struct eno_syn *a, *b;
	int place;

	if (!eno_negotiate_begin(local, remote, mandatory_aware, out))
		return;
	a = out->local_b ? remote : local;
	b = out->local_b ? local : remote;
	for (place = b->count - 1; place >= 0; place--)
		if (eno_negotiate_step(a, b, (eno_u8)place, table, out))
			return;
}

/* Would host B take this TEP, seeing host A's option? */
ENO_INLINE int eno_acceptable(const struct eno_syn *a, eno_u8 tep,
			      const struct eno_tep_table *table)
{
	const struct eno_suboption *in_a = eno_find_tep(a, tep);

	return in_a && eno_offer_valid(in_a, table);
}

/* The answer with one TEP that A's option makes valid; 0: no room. */
ENO_INLINE eno_u8 eno_answer(eno_u8 option[ENO_OPTION_MAX], eno_u8 tep,
			     const struct eno_tep_table *table, eno_u8 global, eno_u8 room)
{
	const struct eno_tep_data *d = eno_data_of(table, tep);
	eno_u8 len;

	if (d && d->len[ENO_HOST_B]) {
		len = eno_answer_with(option, tep, d, global);
		if (len <= room || d->least[ENO_HOST_B])
			return len <= room ? len : 0;
	}
	return eno_answer_with(option, tep, 0, global);
}

/* Host B's answer in a SYN-ACK: global suboption with b = 1 and exactly one
 * TEP (section 4.5, "SHOULD include only one").  A reason: send no option. */
ENO_INLINE enum eno_reason eno_choose(const struct eno_syn *remote, const eno_u8 *teps,
				      eno_u8 count, int self_aware, int mandatory_aware,
				      const struct eno_tep_table *table, eno_u8 room,
				      eno_u8 option[ENO_OPTION_MAX], eno_u8 *len)
{
	eno_u8 global = ENO_GLOBAL_B | (self_aware ? ENO_GLOBAL_A : 0); /* [8547:4.2-12, 4.2-13] */
	enum eno_reason reason = eno_judge(remote, global, mandatory_aware);
	int i;

	*len = 0;
	if (reason)
		return reason;
	reason = ENO_NO_VALID_TEP; /* [8547:4.6-5] [8548:3.2-3] */
	for (i = count - 1; i >= 0; i--)
		if (eno_acceptable(remote, teps[i], table)) { /* [8547:4.5-5] */
			*len = eno_answer(option, teps[i], table, global, room);
			if (*len)
				return ENO_NEGOTIATED;
			reason = ENO_NO_ROOM;
		}
	return reason;
}

#endif
