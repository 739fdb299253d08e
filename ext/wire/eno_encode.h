/* Writing a SYN-form option, the way back of eno.h (RFC 8547 sections 4.1-4.4).
 *
 * Begin with a zeroed struct eno_encoder, then at most one eno_put_global(),
 * then suboptions in order; every call says why it refuses and changes nothing
 * when it does.  A length byte is written only where the RFC needs one: before
 * a suboption with data that is not last.
 */
#ifndef ENO_ENCODE_H
#define ENO_ENCODE_H

#include "eno.h"

/* Section 4.4: nnnnn + 1 is 1 to 32. */
enum { ENO_LENGTH_BYTE_MIN = 1, ENO_LENGTH_BYTE_MAX = ENO_LENGTH_NNNNN + 1 };

enum eno_refusal {
	ENO_WRITTEN = 0,
	ENO_DATA_WITHOUT_V = 1,	       /* 4.1: only v = 1 introduces data */
	ENO_LENGTH_BYTE_WITHOUT_V = 2, /* 4.4: what follows it MUST have v = 1 */
	ENO_LENGTH_BYTE_RANGE = 3,     /* 4.4: it cannot designate this length */
	ENO_OPTION_FULL = 4,	       /* 4.4: 40 bytes of TCP options */
};

struct eno_encoder {
	eno_u8 option[ENO_OPTION_MAX];
	eno_u8 len;
};

ENO_INLINE void eno_encode_begin(struct eno_encoder *e)
{
	e->option[0] = ENO_KIND;
	e->option[1] = ENO_HEADER_LEN;
	e->len = ENO_HEADER_LEN;
}

/* Section 4.2, figure 5; always fits, since it comes first. */
ENO_INLINE void eno_put_global(struct eno_encoder *e, eno_u8 global)
{
	e->option[e->len++] = global;
	e->option[1] = e->len;
}

/* Sections 4.1 and 4.4: one TEP suboption; tep_byte is v and glt. */
ENO_INLINE enum eno_refusal eno_put_suboption(struct eno_encoder *e, eno_u8 tep_byte,
					      const eno_u8 *data, unsigned long len,
					      int length_byte, int last)
{
	int has_data = (tep_byte & ENO_V) != 0;
	unsigned long introduced = length_byte || (has_data && !last); /* [8547:4.4-2] */
	unsigned long i;

	if (len && !has_data)
		return ENO_DATA_WITHOUT_V;
	if (introduced && !has_data)
		return ENO_LENGTH_BYTE_WITHOUT_V; /* [8547:4.4-4, 4.4-5, 4.4-6] */
	if (introduced && (len < ENO_LENGTH_BYTE_MIN || len > ENO_LENGTH_BYTE_MAX))
		return ENO_LENGTH_BYTE_RANGE;
	if (len > ENO_OPTION_MAX || e->len + introduced + 1u + len > ENO_OPTION_MAX)
		return ENO_OPTION_FULL;
	if (introduced)
		e->option[e->len++] = (eno_u8)(ENO_V | (len - 1));
	e->option[e->len++] = tep_byte;
	for (i = 0; i < len; i++)
		e->option[e->len++] = data[i];
	e->option[1] = e->len;
	return ENO_WRITTEN;
}

#endif
