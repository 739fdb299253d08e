/* Wiping: the single exit of every secret. */
#ifndef WIPE_H
#define WIPE_H

#include <stdlib.h>

#include "sodium.h"

static inline void wipe(void *bytes, size_t len)
{
	if (len && sodium.memzero)
		sodium.memzero(bytes, len);
}

/* What a function that has returned may have left below the caller's own frame:
 * libsodium's Curve25519 and OpenSSL's ChaCha20 do not clear theirs. */
enum { STACK_LEFT = 8192 };

static inline void wipe_stack(void)
{
	if (sodium.stackzero)
		sodium.stackzero(STACK_LEFT);
}

/* What OpenSSL gave back to the allocator as it was: EC_POINT_mul() copies the scalar,
 * at most 72 bytes, and so does whoever made a BIGNUM and not a secure one.  What this
 * thread freed last is the first that it is given again. */
enum { FREED_MAX = 136, FREED_STEP = 16, FREED_DEPTH = 16 };

static inline void wipe_freed(void)
{
	void *chunks[FREED_DEPTH];

	for (size_t size = 24; size <= FREED_MAX; size += FREED_STEP) {
		for (int i = 0; i < FREED_DEPTH; i++)
			if ((chunks[i] = malloc(size)))
				wipe(chunks[i], size);
		for (int i = 0; i < FREED_DEPTH; i++)
			free(chunks[i]);
	}
}

static inline void wipe_free(void *bytes, size_t len)
{
	if (bytes)
		wipe(bytes, len);
	free(bytes);
}

#endif
