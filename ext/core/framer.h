/* Encryption frames (RFC 8548 sections 3.6, 3.7, 4.2), in place.
 *
 * A sealer and an opener each follow one direction's TCP stream by offset and
 * derive frame IDs and nonces from it: no caller ever holds a nonce.
 */
#ifndef TCPCRYPT_FRAMER_H
#define TCPCRYPT_FRAMER_H

#include <stdint.h>

#include "aead.h"

/* A traffic key taken apart (figure 4): K set up in the AEAD, NR kept. */
struct tcpcrypt_key {
	struct tcpcrypt_aead aead;
	u8 nr[AE_NONCE_LEN];
};

struct tcpcrypt_sealer {
	struct tcpcrypt_key key;
	uint64_t offset;     /* of the next frame in the TCP stream */
	uint32_t frame_data; /* application bytes in a frame at most */
	u8 rekey;	     /* the next frame is the first under its key */
	u8 finished;	     /* FINp is sealed */
};

struct tcpcrypt_opener {
	struct tcpcrypt_key key, next;
	uint64_t offset;       /* of the next frame in the TCP stream */
	uint64_t data_offset;  /* of its data in the application stream */
	uint64_t urgent_index; /* last byte of urgent data, if urgent_seen */
	u8 urgent_seen;
	u8 finished; /* FINp is authenticated */
};

enum tcpcrypt_opened {
	OPENED_FRAME,
	OPENED_PARTIAL,	      /* the frame is not whole yet */
	OPENED_REKEY,	      /* rekey = 1 and .next has no key yet */
	OPENED_SHORT,	      /* clen leaves no room for flags and tag */
	OPENED_FAIL,	      /* authentication failed */
	OPENED_NO_URGENT,     /* URGp without the urgent field */
	OPENED_URGENT_BEYOND, /* urgent points past the frame's data */
	OPENED_AFTER_FINP,    /* bytes follow the frame with FINp */
};

struct tcpcrypt_frame {
	size_t len;	/* stream bytes */
	size_t data_at; /* from the frame's start */
	size_t data_len;
	unsigned clen, urgent;
};

int tcpcrypt_key_setup(struct tcpcrypt_key *k, const struct tcpcrypt_aead_ops *ops,
		       const u8 *traffic, size_t key_len);
void tcpcrypt_key_clear(struct tcpcrypt_key *k);

/* Stream bytes for len application bytes: one frame at least. */
size_t tcpcrypt_sealed_len(const struct tcpcrypt_sealer *s, size_t len);

/* Seal as many frames as fit into out[0 .. room); stream bytes written, 0 if
 * not one fits, -1 if the AEAD failed.  urgent < 0: no URGp. */
int64_t tcpcrypt_seal(struct tcpcrypt_sealer *s, u8 *out, size_t room, const u8 *data, size_t len,
		      int fin, int urgent, size_t *taken);

/* Open the frame at stream[0 .. len) in place. */
enum tcpcrypt_opened tcpcrypt_open(struct tcpcrypt_opener *o, u8 *stream, size_t len,
				   struct tcpcrypt_frame *f);

#endif
