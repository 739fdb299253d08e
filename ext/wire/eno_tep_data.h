/* Suboption data of TEPs other than tcpcrypt's (RFC 8547 sections 4.4, 4.5): what
 * this host sends in each role, and how much is valid from each role.
 *
 * pyeno/_tepdata.py packs the struct; the value of socket option TCP_ENO_TEP_DATA
 * is a row of them.
 */
#ifndef ENO_TEP_DATA_H
#define ENO_TEP_DATA_H

#include "eno.h"

enum {
	ENO_TEP_DATA_MAX = 4,
	ENO_TEP_DATA_SENT_MAX = 16,
	ENO_TEP_DATA_RECEIVED_MAX = ENO_OPTION_MAX - ENO_HEADER_LEN - 1,
};

/* In arrays of two: host A, host B. */
enum { ENO_HOST_A = 0, ENO_HOST_B = 1 };

struct eno_tep_data {
	eno_u8 tep;		  /* 0: an unused entry, all of it 0 */
	eno_u8 len[2];		  /* bytes that this host sends in either role; 0: v = 0 */
	eno_u8 least[2], most[2]; /* bytes that are valid from either host; v = 0 counts as 0 */
	eno_u8 pad;
	eno_u8 data[2][ENO_TEP_DATA_SENT_MAX]; /* 0 from len on */
} __attribute__((aligned(8)));
_Static_assert(sizeof(struct eno_tep_data) == 40, "struct eno_tep_data is ABI");

struct eno_tep_table {
	struct eno_tep_data entry[ENO_TEP_DATA_MAX];
};

/* The TEP's place in the table, ENO_TEP_DATA_MAX if it has none. */
ENO_INLINE unsigned int eno_place_of(const struct eno_tep_table *table, eno_u8 tep)
{
	unsigned int i;

	for (i = 0; i < ENO_TEP_DATA_MAX; i++)
		if (table->entry[i].tep == tep)
			break;
	return i;
}

ENO_INLINE const struct eno_tep_data *eno_data_of(const struct eno_tep_table *table, eno_u8 tep)
{
	unsigned int place = eno_place_of(table, tep);

	ENO_KEEP(place);
	return place < ENO_TEP_DATA_MAX ? &table->entry[place] : 0;
}

/* Section 4.5 rule 2 for what one host sent.  Without a rule, none. [8547:4.5-2] */
ENO_INLINE int eno_size_valid(const struct eno_tep_data *rule, int host,
			      const struct eno_suboption *s)
{
	if (!rule)
		return !(s->tep_byte & ENO_V);
	return s->data_len >= rule->least[host] && s->data_len <= rule->most[host];
}

#endif
