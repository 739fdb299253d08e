/* far to near: received, opened in place, sent from there; see relay_pair.h. */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "relay_pair.h"
#include "wipe.h"

void pair_evict(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;
	size_t kept = opener_buffered(o);
	uint8_t *own = kept ? malloc(kept) : NULL;

	r->owner = NULL;
	if (own)
		memcpy(own, o->buffer + o->at, kept);
	if (own && kept > LONG_PART) {
		p->long_part = 1;
		r->long_parts++;
	}
	o->buffer = own;
	o->capacity = o->end = own ? kept : 0;
	o->ready = o->ready_end = o->at = 0;
	if (kept && !own)
		pair_fail(r, p, RELAY_FAILED, ENOMEM);
}

void pair_unkeep(struct relay *r, struct pair *p)
{
	r->long_parts -= p->long_part;
	p->long_part = 0;
	free(p->keys->opener.buffer);
}

/* p's unopened bytes come to the shared buffer, with room for more behind them. */
static void pair_settle(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;
	size_t kept = opener_buffered(o);

	if (r->owner && r->owner != p)
		pair_evict(r, r->owner);
	if (r->owner == p && (p->more || o->capacity - o->end >= BATCH))
		return;
	if (kept)
		memmove(r->in, o->buffer + o->at, kept);
	if (r->owner != p)
		pair_unkeep(r, p);
	o->buffer = r->in;
	o->capacity = sizeof(r->in);
	o->ready = o->ready_end = o->at = 0;
	o->end = kept;
	r->owner = p;
}

/* How much has yet to come of the frame of which there is a part, by its header, from *at on. */
static size_t frame_rest(const struct opener *o, size_t *at)
{
	while (o->end - *at >= FRAME_HEADER_LEN) {
		const uint8_t *head = o->buffer + *at;
		size_t size = FRAME_HEADER_LEN + ((size_t)head[1] << 8 | head[2]);

		if (size > o->end - *at)
			return size - (o->end - *at);
		*at += size;
	}
	return 0;
}

/* Is the rest of a long frame to stay in the kernel until all of it is there?  Once it has
 * told of that, or cannot hold it, what there is is taken. */
static int in_kernel(const struct pair *p, size_t rest, int *queued)
{
	if (rest <= LOWAT_FROM || p->awaiting || p->far.doubt || *queued >= (int)rest)
		return 0;
	return !ioctl(p->far.fd, SIOCINQ, queued) && *queued < (int)rest;
}

/* How much to ask for, of what is queued and what there is room for: a frame's rest, those
 * behind it if they are as long as the last one, and a header, so that of another no more
 * than FIRST is here.  A guess that is wrong leaves more; few pairs may hold that at a time. */
static size_t in_wanted(const struct relay *r, const struct pair *p, size_t rest, size_t room,
			int queued)
{
	size_t want = rest, there = queued > 0 ? (size_t)queued : 0;

	if (there > room - FRAME_HEADER_LEN)
		there = room - FRAME_HEADER_LEN;
	if (p->frame > LOWAT_FROM && r->long_parts < LONG_PARTS && there > rest)
		want += (there - rest) / p->frame * p->frame;
	want += FRAME_HEADER_LEN;
	return want < FIRST ? FIRST : want;
}

