/* libsodium, found in the shared object PyNaCl brought with it.
 *
 * Every wheel of PyNaCl carries its own libsodium inside _sodium.abi3.so;
 * distributions link it to the system's.  dlsym() on that object serves both,
 * needs no headers and adds no second copy.
 */
#ifndef TCPCRYPT_SODIUM_H
#define TCPCRYPT_SODIUM_H

#include <stddef.h>

typedef unsigned char u8;
typedef unsigned long long sodium_len;

enum { SODIUM_HMAC_STATE = 512, SODIUM_GCM_STATE = 512 };

struct tcpcrypt_sodium {
	int (*init)(void);
	void (*memzero)(void *p, size_t len);
	void (*random)(void *p, size_t len);
	int (*x25519)(u8 *q, const u8 *n, const u8 *p);
	int (*x25519_base)(u8 *q, const u8 *n);
	size_t (*hmac_statebytes)(void);
	int (*hmac_init)(void *state, const u8 *key, size_t len);
	int (*hmac_update)(void *state, const u8 *in, sodium_len len);
	int (*hmac_final)(void *state, u8 *out);
	int (*gcm_available)(void);
	size_t (*gcm_statebytes)(void);
	int (*gcm_beforenm)(void *state, const u8 *key);
	int (*gcm_seal)(u8 *c, sodium_len *clen, const u8 *m, sodium_len mlen, const u8 *ad,
			sodium_len adlen, const u8 *nsec, const u8 *npub, const void *state);
	int (*gcm_open)(u8 *m, sodium_len *mlen, u8 *nsec, const u8 *c, sodium_len clen,
			const u8 *ad, sodium_len adlen, const u8 *npub, const void *state);
	int (*chacha_seal)(u8 *c, sodium_len *clen, const u8 *m, sodium_len mlen, const u8 *ad,
			   sodium_len adlen, const u8 *nsec, const u8 *npub, const u8 *k);
	int (*chacha_open)(u8 *m, sodium_len *mlen, u8 *nsec, const u8 *c, sodium_len clen,
			   const u8 *ad, sodium_len adlen, const u8 *npub, const u8 *k);
};

extern struct tcpcrypt_sodium sodium;

/* 0, or the name of what is missing. */
const char *sodium_load(const char *path);

#endif
