/* libsodium, found at run time in the module PyNaCl ships.
 *
 * PyNaCl's extension either contains libsodium or is linked with the
 * system's; dlsym() on its handle finds the functions in both cases.  No
 * header of libsodium is needed to build, and every symbol is checked before
 * the first use.
 */
#ifndef SODIUM_H
#define SODIUM_H

#include <stddef.h>

typedef int sodium_seal_fn(unsigned char *c, unsigned char *tag, unsigned long long *tag_len,
			   const unsigned char *m, unsigned long long m_len,
			   const unsigned char *ad, unsigned long long ad_len,
			   const unsigned char *nsec, const unsigned char *nonce,
			   const void *key_or_state);
typedef int sodium_open_fn(unsigned char *m, unsigned char *nsec, const unsigned char *c,
			   unsigned long long c_len, const unsigned char *tag,
			   const unsigned char *ad, unsigned long long ad_len,
			   const unsigned char *nonce, const void *key_or_state);

struct sodium {
	int (*init)(void);
	void (*memzero)(void *bytes, size_t len);
	void (*stackzero)(size_t len);
	void (*randombytes_buf)(void *bytes, size_t len);
	int (*is_zero)(const unsigned char *bytes, size_t len);

	int (*scalarmult)(unsigned char *q, const unsigned char *n, const unsigned char *p);
	int (*scalarmult_base)(unsigned char *q, const unsigned char *n);

	size_t (*hmac_statebytes)(void);
	int (*hmac_init)(void *state, const unsigned char *key, size_t key_len);
	int (*hmac_update)(void *state, const unsigned char *in, unsigned long long len);
	int (*hmac_final)(void *state, unsigned char out[32]);

	int (*aes256gcm_is_available)(void);
	size_t (*aes256gcm_statebytes)(void);
	int (*aes256gcm_beforenm)(void *state, const unsigned char *key);
	sodium_seal_fn *aes256gcm_seal, *chacha_seal;
	sodium_open_fn *aes256gcm_open, *chacha_open;
};

extern struct sodium sodium;

/* Fill `sodium` from the shared object at path.  NULL, or what failed: the
 * loader's message or the name of a missing symbol. */
const char *sodium_bind(const char *path) __attribute__((warn_unused_result));

#endif
