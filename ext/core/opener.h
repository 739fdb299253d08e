/* Frames of the TCP stream to authenticated application data; sealer.h shows one.
 *
 * The opener keeps the stream in one buffer that the caller owns, and decrypts
 * in place there, unless the reader's own memory has room for a whole frame:
 *
 *   0        ready     ready_end        at              end       capacity
 *   +----------+-----------+-------------+---------------+-----------+
 *   |  given   | plaintext | (gap: tags) | not yet opened|   room    |
 *   +----------+-----------+-------------+---------------+-----------+
 *
 * Somebody may still hold a view of the buffer and scribble on it, even while
 * a frame is being opened: a length is read once, checked and used from there,
 * so that scribbling can fail an authentication but never reach outside.
 */
#ifndef OPENER_H
#define OPENER_H

#include "aead.h"

/* What is wrong with the incoming stream. */
enum fault {
	FAULT_NONE = 0,
	FAULT_AUTHENTICATION, /* section 3.6: FAIL */
	FAULT_NO_FLAGS,	      /* section 4.2.1: clen leaves no flags byte */
	FAULT_NO_URGENT,      /* section 4.2.1: URGp without the urgent field */
	FAULT_URGENT_BEYOND,  /* section 3.7: urgent beyond the frame's data */
	FAULT_AFTER_FINP,     /* section 3.7: FINp was not on the last frame */
	FAULT_OFFSET,	      /* section 3.6: more than 2^64 bytes */
	FAULT_PROVIDER,	      /* not the peer's: the AEAD could not be computed */
};

struct opener {
	struct aead aead, next; /* next.small.ops is NULL: no key supplied */
	uint8_t *buffer;	/* the caller's */
	size_t capacity;
	size_t ready, ready_end, at, end;
	size_t plain_end;      /* beyond it the buffer never held plaintext */
	uint64_t offset;       /* of buffer[at] in the TCP stream */
	uint64_t app_offset;   /* of buffer[ready_end] in the application stream */
	uint64_t generation;   /* section 3.8: remote generation number */
	uint64_t urgent_index; /* valid if urgent_seen */
	uint64_t empty_rekeys; /* frames with rekey = 1 and no data */
	uint64_t fault_offset; /* where the frame at fault begins */
	uint32_t fault_clen;
	uint8_t fault;	     /* enum fault, for good */
	uint8_t urgent_byte; /* valid if urgent_seen */
	uint8_t oob_inline;  /* the urgent byte is read as any other */
	uint8_t urgent_seen, finp, rekey_wanted;
};

static inline size_t opener_pending(const struct opener *o)
{
	return o->ready_end - o->ready;
}

/* In the application stream, of the byte that is read next. */
static inline uint64_t opener_read_index(const struct opener *o)
{
	return o->app_offset - opener_pending(o);
}

static inline size_t opener_buffered(const struct opener *o)
{
	return o->end - o->at;
}

/* Capacity needed for len more stream bytes; 0 if there is room already,
 * perhaps after moving what is kept to the buffer's beginning. */
size_t opener_make_room(struct opener *o, size_t len);
/* Go on in another, larger buffer; the old one keeps no plaintext. */
void opener_move(struct opener *o, uint8_t *buffer, size_t capacity);
/* If nothing is kept in the buffer, forget it, without plaintext in it; else 0. */
int opener_rest(struct opener *o);
/* len bytes were written at buffer[end]. */
void opener_commit(struct opener *o, size_t len);

/* Upper bound, at most size, of what opener_read() can give now. */
size_t opener_available(const struct opener *o, size_t size);
/* Open frames until size bytes (or any, if size is 0) are authenticated or
 * out, of room bytes, is full; how many were put there.  When there is nothing, look at
 * .fault, .rekey_wanted and .finp.  Where a frame does not authenticate, what out holds
 * beyond that is wiped. */
size_t opener_read(struct opener *o, uint8_t *out, size_t room, size_t size);
/* What opener_read() would give of the plaintext there is; it stays. */
size_t opener_peek(const struct opener *o, const uint8_t **data, size_t size);
/* Open every whole frame, whatever is pending. */
void opener_open_ahead(struct opener *o);
/* Wipe the keys and the buffer, which then is forgotten. */
void opener_wipe(struct opener *o);

#endif
