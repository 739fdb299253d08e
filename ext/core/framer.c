/* See framer.h. */
#include "framer.h"

#include <string.h>

#include "wipe.h"

/* -- sealing -- */

static size_t frame_overhead(int urgent)
{
	return FRAME_OVERHEAD + (urgent == NO_URGENT ? 0 : URGENT_LEN);
}

size_t sealer_size(const struct sealer *s, size_t len, int urgent)
{
	size_t frames = len ? (len - 1) / s->frame_size + 1 : 1;

	return len + frames * frame_overhead(urgent);
}

/* One frame of len bytes; fields in the order of section 4.2's figures. */
static int seal_frame(struct sealer *s, const struct seal_job *job, size_t len, int fin)
{
	uint8_t *frame = job->out + job->written;
	uint8_t *p = frame;
	size_t plain = FLAGS_LEN + (job->urgent == NO_URGENT ? 0 : URGENT_LEN) + len;
	size_t clen = plain + AE_TAG_LEN;

	*p++ = s->rekey ? CONTROL_REKEY : 0; /* [8548:4.2-2] */
	*p++ = (uint8_t)(clen >> 8);	     /* [8548:4.2-1] */
	*p++ = (uint8_t)clen;
	/* [8548:4.2.1-1] */
	*p++ = (fin ? FLAG_FINP : 0) | (job->urgent == NO_URGENT ? 0 : FLAG_URGP);
	if (job->urgent != NO_URGENT) {
		*p++ = (uint8_t)(job->urgent >> 8);
		*p++ = (uint8_t)job->urgent;
	}
	if (len)
		memmove(p, job->data + job->taken, len);
	/* [8548:4.2.2-1] */
	return aead_seal(&s->aead, frame + FRAME_HEADER_LEN, plain, s->offset + job->written,
			 frame);
}

/* Application bytes for the next frame in what room is left, or -1. */
static long next_chunk(const struct sealer *s, const struct seal_job *job)
{
	size_t left = job->len - job->taken;
	size_t chunk = left < s->frame_size ? left : s->frame_size; /* [8548:3.6-2] */
	size_t overhead = frame_overhead(job->urgent);
	size_t room = job->room - job->written;

	if (room < overhead || (left && room == overhead))
		return -1;
	return (long)(chunk < room - overhead ? chunk : room - overhead);
}

int sealer_seal(struct sealer *s, struct seal_job *job)
{
	uint8_t rekey = s->rekey;
	int last = 0, status = AEAD_OK;
	long chunk;

	job->taken = job->written = 0;
	while (!last && (chunk = next_chunk(s, job)) >= 0) {
		last = job->taken + (size_t)chunk == job->len;
		/* "MUST set the FINp bit on the last frame ... and MUST NOT set
		 * FINp on any other frame" (section 3.7) [8548:3.7-2, 3.7-3] */
		status = seal_frame(s, job, (size_t)chunk, job->fin && last);
		if (status)
			break;
		/* "MUST set rekey = 1 for that frame.  It MUST set rekey = 0
		 * in all other cases" (section 3.8) [8548:3.8-3, 3.8-4] */
		s->rekey = 0;
		job->taken += (size_t)chunk;
		job->written += frame_overhead(job->urgent) + (size_t)chunk;
	}
	if (status) {
		wipe(job->out, job->room);
		s->rekey = rekey;
		return status;
	}
	s->offset += job->written; /* [8548:3.6-3, 3.6-4] */
	s->finished = job->fin && last;
	return AEAD_OK;
}

void sealer_rekey(struct sealer *s, struct aead *key)
{
	/* "SHOULD delete older-generation keys from memory" (section 3.8) [8548:3.8-11] */
	aead_wipe(&s->aead);
	s->aead = *key;
	wipe(key, sizeof(*key));
	s->generation++; /* [8548:3.8-10] */
	s->rekey = 1;
}

void sealer_wipe(struct sealer *s)
{
	aead_wipe(&s->aead);
}

/* -- the opener's buffer -- */

/* an empty buffer larger than this is given back */
enum { BUFFER_KEPT = 1 << 18 };

/* Plaintext and unopened stream, moved together to `to`. */
static void opener_pack(struct opener *o, uint8_t *to)
{
	size_t pending = opener_pending(o), buffered = opener_buffered(o);

	if (pending)
		memmove(to, o->buffer + o->ready, pending);
	if (buffered)
		memmove(to + pending, o->buffer + o->at, buffered);
	o->ready = 0;
	o->ready_end = o->at = pending;
	o->end = pending + buffered;
}

