/* Sealing and opening frames; see framer.h. */
#include <string.h>

#include "framer.h"

enum { FLAGS_LEN = 1, OVERHEAD = FRAME_HEADER_LEN + FLAGS_LEN + AE_TAG_LEN };

int tcpcrypt_key_setup(struct tcpcrypt_key *k, const struct tcpcrypt_aead_ops *ops,
		       const u8 *traffic, size_t key_len)
{
	if (tcpcrypt_aead_setup(&k->aead, ops, traffic, key_len))
		return -1;
	memcpy(k->nr, traffic + key_len, AE_NONCE_LEN);
	return 0;
}

void tcpcrypt_key_clear(struct tcpcrypt_key *k)
{
	tcpcrypt_aead_clear(&k->aead);
	sodium.memzero(k->nr, sizeof(k->nr));
}

/* N = frame_ID XOR NR, where the frame ID is the offset, left-padded (4.2.3) */
static void nonce_at(u8 nonce[AE_NONCE_LEN], const u8 nr[AE_NONCE_LEN], uint64_t offset)
{
	int i;

	memcpy(nonce, nr, AE_NONCE_LEN);
	for (i = AE_NONCE_LEN - 1; offset; i--, offset >>= 8)
		nonce[i] ^= (u8)offset;
}

size_t tcpcrypt_sealed_len(const struct tcpcrypt_sealer *s, size_t len)
{
	size_t frames = len ? (len + s->frame_data - 1) / s->frame_data : 1;

	return len + frames * OVERHEAD;
}

/* One frame (figures of section 4.2): control | clen | flags | urgent | data */
static int seal_frame(struct tcpcrypt_sealer *s, u8 *frame, const u8 *data, size_t len, int fin,
		      int urgent)
{
	u8 nonce[AE_NONCE_LEN];
	u8 *at = frame + FRAME_HEADER_LEN;
	size_t plen = FLAGS_LEN + (urgent < 0 ? 0 : URGENT_LEN) + len;
	size_t clen = plen + AE_TAG_LEN;

	frame[0] = s->rekey ? CONTROL_REKEY : 0;
	frame[1] = (u8)(clen >> 8);
	frame[2] = (u8)clen;
	*at++ = (u8)((fin ? FLAG_FINP : 0) | (urgent < 0 ? 0 : FLAG_URGP));
	if (urgent >= 0) {
		*at++ = (u8)(urgent >> 8);
		*at++ = (u8)urgent;
	}
	memcpy(at, data, len);
	nonce_at(nonce, s->key.nr, s->offset);
	if (s->key.aead.ops->seal(&s->key.aead, nonce, frame, FRAME_HEADER_LEN,
				  frame + FRAME_HEADER_LEN, plen))
		return -1;
	s->offset += FRAME_HEADER_LEN + clen;
	s->rekey = 0;
	s->finished = (u8)fin;
	return (int)(FRAME_HEADER_LEN + clen);
}

int64_t tcpcrypt_seal(struct tcpcrypt_sealer *s, u8 *out, size_t room, const u8 *data, size_t len,
		      int fin, int urgent, size_t *taken)
{
	size_t extra = OVERHEAD + (urgent < 0 ? 0 : URGENT_LEN);
	size_t written = 0;

	*taken = 0;
	while (room - written >= extra + (len != *taken)) {
		size_t left = len - *taken, fits = room - written - extra;
		size_t take = left < s->frame_data ? left : s->frame_data;
		int last, n;

		if (take > fits)
			take = fits;
		last = take == left;
		n = seal_frame(s, out + written, data + *taken, take, fin && last, urgent);
		if (n < 0)
			return -1;
		written += (size_t)n;
		*taken += take;
		if (last)
			break;
	}
	return (int64_t)written;
}

/* Plaintext of an authenticated frame: flags | urgent | data (4.2.1) */
static enum tcpcrypt_opened read_plaintext(struct tcpcrypt_opener *o, const u8 *plain, size_t plen,
					   struct tcpcrypt_frame *f)
{
	size_t at = FLAGS_LEN;
	int urgent = plain[0] & FLAG_URGP;

	if (urgent) {
		if (plen < at + URGENT_LEN)
			return OPENED_NO_URGENT;
		f->urgent = (unsigned)plain[at] << 8 | plain[at + 1];
		at += URGENT_LEN;
	}
	f->data_at = FRAME_HEADER_LEN + at;
	f->data_len = plen - at;
	if (urgent && f->urgent >= f->data_len)
		return OPENED_URGENT_BEYOND;
	if (urgent) {
		o->urgent_seen = 1;
		o->urgent_index = o->data_offset + f->urgent;
	}
	o->finished = plain[0] & FLAG_FINP;
	o->data_offset += f->data_len;
	return OPENED_FRAME;
}

static void commit_rekey(struct tcpcrypt_opener *o)
{
	tcpcrypt_key_clear(&o->key);
	o->key = o->next;
	/* the EVP contexts have moved: forget, do not free */
	sodium.memzero(&o->next, sizeof(o->next));
}

enum tcpcrypt_opened tcpcrypt_open(struct tcpcrypt_opener *o, u8 *stream, size_t len,
				   struct tcpcrypt_frame *f)
{
	u8 nonce[AE_NONCE_LEN];
	struct tcpcrypt_key *key = &o->key;
	int rekey;

	if (o->finished)
		return len ? OPENED_AFTER_FINP : OPENED_PARTIAL;
	if (len < FRAME_HEADER_LEN)
		return OPENED_PARTIAL;
	rekey = stream[0] & CONTROL_REKEY;
	f->clen = (unsigned)stream[1] << 8 | stream[2];
	f->len = FRAME_HEADER_LEN + f->clen;
	if (f->clen < FLAGS_LEN + AE_TAG_LEN)
		return OPENED_SHORT;
	if (len < f->len)
		return OPENED_PARTIAL;
	if (rekey) {
		if (!o->next.aead.ops)
			return OPENED_REKEY;
		key = &o->next;
	}
	nonce_at(nonce, key->nr, o->offset);
	if (key->aead.ops->open(&key->aead, nonce, stream, FRAME_HEADER_LEN,
				stream + FRAME_HEADER_LEN, f->clen))
		return OPENED_FAIL;
	if (rekey)
		commit_rekey(o);
	o->offset += f->len;
	return read_plaintext(o, stream + FRAME_HEADER_LEN, f->clen - AE_TAG_LEN, f);
}
