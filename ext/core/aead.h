/* The three AEADs of RFC 8548 section 6 and who computes them. [8547:5-5]
 *
 * Sealing works in place: a buffer holds the plaintext and AE_TAG_LEN spare
 * bytes.  Opening puts the plaintext of ciphertext and tag where it is told
 * to, which may be in place.  The expanded key is kept from frame to frame.  A
 * provider may be good at short texts and another at long ones, so that a key
 * may be held by two of them: by the second from the first long text on, since
 * most connections see none.
 *
 *   libsodium     AES-256-GCM (where the processor has it), ChaCha20-Poly1305
 *   libcrypto     the two AES-GCM, by EVP, from the library that the process
 *                 has already loaded
 *   hooks         all three, through functions that the embedding program
 *                 supplies (the Python module calls `cryptography` there)
 */
#ifndef AEAD_H
#define AEAD_H

#include "tcpcrypt.h"

enum aead_status {
	AEAD_OK = 0,
	AEAD_FAIL = -1, /* the symbol FAIL of section 3.6 */
	AEAD_NO_MEMORY = -2,
	AEAD_PROVIDER = -3, /* the provider itself failed */
};

enum aead_provider { AEAD_NONE, AEAD_LIBSODIUM, AEAD_LIBCRYPTO, AEAD_HOOKS };

struct aead_hooks {
	void *(*create)(uint16_t aead, const uint8_t *key, size_t key_len);
	int (*seal)(void *state, uint8_t *text, size_t len, const uint8_t *nonce,
		    const uint8_t *ad);
	int (*open)(void *state, uint8_t *out, const uint8_t *text, size_t len,
		    const uint8_t *nonce, const uint8_t *ad);
	void (*destroy)(void *state);
};

/* Which provider serves texts below, and which from, `cut` bytes. */
struct aead_plan {
	enum aead_provider small, large;
	size_t cut;
};

struct cipher {
	const struct aead_hooks *ops;
	void *state;
};

struct aead {
	struct cipher small, large;
	const struct aead_hooks *large_ops; /* large is still to be made with these; or NULL */
	uint16_t id;
	size_t cut;
	uint8_t key[AE_KEY_MAX];  /* while large is to be made */
	uint8_t nr[AE_NONCE_LEN]; /* section 3.6, figure 4: nonce randomizer */
};

/* NULL, or what is missing in the libcrypto of that name; it must be loaded. */
const char *aead_bind_libcrypto(const char *name) __attribute__((warn_unused_result));
void aead_bind_hooks(const struct aead_hooks *hooks);

/* Set the plan of one algorithm; -1 if a provider lacks it. */
int aead_set_plan(uint16_t aead, struct aead_plan plan) __attribute__((warn_unused_result));

/* traffic_key: ae_key_len bytes of key, then ae_nonce_len of nonce randomizer. */
int aead_init(struct aead *a, uint16_t aead, const uint8_t *traffic_key)
	__attribute__((warn_unused_result));
void aead_wipe(struct aead *a);

/* len counts the plaintext; ad is the frame's three header bytes, offset the
 * frame's place in the TCP stream.  Opening may leave garbage in out unless
 * AEAD_OK is returned: the caller wipes it.  out is text, or apart from it. */
int aead_seal(struct aead *a, uint8_t *text, size_t len, uint64_t offset, const uint8_t *ad)
	__attribute__((warn_unused_result));
int aead_open(struct aead *a, uint8_t *out, const uint8_t *text, size_t len, uint64_t offset,
	      const uint8_t *ad) __attribute__((warn_unused_result));

#endif
