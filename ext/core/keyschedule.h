/* Key schedule (RFC 8548 sections 3.1, 3.3, 3.4). */
#ifndef TCPCRYPT_KEYSCHEDULE_H
#define TCPCRYPT_KEYSCHEDULE_H

#include "sodium.h"
#include "tcpcrypt.h"

struct tcpcrypt_bytes {
	const u8 *at;
	size_t len;
};

/* PRK = Extract(salt, parts[0] | parts[1] | ...) */
void tcpcrypt_extract(u8 prk[K_LEN], struct tcpcrypt_bytes salt, const struct tcpcrypt_bytes *parts,
		      size_t count);

/* out = CPRF(key, constant | suffix, len), len <= 255 * 32 */
void tcpcrypt_cprf(u8 *out, size_t len, const u8 key[K_LEN], u8 constant,
		   struct tcpcrypt_bytes suffix);

/* ae_key_len, or 0 for an AEAD this implementation does not know */
size_t tcpcrypt_key_len(unsigned aead);

#endif