size_t opener_make_room(struct opener *o, size_t len)
{
	size_t kept = opener_pending(o) + opener_buffered(o);

	if (!kept)
		o->ready = o->ready_end = o->at = o->end = 0;
	if (!kept && o->capacity > BUFFER_KEPT && len <= BUFFER_KEPT)
		return len ? len : 1;
	if (o->capacity - o->end >= len)
		return 0;
	if (o->capacity - kept < len)
		return kept + len;
	opener_pack(o, o->buffer);
	return 0;
}

void opener_move(struct opener *o, uint8_t *buffer, size_t capacity)
{
	uint8_t *old = o->buffer;
	size_t used = o->used;

	opener_pack(o, buffer);
	o->used = o->end;
	if (old)
		wipe(old, used);
	o->buffer = buffer;
	o->capacity = capacity;
}

static void opener_fault(struct opener *o, enum fault fault, size_t clen)
{
	o->fault = (uint8_t)fault;
	o->fault_offset = o->offset;
	o->fault_clen = (uint32_t)clen;
	/* nothing unauthenticated, and no ciphertext, stays */
	wipe(o->buffer + o->at, opener_buffered(o));
	o->end = o->at;
	o->rekey_wanted = 0;
}

void opener_commit(struct opener *o, size_t len)
{
	o->end += len;
	if (o->end > o->used)
		o->used = o->end;
	if (o->fault)
		o->end = o->at;
	else if (o->finp && len)
		opener_fault(o, FAULT_AFTER_FINP, 0);
}

/* -- opening -- */

struct header {
	uint8_t bytes[FRAME_HEADER_LEN]; /* control | clen: the associated data */
	uint8_t rekey;
	size_t clen;
};

static struct header header_parse(const uint8_t *frame)
{
	struct header h;

	memcpy(h.bytes, frame, FRAME_HEADER_LEN);
	/* the seven bits of cres: "MUST ignore them when receiving" [8548:4.2-3] */
	h.rekey = h.bytes[0] & CONTROL_REKEY;
	h.clen = (size_t)h.bytes[1] << 8 | h.bytes[2];
	return h;
}

/* Is the frame at buffer[at] whole, well-sized and its key here? */
static int frame_openable(struct opener *o, struct header *h)
{
	size_t buffered = opener_buffered(o);

	if (o->fault || o->finp || buffered < FRAME_HEADER_LEN)
		return 0;
	*h = header_parse(o->buffer + o->at);
	if (h->clen < CLEN_MIN) {
		opener_fault(o, FAULT_NO_FLAGS, h->clen);
		return 0;
	}
	if (buffered < FRAME_HEADER_LEN + h->clen)
		return 0;
	if (o->offset > UINT64_MAX - FRAME_HEADER_LEN - h->clen) {
		opener_fault(o, FAULT_OFFSET, h->clen);
		return 0;
	}
	o->rekey_wanted = h->rekey && !o->next.small.ops;
	return !o->rekey_wanted;
}

/* no urgent byte is ahead */
static const size_t NO_MARK = SIZE_MAX;

/* What an authenticated plaintext says, before anything is committed. */
struct plaintext {
	size_t head; /* flags and urgent field */
	size_t len;  /* of data */
	int urgent;
	int finp;
};

static enum fault plaintext_parse(struct plaintext *t, const uint8_t *text, size_t len)
{
	uint8_t flags = text[0]; /* its six bits of fres are ignored [8548:4.2.1-2] */

	t->finp = flags & FLAG_FINP;
	t->urgent = NO_URGENT;
	t->head = FLAGS_LEN;
	if (flags & FLAG_URGP) { /* [8547:5-15, 5-16] [8548:4.2.1-3] */
		t->head += URGENT_LEN;
		if (len < t->head)
			return FAULT_NO_URGENT;
		t->urgent = text[1] << 8 | text[2];
	}
	t->len = len - t->head;
	if (t->urgent != NO_URGENT && (size_t)t->urgent >= t->len)
		return FAULT_URGENT_BEYOND;
	return FAULT_NONE;
}

/* Bytes from the next one to be read to the newest urgent one, which is in
 * the plaintext until it is passed. */
static size_t opener_mark(const struct opener *o)
{
	uint64_t next = opener_read_index(o);

	return o->urgent_seen && o->urgent_index >= next ? (size_t)(o->urgent_index - next) :
							   NO_MARK;
}

/* Does an urgent byte that is out of band stand next? */
static int opener_at_hole(const struct opener *o)
{
	return !o->oob_inline && opener_mark(o) == 0;
}

/* A new mark takes the place of an old one.  Where the reader stands at that,
 * its byte goes, as with Linux's TCP; where it has yet to come there, the byte
 * is data again. */
