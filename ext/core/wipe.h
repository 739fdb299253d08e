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

/* What OpenSSL gave back to the allocator as it was: EC_POINT_mul() copies the scalar, 33
 * bytes for P-256 and 66 for P-521, and so does whoever made a BIGNUM and not a secure one,
 * 32 and 72 bytes.  What this thread freed last is the first that it is given again. */
enum { FREED_DEPTH = 64 };

static inline void wipe_freed(void)
{
	static const size_t sizes[] = { 40, 72 };
	void *chunks[FREED_DEPTH];

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		for (int i = 0; i < FREED_DEPTH; i++)
			if ((chunks[i] = malloc(sizes[s])))
				wipe(chunks[i], sizes[s]);
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
