/* See opener.h. */
#include "opener.h"

#include <string.h>

#include "wipe.h"

/* -- the opener's buffer -- */

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

	opener_pack(o, buffer);
	wipe(old, o->plain_end);
	o->plain_end = o->ready_end;
	o->buffer = buffer;
	o->capacity = capacity;
}

int opener_rest(struct opener *o)
{
	if (opener_pending(o) || opener_buffered(o))
		return 0;
	wipe(o->buffer, o->plain_end);
	o->buffer = NULL;
	o->capacity = o->ready = o->ready_end = o->at = o->end = o->plain_end = 0;
	return 1;
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

/* The frame at buffer[at] was authenticated and its data taken. */
static void opener_pass(struct opener *o, const struct header *h, const struct plaintext *t)
{
	o->app_offset += t->len;
	o->offset += FRAME_HEADER_LEN + h->clen;
	o->at += FRAME_HEADER_LEN + h->clen;
	o->finp = t->finp != 0;
	if (o->finp && opener_buffered(o))
		opener_fault(o, FAULT_AFTER_FINP, 0);
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
	opener_pass(o, h, t);
}

/* [8547:5-2] [8548:3.6-8] */
static enum fault status_fault(int status)
{
	return status == AEAD_FAIL ? FAULT_AUTHENTICATION : FAULT_PROVIDER;
}

static void opener_open_frame(struct opener *o, const struct header *h)
{
	uint8_t *text = o->buffer + o->at + FRAME_HEADER_LEN;
	size_t len = h->clen - AE_TAG_LEN;
	struct plaintext t;
	enum fault fault;
	int status =
		aead_open(h->rekey ? &o->next : &o->aead, text, text, len, o->offset, h->bytes);

	if (o->plain_end < o->at + FRAME_HEADER_LEN + len)
		o->plain_end = o->at + FRAME_HEADER_LEN + len;
	fault = status == AEAD_OK ? plaintext_parse(&t, text, len) : status_fault(status);
	if (fault == FAULT_NONE)
		opener_accept(o, h, &t);
	else
		opener_fault(o, fault, h->clen);
}

/* Would out and the buffer overlap?  Then only what is copied comes out right. */
static int opener_overlaps(const struct opener *o, const uint8_t *out, size_t room)
{
	uintptr_t there = (uintptr_t)out, here = (uintptr_t)o->buffer;

	return there < here + o->capacity && here < there + room;
}

/* The same into the reader's memory, which saves a copy: the flags byte takes the place of
 * the byte before, which is the reader's too and is put back.  0 where that cannot be: no
 * byte before, no room for the whole frame, or urgent data, at which reads end. */
static int opener_open_into(struct opener *o, const struct header *h, uint8_t *out, size_t room,
			    size_t *got)
{
	size_t len = h->clen - AE_TAG_LEN;
	struct plaintext t = { .len = len - FLAGS_LEN, .urgent = NO_URGENT };
	uint8_t *text, before, flags;
	int status;

	if (!*got || h->rekey || t.len > room - *got || opener_mark(o) != NO_MARK ||
	    opener_overlaps(o, out, room))
		return 0;
	text = out + *got - FLAGS_LEN;
	before = *text;
	status = aead_open(&o->aead, text, o->buffer + o->at + FRAME_HEADER_LEN, len, o->offset,
			   h->bytes);
	flags = *text;
	if (status != AEAD_OK || flags & FLAG_URGP)
		wipe(text, len);
	*text = before;
	if (status != AEAD_OK) {
		opener_fault(o, status_fault(status), h->clen);
		return 1;
	}
	if (flags & FLAG_URGP)
		return 0;
	t.finp = flags & FLAG_FINP;
	opener_pass(o, h, &t);
	*got += t.len;
	return 1;
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
		if (opener_open_into(o, &h, out, most, &got))
			continue;
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
	aead_wipe(&o->aead);
	aead_wipe(&o->next);
	o->ready = o->ready_end = o->at = o->end = 0;
	o->urgent_byte = 0;
	o->rekey_wanted = 0;
	opener_rest(o);
}
