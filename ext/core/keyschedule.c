/* See keyschedule.h. */
#include "keyschedule.h"

#include <string.h>

#include "wipe.h"

/* the size of libsodium's state is asked at run time: this holds any so far */
#define HMAC_STATE_MAX 512

enum { HASH_LEN = 32, CPRF_MAX = 2 * HASH_LEN };

int tcpcrypt_hmac(uint8_t out[HASH_LEN], struct bytes key, const struct bytes *parts, size_t count)
{
	_Alignas(64) uint8_t state[HMAC_STATE_MAX];

	if (sodium.hmac_statebytes() > sizeof(state))
		return -1;
	sodium.hmac_init(state, key.at, key.len);
	for (size_t i = 0; i < count; i++)
		sodium.hmac_update(state, parts[i].at, parts[i].len);
	sodium.hmac_final(state, out);
	wipe(state, sizeof(state));
	return 0;
}

int tcpcrypt_cprf(uint8_t *out, size_t len, const uint8_t key[K_LEN], uint8_t constant,
		  struct bytes sn)
{
	uint8_t t[CPRF_MAX], counter;
	int failed = len > CPRF_MAX ? -1 : 0;

	/* T(n) = HMAC-Hash(PRK, T(n-1) | CONST | n) [8548:5-1] */
	for (counter = 1; !failed && (size_t)(counter - 1) * HASH_LEN < len; counter++) {
		size_t at = (size_t)(counter - 1) * HASH_LEN;
		const struct bytes parts[] = {
			{ at ? t + at - HASH_LEN : t, at ? HASH_LEN : 0 },
			{ &constant, 1 },
			sn,
			{ &counter, 1 },
		};

		failed = tcpcrypt_hmac(t + at, (struct bytes){ key, K_LEN }, parts, 4);
	}
	if (!failed)
		memcpy(out, t, len);
	wipe(t, sizeof(t));
	return failed;
}

int tcpcrypt_derive(struct tcpcrypt_schedule *s, const uint8_t ss[K_LEN], struct bytes sn,
		    uint8_t tep_byte)
{
	s->session_id[0] = tep_byte;				/* [8547:5.1-8, 5.1-9] */
	if (tcpcrypt_cprf(s->mk, K_LEN, ss, CONST_REKEY, sn) || /* [8548:3.3-9] */
	    /* [8547:5-3, 5.1-1, 5.1-5, 5.1-6, 5.1-7, 5.1-15, 5.1-19, 5.1-21, 8.6-1] [8548:3.4-1] */
	    tcpcrypt_cprf(s->session_id + 1, K_LEN, ss, CONST_SESSID, sn) ||
	    /* [8548:3.3-8] */
	    tcpcrypt_cprf(s->next_ss, K_LEN, ss, CONST_NEXTK, (struct bytes){ ss, 0 })) {
		wipe(s, sizeof(*s));
		return -1;
	}
	return 0;
}

void tcpcrypt_generations_init(struct tcpcrypt_generations *g, const uint8_t mk[K_LEN],
			       uint8_t constant, uint8_t traffic_key_len)
{
	memcpy(g->mk, mk, K_LEN);
	g->j = 0;
	g->constant = constant;
	g->traffic_key_len = traffic_key_len;
}

int tcpcrypt_traffic_key(const struct tcpcrypt_generations *g, uint8_t out[TRAFFIC_KEY_MAX])
{
	return tcpcrypt_cprf(out, g->traffic_key_len, g->mk, g->constant, /* [8548:3.3-10] */
			     (struct bytes){ g->mk, 0 });
}

int tcpcrypt_advance(struct tcpcrypt_generations *g)
{
	/* mk[j] is overwritten: section 3.8, "SHOULD delete older-generation keys" [8548:3.8-11] */
	if (tcpcrypt_cprf(g->mk, K_LEN, g->mk, CONST_REKEY, (struct bytes){ g->mk, 0 }))
		return -1;
	g->j++;
	return 0;
}
