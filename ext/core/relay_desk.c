/* What other threads ask of an engine, and its beginning; see relay.h. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "relay_pair.h"
#include "wipe.h"

struct relay *relay_new(size_t most)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct epoll_event event = { .events = EPOLLIN };

	if (!r)
		return NULL;
	r->most = most;
	pthread_mutex_init(&r->lock, NULL);
	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->epoll >= 0 && r->wake >= 0 && r->news >= 0 &&
	    !epoll_ctl(r->epoll, EPOLL_CTL_ADD, r->wake, &event))
		return r;
	relay_free(r);
	return NULL;
}

static int rest_init(struct flow *flow, struct bytes rest)
{
	if (!rest.len)
		return 0;
	flow->rest = malloc(rest.len);
	if (!flow->rest)
		return -1;
	memcpy(flow->rest, rest.at, rest.len);
	flow->end = rest.len;
	return 0;
}

/* The stream bytes that the opener has yet to open, in memory of the pair's own. */
static int keys_take(struct pair *p, struct relay_keys *keys, struct bytes unopened)
{
	struct opener *o = &keys->opener;
	uint8_t *own = unopened.len ? malloc(unopened.len) : NULL;

	p->keys = malloc(sizeof(*keys));
	if (!p->keys || (unopened.len && !own)) {
		free(own);
		free(p->keys);
		p->keys = NULL;
		return -1;
	}
	if (own)
		memcpy(own, unopened.at, unopened.len);
	o->buffer = own;
	o->capacity = o->end = unopened.len;
	o->ready = o->ready_end = o->at = o->plain_end = 0;
	*p->keys = *keys;
	wipe(keys, sizeof(*keys));
	p->more = 1; /* whatever is known of the stream's end is judged */
	return 0;
}

static struct pair *pair_new(const struct relay_offer *offer)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->token = offer->token;
	p->near.fd = offer->near;
	p->far.fd = offer->far;
	p->interval = offer->interval_ms;
	p->timeout = offer->timeout_ms;
	p->near.writable = p->far.writable = 1;
	p->lowat = 1;
	p->out.pipe[0] = p->out.pipe[1] = p->in.pipe[0] = p->in.pipe[1] = -1;
	if (!rest_init(&p->out, offer->unsent) && !rest_init(&p->in, offer->unread) &&
	    (!offer->keys || !keys_take(p, offer->keys, offer->unopened)))
		return p;
	pair_free(p);
	return NULL;
}

/* A place in the table; the lock is held. */
static int relay_seat(struct relay *r, struct pair *p)
{
	if (r->counters.active == r->slots_size) {
		size_t size = r->slots_size ? 2 * r->slots_size : 64;
		struct pair **slots = realloc(r->slots, size * sizeof(*slots));

		if (!slots)
			return -1;
		r->slots = slots;
		r->slots_size = size;
	}
	p->slot = r->counters.active++;
	r->slots[p->slot] = p;
	r->counters.total++;
	return 0;
}

int relay_add(struct relay *r, const struct relay_offer *offer)
{
	struct pair *p;
	int error = 0;

	if (offer->unopened.len > sizeof(r->in)) {
		errno = EMSGSIZE;
		return -1;
	}
	pthread_mutex_lock(&r->lock);
	/* under the lock, so that nothing of the offer is taken where this fails */
	if (r->stopping)
		error = ESHUTDOWN;
	else if (r->counters.active >= r->most)
		error = EAGAIN;
	else if (!(p = pair_new(offer)))
		error = ENOMEM;
	else if (relay_seat(r, p)) {
		if (p->keys) {
			*offer->keys = *p->keys;
			free(p->keys->opener.buffer);
			wipe_free(p->keys, sizeof(*p->keys));
		}
		pair_free(p);
		error = ENOMEM;
	} else {
		p->next = r->submitted;
		r->submitted = p;
	}
	pthread_mutex_unlock(&r->lock);
	if (error) {
		errno = error;
		return -1;
	}
	eventfd_write(r->wake, 1);
	return 0;
}

void relay_stop(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopping = 1;
	pthread_mutex_unlock(&r->lock);
	eventfd_write(r->wake, 1);
}

int relay_news(const struct relay *r)
{
	return r->news;
}

size_t relay_take_ended(struct relay *r, struct relay_ended *out, size_t max)
{
	size_t n = 0;
	struct pair *p;
	eventfd_t count;

	pthread_mutex_lock(&r->lock);
	while (n < max && (p = r->ended)) {
		r->ended = p->next;
		out[n].token = p->token;
		out[n].bytes_out = p->out.bytes;
		out[n].bytes_in = p->in.bytes;
		out[n].end = p->end;
		out[n].error = p->error;
		n++;
		pair_free(p);
	}
	if (!r->ended)
		eventfd_read(r->news, &count);
	pthread_mutex_unlock(&r->lock);
	return n;
}

static uint64_t flow_bytes(const struct flow *flow)
{
	return atomic_load_explicit(&flow->bytes, memory_order_relaxed);
}

void relay_count(struct relay *r, struct relay_counters *out)
{
	pthread_mutex_lock(&r->lock);
	*out = r->counters;
	for (size_t i = 0; i < r->counters.active; i++) {
		out->bytes_out += flow_bytes(&r->slots[i]->out);
		out->bytes_in += flow_bytes(&r->slots[i]->in);
	}
	pthread_mutex_unlock(&r->lock);
}

size_t relay_list(struct relay *r, struct relay_listed *out, size_t max)
{
	size_t n;

	pthread_mutex_lock(&r->lock);
	for (n = 0; n < max && n < r->counters.active; n++) {
		out[n].token = r->slots[n]->token;
		out[n].bytes_out = flow_bytes(&r->slots[n]->out);
		out[n].bytes_in = flow_bytes(&r->slots[n]->in);
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}
