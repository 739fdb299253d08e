/* See keyschedule.h. */
#include "keyschedule.h"

#include <string.h>

#include "wipe.h"

/* the size of libsodium's state is asked at run time: this holds any so far */
#define HMAC_STATE_MAX 512

enum { HASH_LEN = 32, CPRF_MAX = 2 * HASH_LEN };

/* HMAC-SHA256 with its key absorbed, from which several outputs are made: libsodium's
 * state is plain memory, and what the key costs, half of a short HMAC, is paid once. */
struct keyed {
	_Alignas(64) uint8_t state[HMAC_STATE_MAX];
	size_t size;
};

static int key_in(struct keyed *k, struct bytes key)
{
	k->size = sodium.hmac_statebytes();
	if (k->size > sizeof(k->state))
		return -1;
	sodium.hmac_init(k->state, key.at, key.len);
	return 0;
}

static void key_out(struct keyed *k)
{
	wipe(k->state, k->size <= sizeof(k->state) ? k->size : 0);
}

static void hmac(const struct keyed *k, uint8_t out[HASH_LEN], const struct bytes *parts,
		 size_t count)
{
	struct keyed copy;

	copy.size = k->size;
	memcpy(copy.state, k->state, k->size);
	for (size_t i = 0; i < count; i++)
		sodium.hmac_update(copy.state, parts[i].at, parts[i].len);
	sodium.hmac_final(copy.state, out);
	key_out(&copy);
}

/* len <= CPRF_MAX */
static void expand(const struct keyed *k, uint8_t *out, size_t len, uint8_t constant,
		   struct bytes sn)
{
	uint8_t t[CPRF_MAX], counter;

	/* T(n) = HMAC-Hash(PRK, T(n-1) | CONST | n) [8548:5-1] */
	for (counter = 1; (size_t)(counter - 1) * HASH_LEN < len; counter++) {
		size_t at = (size_t)(counter - 1) * HASH_LEN;
		const struct bytes parts[] = {
			{ at ? t + at - HASH_LEN : t, at ? HASH_LEN : 0 },
			{ &constant, 1 },
			sn,
			{ &counter, 1 },
		};

		hmac(k, t + at, parts, 4);
	}
	memcpy(out, t, len);
	wipe(t, sizeof(t));
}

int tcpcrypt_hmac(uint8_t out[HASH_LEN], struct bytes key, const struct bytes *parts, size_t count)
{
	struct keyed k;

	if (key_in(&k, key))
		return -1;
	hmac(&k, out, parts, count);
	key_out(&k);
	return 0;
}

int tcpcrypt_cprf(uint8_t *out, size_t len, const uint8_t key[K_LEN], uint8_t constant,
		  struct bytes sn)
{
	struct keyed k;

	if (len > CPRF_MAX || key_in(&k, (struct bytes){ key, K_LEN }))
		return -1;
	expand(&k, out, len, constant, sn);
	key_out(&k);
	return 0;
}

int tcpcrypt_derive(struct tcpcrypt_schedule *s, const uint8_t ss[K_LEN], struct bytes sn,
		    uint8_t tep_byte)
{
	struct keyed k;

	if (key_in(&k, (struct bytes){ ss, K_LEN }))
		return -1;
	s->session_id[0] = tep_byte;		   /* [8547:5.1-8, 5.1-9] */
	expand(&k, s->mk, K_LEN, CONST_REKEY, sn); /* [8548:3.3-9] */
	/* [8547:5-3, 5.1-1, 5.1-5, 5.1-6, 5.1-7, 5.1-15, 5.1-19, 5.1-21, 8.6-1] [8548:3.4-1] */
	expand(&k, s->session_id + 1, K_LEN, CONST_SESSID, sn);
	/* [8548:3.3-8] */
	expand(&k, s->next_ss, K_LEN, CONST_NEXTK, (struct bytes){ ss, 0 });
	key_out(&k);
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

int tcpcrypt_first_keys(const uint8_t mk[K_LEN], uint8_t len, uint8_t ab[TRAFFIC_KEY_MAX],
			uint8_t ba[TRAFFIC_KEY_MAX])
{
	struct keyed k;

	if (key_in(&k, (struct bytes){ mk, K_LEN }))
		return -1;
	expand(&k, ab, len, CONST_KEY_A, (struct bytes){ mk, 0 }); /* [8548:3.3-10] */
	expand(&k, ba, len, CONST_KEY_B, (struct bytes){ mk, 0 });
	key_out(&k);
	return 0;
}

int tcpcrypt_advance(struct tcpcrypt_generations *g)
{
	/* mk[j] is overwritten: section 3.8, "SHOULD delete older-generation keys" [8548:3.8-11] */
	if (tcpcrypt_cprf(g->mk, K_LEN, g->mk, CONST_REKEY, (struct bytes){ g->mk, 0 }))
		return -1;
	g->j++;
	return 0;
}
