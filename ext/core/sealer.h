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
 */
#ifndef SEALER_H
#define SEALER_H

#include "aead.h"

struct sealer {
	struct aead aead;
	uint64_t offset;      /* of the next frame in the TCP stream */
	uint64_t generation;  /* section 3.8: local generation number [8548:3.8-1] */
	size_t frame_size;    /* application bytes in one frame, at most */
	uint64_t early_until; /* stream offset up to which frames are early ones */
	int64_t sealed_at;    /* milliseconds, as told to sealer_pace() */
	uint8_t rekey;	      /* the next frame is the first under a new key */
	uint8_t finished;     /* FINp has been sent */
};

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

enum {
	/* An early frame travels whole in the ten segments that a host may send
	 * at once (RFC 6928), so that the peer can open it a round trip before
	 * one of 64 KiB; after so many bytes the window has grown past that. */
	EARLY_FRAME = 14000,
	EARLY_BYTES = 1 << 17,
	/* after a pause the window is small again (RFC 5681 section 4.1) */
	IDLE_MS = 1000,
};

/* The next frames are sealed at `now`, in milliseconds of any clock: are they early ones?
 * A sealer that is never told makes frames of frame_size. */
void sealer_pace(struct sealer *s, int64_t now);

/* Application bytes in the frame after `written` more stream bytes, at most. */
size_t sealer_limit(const struct sealer *s, size_t written, int urgent);

/* Stream bytes that sealing len bytes yields; one frame at least. */
size_t sealer_size(const struct sealer *s, size_t len, int urgent);

/* Seal as many frames as fit; FINp only if all data was taken.  Unless
 * AEAD_OK is returned nothing has changed and out has been wiped. */
int sealer_seal(struct sealer *s, struct seal_job *job) __attribute__((warn_unused_result));
/* The next frame is the first under key, which becomes the sealer's. */
void sealer_rekey(struct sealer *s, struct aead *key);
void sealer_wipe(struct sealer *s);

#endif
