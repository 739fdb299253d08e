/* The engine's loop, and what other threads ask of it; see relay.h. */
#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "relay_pair.h"
#include "wipe.h"

enum { EVENTS = 256 };

/* the lowest bit of what epoll keeps for a socket */
enum { NEAR = 0, FAR = 1 };

/* -- what is to be done next -- */

static void pair_queue(struct relay *r, struct pair *p)
{
	if (p->running)
		return;
	p->running = 1;
	p->next = NULL;
	if (r->run_last)
		r->run_last->next = p;
	else
		r->run_first = p;
	r->run_last = p;
}

static struct pair *pair_dequeue(struct relay *r)
{
	struct pair *p = r->run_first;

	r->run_first = p->next;
	if (!r->run_first)
		r->run_last = NULL;
	p->running = 0;
	return p;
}

static int in_ready(const struct pair *p)
{
	if (flow_rest(&p->in) || p->in.piped || p->more)
		return p->near.writable;
	return p->far.readable && !p->far.over && (p->near.writable || p->in.done);
}

static int out_ready(const struct pair *p)
{
	if (p->out.done || p->far.error || !p->far.writable)
		return 0;
	return flow_rest(&p->out) || p->out.piped || (p->keys && relay_keys_owe(p->keys)) ||
	       (p->near.readable && !p->near.over);
}

static void step_in(struct relay *r, struct pair *p)
{
	if (p->keys)
		pair_open(r, p);
	else
		pair_splice(r, p, 0);
}

static void step_out(struct relay *r, struct pair *p)
{
	if (p->keys)
		pair_seal(r, p);
	else
		pair_splice(r, p, 1);
}

/* A few steps of both directions. */
static void pair_turn(struct relay *r, struct pair *p)
{
	for (int n = TURN; n && !p->end && in_ready(p); n--)
		step_in(r, p);
	for (int n = TURN; n && !p->end && out_ready(p); n--)
		step_out(r, p);
	if (p->end)
		return;
	if (p->far.error && (p->in.done || p->far.over))
		pair_fail(r, p, RELAY_RESET, p->far.error);
	else if (p->out.done && p->in.done)
		pair_finish(r, p);
	else if (in_ready(p) || out_ready(p))
		pair_queue(r, p);
}

static void relay_turns(struct relay *r)
{
	struct pair *last = r->run_last, *p = NULL;

	while (p != last) {
		p = pair_dequeue(r);
		p->busy = 1;
		pair_turn(r, p);
		p->busy = 0;
	}
}

/* -- events -- */

static int side_error(struct side *side)
{
	int error = 0;
	socklen_t len = sizeof(error);

	return getsockopt(side->fd, SOL_SOCKET, SO_ERROR, &error, &len) ? errno : error;
}

static void pair_event(struct relay *r, struct pair *p, int which, uint32_t events)
{
	struct side *side = which == FAR ? &p->far : &p->near;
	int error;

	if (side->fd < 0)
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->readable = 1;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		side->writable = 1;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->hup = 1;
	/* a program that is gone reads nothing any more; what the peer sent before its RST
	 * is still to be read, and recv() tells of that */
	if (which == NEAR && (events & EPOLLERR) && (error = side_error(side)))
		pair_near_lost(r, p, error);
	else
		pair_queue(r, p);
}

static int watch(struct relay *r, struct pair *p, struct side *side, int which)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.u64 = (uint64_t)(uintptr_t)p | (uint64_t)which,
	};

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, side->fd, &event);
}

static void relay_admit(struct relay *r)
{
	struct pair *p, *next;
	eventfd_t count;

	eventfd_read(r->wake, &count);
	pthread_mutex_lock(&r->lock);
	p = r->submitted;
	r->submitted = NULL;
	pthread_mutex_unlock(&r->lock);
	for (; p; p = next) {
		next = p->next;
		side_prepare(&p->near);
		side_prepare(&p->far);
		if (watch(r, p, &p->near, NEAR) || watch(r, p, &p->far, FAR))
			pair_fail(r, p, RELAY_FAILED, errno);
		else
			pair_queue(r, p);
	}
}

/* -- the loop -- */

static int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Milliseconds that the loop may sleep, -1: any. */
static int relay_patience(const struct relay *r)
{
	if (r->run_first)
		return 0;
	if (r->lingering)
		return LINGER_TICK;
	return r->out_used || r->in_used ? WIPE_AFTER : -1;
}

/* Nothing of the connections' data stays in the shared buffers of an engine at rest. */
static void relay_wipe(struct relay *r)
{
	if (r->owner)
		pair_evict(r, r->owner);
	wipe(r->out, r->out_used);
	wipe(r->in, r->in_used);
	r->out_used = r->in_used = 0;
}

static int relay_stopping(struct relay *r)
{
	int stopping;

	pthread_mutex_lock(&r->lock);
	stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return stopping;
}

/* Signals are for the program's other threads, and splice(2) raises SIGPIPE. */
static void block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
}

void relay_run(struct relay *r)
{
	struct epoll_event events[EVENTS];
	int stopping = 0;

	block_signals();
	while (!stopping) {
		int n = epoll_wait(r->epoll, events, EVENTS, relay_patience(r));

		r->now = clock_ms();
		if (n == 0 && !r->run_first)
			relay_wipe(r);
		for (int i = 0; i < n; i++) {
			uintptr_t key = (uintptr_t)events[i].data.u64;

			if (key) {
				pair_event(r, (struct pair *)(key & ~(uintptr_t)FAR),
					   (int)(key & FAR), events[i].events);
			} else {
				relay_admit(r);
				stopping = relay_stopping(r);
			}
		}
		relay_turns(r);
		relay_linger(r);
		relay_bury(r);
	}
	while (r->counters.active)
		pair_close(r, r->slots[0]);
	relay_wipe(r);
	while (r->run_first)
		pair_dequeue(r);
	relay_linger(r);
	relay_bury(r);
}

/* -- other threads -- */

struct relay *relay_new(void)
{
	struct relay *r = calloc(1, sizeof(*r));
	struct epoll_event event = { .events = EPOLLIN };

	if (!r)
		return NULL;
	r->now = clock_ms();
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
	p->near.writable = p->far.writable = 1;
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

	pthread_mutex_lock(&r->lock);
	/* under the lock, so that nothing of the offer is taken where this fails */
	if (r->stopping)
		error = ESHUTDOWN;
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
