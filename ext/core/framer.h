/* Encryption frames (RFC 8548 sections 3.6 to 3.8 and 4.2).
 *
 *   byte   0       1       2       3               clen+2
 *      +-------+-------+-------+-------+---...---+-------+
 *      |control|      clen     |        ciphertext       |
 *      +-------+-------+-------+-------+---...---+-------+
 *
 * ciphertext = AEAD(flags [| urgent] | data), associated data = control | clen,
 * nonce from the offset of the frame in the TCP stream.  Sealer and opener
 * keep that offset themselves: no caller ever holds a nonce.
 *
 * The opener decrypts in place in one buffer that the caller owns:
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
#ifndef FRAMER_H
#define FRAMER_H

#include "aead.h"

struct sealer {
	struct aead aead;
	uint64_t offset;     /* of the next frame in the TCP stream */
	uint64_t generation; /* section 3.8: local generation number [8548:3.8-1] */
	size_t frame_size;   /* application bytes in one frame, at most */
	uint8_t rekey;	     /* the next frame is the first under a new key */
	uint8_t finished;    /* FINp has been sent */
};

enum { NO_URGENT = -1 };

/* One call's input and what became of it. */
struct seal_job {
	const uint8_t *data;
	size_t len;
	uint8_t *out;
	size_t room;
	int fin;
	int urgent;	/* the urgent field, or NO_URGENT */
	size_t taken;	/* of data */
	size_t written; /* to out */
};

/* Stream bytes that sealing len bytes yields; one frame at least. */
size_t sealer_size(const struct sealer *s, size_t len, int urgent);

/* Seal as many frames as fit; FINp only if all data was taken.  Unless
 * AEAD_OK is returned nothing has changed and out has been wiped. */
int sealer_seal(struct sealer *s, struct seal_job *job) __attribute__((warn_unused_result));
/* The next frame is the first under key, which becomes the sealer's. */
void sealer_rekey(struct sealer *s, struct aead *key);
void sealer_wipe(struct sealer *s);

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
	size_t used; /* bytes of it that ever held anything */
	size_t ready, ready_end, at, end;
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
/* Go on in another, larger buffer. */
void opener_move(struct opener *o, uint8_t *buffer, size_t capacity);
/* len bytes were written at buffer[end]. */
void opener_commit(struct opener *o, size_t len);

/* Upper bound, at most size, of what opener_read() can give now. */
size_t opener_available(const struct opener *o, size_t size);
/* Open frames until size bytes (or any, if size is 0) are authenticated or
 * out, of room bytes, is full; how many were copied there.  When there is nothing, look at .fault,
 * .rekey_wanted and .finp. */
size_t opener_read(struct opener *o, uint8_t *out, size_t room, size_t size);
/* What opener_read() would give of the plaintext there is; it stays. */
size_t opener_peek(const struct opener *o, const uint8_t **data, size_t size);
/* Open every whole frame, whatever is pending. */
void opener_open_ahead(struct opener *o);
/* Wipe the keys and the buffer, which then is forgotten. */
void opener_wipe(struct opener *o);

#endif