/* One recv() of far; how many bytes, or -1. */
static ssize_t in_take(struct pair *p, size_t want)
{
	struct opener *o = &p->keys->opener;
	ssize_t n;

	do
		n = recv(p->far.fd, o->buffer + o->end, want, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		return -1;
	p->awaiting = 0;
	if (n == 0)
		p->far.over = 1;
	if (n <= 0 || ((size_t)n < want && !p->far.doubt))
		p->far.readable = 0;
	if (n > 0)
		opener_commit(o, (size_t)n);
	return n > 0 ? n : 0;
}

/* What near has room for; -1: far's connection is lost. */
static int in_receive(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;
	size_t at = o->at, rest = frame_rest(o, &at), want, got = 0;
	size_t room = flow_room(r, &p->near, &p->in, rest + FRAME_HEADER_LEN);
	int queued = 0;

	if (room && p->frame > LOWAT_FROM)
		ioctl(p->far.fd, SIOCINQ, &queued);
	while (p->far.readable && !p->far.over && room - got >= FIRST) {
		ssize_t n;

		want = in_wanted(r, p, rest, room - got, queued);
		if (want > room - got)
			break;
		if (in_kernel(p, rest, &queued)) {
			p->far.readable = 0;
			break;
		}
		n = in_take(p, want);
		if (n < 0)
			return -1;
		got += (size_t)n;
		queued -= (int)n;
		rest = frame_rest(o, &at);
	}
	p->in.bulk = got >= BULK_FROM;
	return 0;
}

/* Open frames, where they are: the plaintext of each. -1: too many rekeyings, or as told. */
static int in_open(struct pair *p, struct iovec *iov, int *count, size_t *total, int *status)
{
	struct opener *o = &p->keys->opener;

	*status = AEAD_OK;
	for (*count = 0, *total = 0; *count < SLOTS;) {
		uint64_t from = o->offset;
		size_t len;

		*status = relay_keys_open(p->keys);
		len = opener_pending(o);
		if (!len)
			break;
		p->frame = (size_t)(o->offset - from);
		iov[*count].iov_base = o->buffer + o->ready;
		iov[*count].iov_len = len;
		o->ready = o->ready_end;
		*total += len;
		++*count;
		if (*status)
			break;
	}
	p->more = *count == SLOTS;
	return *status ? -1 : 0;
}

static enum relay_end fault_end(const struct opener *o)
{
	if (o->fault == FAULT_AUTHENTICATION)
		return RELAY_AUTH_FAILED;
	return o->fault == FAULT_PROVIDER ? RELAY_FAILED : RELAY_PROTOCOL;
}

/* What stands behind the frames that were opened. */
static void in_judge(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;

	if (p->more)
		return;
	if (o->fault)
		pair_fail(r, p, fault_end(o), 0);
	else if (p->far.over && !o->finp) /* [8548:3.7-4, 3.7-5] */
		pair_fail(r, p, p->far.error ? RELAY_RESET : RELAY_TRUNCATED, p->far.error);
	else if (o->finp && !flow_rest(&p->in) && !p->in.done) {
		shutdown(p->near.fd, SHUT_WR);
		p->in.done = 1;
	}
}

/* Who waits for the rest of a long frame is not to be woken by each of its segments. */
static void in_await(struct pair *p)
{
	const struct opener *o = &p->keys->opener;
	size_t at = o->at, rest = frame_rest(o, &at);
	int lowat = rest > LOWAT_FROM ? (int)rest : 1;

	if (p->far.readable)
		return;
	p->awaiting = lowat > 1;
	if (lowat == p->lowat)
		return;
	p->lowat = lowat;
	setsockopt(p->far.fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
}

/* Nothing kept: the buffer is anybody's. */
static void pair_rest(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;

	if (o->end > r->in_used)
		r->in_used = o->end;
	if (r->owner == p && !opener_buffered(o)) {
		r->owner = NULL;
		o->buffer = NULL;
		o->capacity = o->ready = o->ready_end = o->at = o->end = 0;
	}
	o->plain_end = 0; /* the engine wipes its buffer itself */
}

void pair_open(struct relay *r, struct pair *p)
{
	struct iovec iov[SLOTS];
	size_t total;
	int count, status;

	if (!flow_resume(&p->in, &p->near, 0)) {
		p->near.readable |= p->near.error != 0; /* and says why, behind what it sent */
		return;
	}
	pair_settle(r, p);
	if (!p->more && p->far.readable && !p->far.over && in_receive(r, p)) {
		pair_fail(r, p, RELAY_RESET, p->far.error ? p->far.error : errno);
		return;
	}
	if (in_open(p, iov, &count, &total, &status) && status != RELAY_TOO_MANY) {
		pair_fail(r, p, RELAY_FAILED, ENOMEM);
		return;
	}
	if (count && flow_send(r, &p->in, &p->near, iov, count, total, 0)) {
		if (!p->near.error)
			pair_fail(r, p, RELAY_FAILED, ENOMEM);
		p->near.readable = 1;
	} else if (status == RELAY_TOO_MANY) {
		pair_fail(r, p, RELAY_PROTOCOL, 0);
	} else {
		in_judge(r, p);
	}
	if (!p->keys)
		return;
	in_await(p);
	pair_rest(r, p);
}
