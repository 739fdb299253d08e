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

static inline void wipe_free(void *bytes, size_t len)
{
	if (bytes)
		wipe(bytes, len);
	free(bytes);
}

#endif
