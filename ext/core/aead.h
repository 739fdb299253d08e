/* One AEAD key, set up once, sealing and opening in place.
 *
 * Providers: libsodium (AES-256-GCM, ChaCha20-Poly1305), libcrypto's EVP
 * (AES-128-GCM, AES-256-GCM), and a foreign one whose functions the caller
 * supplies (for hosts with no libcrypto to share).
 */
#ifndef TCPCRYPT_AEAD_H
#define TCPCRYPT_AEAD_H

#include <stdalign.h>

#include "sodium.h"
#include "tcpcrypt.h"

struct tcpcrypt_aead;

struct tcpcrypt_aead_ops {
	/* 0 on success */
	int (*setup)(struct tcpcrypt_aead *a, const u8 *key);
	/* buf[0 .. len) becomes ciphertext, the tag follows it */
	int (*seal)(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len);
	/* buf[0 .. len) with the tag at its end becomes plaintext; -1: FAIL */
	int (*open)(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len);
	void (*clear)(struct tcpcrypt_aead *a);
};

struct tcpcrypt_aead {
	const struct tcpcrypt_aead_ops *ops; /* 0: no key */
	void *seal_ctx, *open_ctx;
	size_t key_len;
	alignas(16) u8 state[SODIUM_GCM_STATE];
};

/* libcrypto, if this process has loaded one; 0 if not. */
int tcpcrypt_libcrypto_load(void);

/* Provider names, in the order the table prefers them. */
const struct tcpcrypt_aead_ops *tcpcrypt_provider(unsigned aead, const char *name);

int tcpcrypt_aead_setup(struct tcpcrypt_aead *a, const struct tcpcrypt_aead_ops *ops, const u8 *key,
			size_t key_len);
void tcpcrypt_aead_clear(struct tcpcrypt_aead *a);

#endif
