/* near to far: received where it is sealed, sent from there; see relay_pair.h. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "relay_pair.h"

/* One batch in r->out: frames owed, then those with data. */
struct batch {
	uint8_t *at;
	struct iovec slots[SLOTS]; /* for the data of each */
	int count;
	size_t asked, got;
};

enum {
	HEAD = FRAME_HEADER_LEN + FLAGS_LEN,
	/* no small frame behind the large ones: of fewer bytes it is not worth one */
	DATA_MOST = BATCH_FRAMES * FRAME_DATA_MAX,
	SMALL = 4096,
};

/* Where the data of the next frames belong, so that they are sealed in place. */
static void batch_plan(struct batch *b, const struct sealer *s, size_t room)
{
	size_t limit = room < DATA_MOST ? room : DATA_MOST, written = 0;

	for (b->count = 0, b->asked = 0; b->count < SLOTS && b->asked < limit; b->count++) {
		size_t whole = sealer_limit(s, written, NO_URGENT), left = limit - b->asked;

		if (b->count && left < whole && left < SMALL)
			break;
		b->slots[b->count].iov_base = b->at + written + HEAD;
		b->slots[b->count].iov_len = left < whole ? left : whole;
		b->asked += b->slots[b->count].iov_len;
		written += b->slots[b->count].iov_len + FRAME_OVERHEAD;
	}
}

/* Does nothing but the end stand behind what was read?  Then FINp goes with it. */
static int near_ended(struct side *near)
{
	return near->doubt && side_peek(near) == 0;
}

/* What the program has sent; -1: its connection is lost. */
static int batch_read(struct batch *b, struct pair *p)
{
	ssize_t n;

	do
		n = readv(p->near.fd, b->slots, b->count);
	while (n < 0 && errno == EINTR);
	if (n == 0 && p->near.error) { /* which was told before */
		errno = p->near.error;
		return -1;
	}
	if (n < 0 && errno != EAGAIN)
		return -1;
	p->out.bulk = n >= BULK_FROM;
	if (n < 0)
		p->near.readable = 0;
	else if (n == 0)
		p->near.over = 1;
	else if ((size_t)n < b->asked) {
		p->near.over = near_ended(&p->near) != 0;
		p->near.readable = p->near.doubt; /* else the next event tells */
	}
	b->got = n > 0 ? (size_t)n : 0;
	return 0;
}

/* Stream bytes at b->at, or -1. */
static long batch_seal(struct batch *b, struct pair *p)
{
	size_t left = b->got, written = 0;
	int fin = p->near.over, i = 0;

	while (left || fin) {
		size_t chunk = left < b->slots[i].iov_len ? left : b->slots[i].iov_len;
		struct seal_job job = { .data = b->at + written + HEAD,
					.len = chunk,
					.out = b->at + written,
					.room = chunk + FRAME_OVERHEAD,
					.fin = fin && chunk == left,
					.urgent = NO_URGENT };

		if (relay_keys_seal(p->keys, &job) || job.taken != chunk)
			return -1;
		written += job.written;
		left -= chunk;
		fin = fin && !p->keys->sealer.finished;
		i++;
	}
	return (long)written;
}

/* FIN "on the segment containing the last byte of the last frame" (section 3.7) */
static void pair_end_out(struct pair *p)
{
	if (p->keys->sealer.finished && !flow_rest(&p->out) && !p->far.error) {
		shutdown(p->far.fd, SHUT_WR);
		p->out.done = 1;
	}
}

static int flags_of(const struct pair *p)
{
	return p->keys->sealer.finished ? MSG_MORE : 0;
}

/* A far side that takes no more says why once all that came from it is read. */
static void pair_out_failed(struct relay *r, struct pair *p)
{
	if (!p->far.error)
		pair_fail(r, p, RELAY_FAILED, errno);
	p->far.readable = 1;
}

void pair_seal(struct relay *r, struct pair *p)
{
	struct relay_keys *k = p->keys;
	struct batch b = { .at = r->out };
	struct iovec iov = { .iov_base = r->out };
	long owed, sealed;

	if (!flow_resume(&p->out, &p->far, flags_of(p))) {
		if (p->far.error)
			pair_out_failed(r, p);
		return;
	}
	owed = relay_keys_owe(k) ? relay_keys_owed(k, r->out) : 0;
	if (owed < 0) {
		pair_fail(r, p, RELAY_FAILED, ENOMEM);
		return;
	}
	b.at += owed;
	if (k->paced)
		sealer_pace(&k->sealer, r->now);
	if (p->near.readable && !p->near.over) {
		batch_plan(&b, &k->sealer, flow_room(r, &p->far, &p->out, FIRST));
		if (b.count && batch_read(&b, p)) {
			pair_near_lost(r, p, errno);
			return;
		}
	}
	sealed = p->near.over && k->sealer.finished ? 0 : batch_seal(&b, p);
	if (sealed < 0) {
		pair_fail(r, p, RELAY_FAILED, ENOMEM);
		return;
	}
	iov.iov_len = (size_t)(owed + sealed);
	if (iov.iov_len > r->out_used)
		r->out_used = iov.iov_len;
	if (iov.iov_len && flow_send(r, &p->out, &p->far, &iov, 1, b.got, flags_of(p))) {
		pair_out_failed(r, p);
		return;
	}
	pair_end_out(p);
}
