/* HKDF as RFC 8548 section 3.1 writes it, over libsodium's HMAC-SHA256. */
#include <stdalign.h>
#include <string.h>

#include "keyschedule.h"

enum { HASH_LEN = 32 };

void tcpcrypt_extract(u8 prk[K_LEN], struct tcpcrypt_bytes salt, const struct tcpcrypt_bytes *parts,
		      size_t count)
{
	alignas(16) u8 state[SODIUM_HMAC_STATE];
	size_t i;

	/* PRK = HMAC-Hash(salt, IKM) */
	sodium.hmac_init(state, salt.at, salt.len);
	for (i = 0; i < count; i++)
		sodium.hmac_update(state, parts[i].at, parts[i].len);
	sodium.hmac_final(state, prk);
	sodium.memzero(state, sizeof(state));
}

void tcpcrypt_cprf(u8 *out, size_t len, const u8 key[K_LEN], u8 constant,
		   struct tcpcrypt_bytes suffix)
{
	alignas(16) u8 state[SODIUM_HMAC_STATE];
	u8 t[HASH_LEN];
	u8 counter = 0;

	while (len) {
		size_t take = len < HASH_LEN ? len : HASH_LEN;

		/* T(n) = HMAC-Hash(PRK, T(n-1) | CONST | n) */
		sodium.hmac_init(state, key, K_LEN);
		if (counter++)
			sodium.hmac_update(state, t, sizeof(t));
		sodium.hmac_update(state, &constant, 1);
		sodium.hmac_update(state, suffix.at, suffix.len);
		sodium.hmac_update(state, &counter, 1);
		sodium.hmac_final(state, t);
		memcpy(out, t, take);
		out += take;
		len -= take;
	}
	sodium.memzero(state, sizeof(state));
	sodium.memzero(t, sizeof(t));
}

size_t tcpcrypt_key_len(unsigned aead)
{
	switch (aead) { /* section 6, table 3 */
	case AEAD_AES_128_GCM:
		return 16;
	case AEAD_AES_256_GCM:
	case AEAD_CHACHA20_POLY1305:
		return 32;
	}
	return 0;
}
