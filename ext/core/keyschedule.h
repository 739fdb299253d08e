/* From the ephemeral secret to traffic keys (RFC 8548 sections 3.3 to 3.5).
 *
 *   PRK = ss[0] = Extract(N_A, eno_transcript | Init1 | Init2 | ES)
 *   ss[i] = CPRF(ss[i-1], CONST_NEXTK, K_LEN)
 *   mk[0] = CPRF(ss[i], CONST_REKEY | sn[i], K_LEN)
 *   mk[j] = CPRF(mk[j-1], CONST_REKEY, K_LEN)
 *   k_ab[j], k_ba[j] = CPRF(mk[j], CONST_KEY_A or _B, ae_key_len + ae_nonce_len)
 *   session_id[i] = TEP-byte | CPRF(ss[i], CONST_SESSID | sn[i], K_LEN)
 *   resume[i] = CPRF(ss[i], CONST_RESUME, 18)
 */
#ifndef KEYSCHEDULE_H
#define KEYSCHEDULE_H

#include "tcpcrypt.h"

struct bytes {
	const uint8_t *at;
	size_t len;
};

/* One connection's secrets, before the directions part. */
struct tcpcrypt_schedule {
	uint8_t next_ss[K_LEN];
	uint8_t mk[K_LEN];
	uint8_t session_id[SESSION_ID_LEN];
};

/* One direction's chain of master keys, at generation j. */
struct tcpcrypt_generations {
	uint8_t mk[K_LEN];
	uint64_t j;
	uint8_t constant; /* CONST_KEY_A or CONST_KEY_B */
	uint8_t traffic_key_len;
};

/* HMAC-SHA256 over the parts, one after another (RFC 2104). */
int tcpcrypt_hmac(uint8_t out[32], struct bytes key, const struct bytes *parts, size_t count)
	__attribute__((warn_unused_result));

/* HKDF-Expand (figure 1), at most 64 bytes; info is constant | sn. */
int tcpcrypt_cprf(uint8_t *out, size_t len, const uint8_t key[K_LEN], uint8_t constant,
		  struct bytes sn) __attribute__((warn_unused_result));

/* Everything derived from ss[i], which the caller wipes.  -1: no memory. */
int tcpcrypt_derive(struct tcpcrypt_schedule *s, const uint8_t ss[K_LEN], struct bytes sn,
		    uint8_t tep_byte) __attribute__((warn_unused_result));

void tcpcrypt_generations_init(struct tcpcrypt_generations *g, const uint8_t mk[K_LEN],
			       uint8_t constant, uint8_t traffic_key_len);
int tcpcrypt_traffic_key(const struct tcpcrypt_generations *g, uint8_t out[TRAFFIC_KEY_MAX])
	__attribute__((warn_unused_result));

/* k_ab[0] and k_ba[0], of len bytes each. */
int tcpcrypt_first_keys(const uint8_t mk[K_LEN], uint8_t len, uint8_t ab[TRAFFIC_KEY_MAX],
			uint8_t ba[TRAFFIC_KEY_MAX]) __attribute__((warn_unused_result));
int tcpcrypt_advance(struct tcpcrypt_generations *g) __attribute__((warn_unused_result));

#endif