static void opener_take_mark(struct opener *o, const struct plaintext *t, uint8_t byte)
{
	if (opener_at_hole(o))
		o->ready++;
	o->urgent_seen = 1;
	o->urgent_index = o->app_offset + (uint64_t)t->urgent; /* [8548:3.7-1] */
	o->urgent_byte = byte;
}

static void opener_take_key(struct opener *o)
{
	aead_wipe(&o->aead);
	o->aead = o->next;
	wipe(&o->next, sizeof(o->next));
	o->generation++; /* [8548:3.8-5] */
}

/* The frame at buffer[at], authenticated: its data join the plaintext. */
static void opener_accept(struct opener *o, const struct header *h, const struct plaintext *t)
{
	size_t data = o->at + FRAME_HEADER_LEN + t->head;

	if (h->rekey)
		opener_take_key(o);
	if (h->rekey && !t->len)
		o->empty_rekeys++;
	if (t->urgent != NO_URGENT)
		opener_take_mark(o, t, o->buffer[data + (size_t)t->urgent]);
	if (o->ready == o->ready_end)
		o->ready = o->ready_end = data;
	else if (t->len)
		memmove(o->buffer + o->ready_end, o->buffer + data, t->len);
	o->ready_end += t->len;
	o->app_offset += t->len;
	o->offset += FRAME_HEADER_LEN + h->clen;
	o->at += FRAME_HEADER_LEN + h->clen;
	o->finp = t->finp != 0;
	if (o->finp && opener_buffered(o))
		opener_fault(o, FAULT_AFTER_FINP, 0);
}

static void opener_open_frame(struct opener *o, const struct header *h)
{
	uint8_t *text = o->buffer + o->at + FRAME_HEADER_LEN;
	size_t len = h->clen - AE_TAG_LEN;
	struct plaintext t;
	enum fault fault;
	int status = aead_open(h->rekey ? &o->next : &o->aead, text, len, o->offset, h->bytes);

	if (status == AEAD_OK)
		fault = plaintext_parse(&t, text, len);
	else
		/* [8547:5-2] [8548:3.6-8] */
		fault = status == AEAD_FAIL ? FAULT_AUTHENTICATION : FAULT_PROVIDER;
	if (fault == FAULT_NONE)
		opener_accept(o, h, &t);
	else
		opener_fault(o, fault, h->clen);
}

size_t opener_available(const struct opener *o, size_t size)
{
	size_t total = opener_pending(o), at = o->at;

	while (total < size && o->end - at >= FRAME_HEADER_LEN) {
		size_t clen = header_parse(o->buffer + at).clen;

		if (clen < CLEN_MIN || o->end - at - FRAME_HEADER_LEN < clen)
			break;
		total += clen - CLEN_MIN;
		at += FRAME_HEADER_LEN + clen;
	}
	return total < size ? total : size;
}

/* How much of the plaintext may be given after `got` bytes: a read stops
 * before the urgent byte, as one of Linux's TCP does; one that begins there
 * goes on. */
static size_t opener_givable(const struct opener *o, size_t size, size_t got)
{
	size_t n = opener_pending(o) < size ? opener_pending(o) : size;
	size_t mark = opener_mark(o);

	return mark < n && (mark || got) ? mark : n;
}

static size_t opener_give(struct opener *o, uint8_t *out, size_t size, size_t got)
{
	size_t n;

	if (size && !got && opener_at_hole(o))
		o->ready++;
	n = opener_givable(o, size, got);
	if (n)
		memmove(out + got, o->buffer + o->ready, n);
	o->ready += n;
	return n;
}

size_t opener_read(struct opener *o, uint8_t *out, size_t room, size_t size)
{
	size_t most = size < room ? size : room;
	size_t got = opener_give(o, out, most, 0);
	struct header h;

	while ((got < size || !size) && !opener_pending(o) && frame_openable(o, &h)) {
		opener_open_frame(o, &h);
		got += opener_give(o, out, most - got, got);
	}
	return got;
}

size_t opener_peek(const struct opener *o, const uint8_t **data, size_t size)
{
	size_t hole = opener_at_hole(o), pending = opener_pending(o) - hole;

	*data = o->buffer + o->ready + hole;
	return hole ? (pending < size ? pending : size) : opener_givable(o, size, 0);
}

void opener_open_ahead(struct opener *o)
{
	struct header h;

	while (frame_openable(o, &h))
		opener_open_frame(o, &h);
}

void opener_wipe(struct opener *o)
{
	if (o->buffer)
		wipe(o->buffer, o->used);
	aead_wipe(&o->aead);
	aead_wipe(&o->next);
	o->buffer = NULL;
	o->urgent_byte = 0;
	o->capacity = o->used = o->ready = o->ready_end = o->at = o->end = 0;
	o->rekey_wanted = 0;
}
