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

static inline void wipe_free(void *bytes, size_t len)
{
	if (bytes)
		wipe(bytes, len);
	free(bytes);
}

#endif
