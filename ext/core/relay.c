/* The engine's loop, and what other threads ask of it; see relay.h. */
#include "relay.h"

#include <errno.h>
#include <limits.h>
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

void pair_queue(struct relay *r, struct pair *p)
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
	if (p->near.error)
		return 0;
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

/* Both streams ended as they should.  A peer that has closed answers our FINp by RST, which
 * says nothing any more. */
static int both_done(const struct pair *p)
{
	return p->out.done && p->in.done;
}

/* A few steps of both directions. */
static void pair_turn(struct relay *r, struct pair *p)
{
	for (int n = TURN; n && !p->end && in_ready(p) && !both_done(p); n--)
		step_in(r, p);
	for (int n = TURN; n && !p->end && out_ready(p); n--)
		step_out(r, p);
	if (p->end)
		return;
	if (both_done(p))
		pair_finish(r, p);
	else if (p->far.error && (p->in.done || p->far.over))
		pair_fail(r, p, RELAY_RESET, p->far.error);
	else if (p->near.error && (p->near.over || p->far.error || !p->far.writable))
		pair_near_lost(r, p, p->near.error);
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

	if (side->fd < 0)
		return;
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->readable = 1;
	if (events & EPOLLPRI)
		side->urgent = 1;
	if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		side->writable = 1;
	if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		side->doubt = 1;
	/* what was sent before a RST is still to be read, and recv() tells of it then, unless
	 * nothing will be read: far is told although it takes nothing */
	if (which == NEAR && (events & EPOLLERR) && (side->over || !p->far.writable))
		side->error = side_error(side);
	pair_queue(r, p);
}

static int watch(struct relay *r, struct pair *p, struct side *side, int which)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET,
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
		if (watch(r, p, &p->near, NEAR) || watch(r, p, &p->far, FAR)) {
			pair_fail(r, p, RELAY_FAILED, errno);
		} else {
			pair_watch(r, p);
			pair_queue(r, p);
		}
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
	int64_t patience = INT_MAX;

	if (r->run_first)
		return 0;
	if (r->alive)
		patience = r->tend_at > r->now ? r->tend_at - r->now : 0;
	if (r->lingering && patience > LINGER_TICK)
		patience = LINGER_TICK;
	if ((r->out_used || r->in_used) && patience > WIPE_AFTER)
		patience = WIPE_AFTER;
	return patience < INT_MAX ? (int)patience : -1;
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
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
	sigset_t signals;

	sigfillset(&signals);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&signals, faults[i]);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
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
		relay_tend(r);
		relay_bury(r);
	}
	while (r->counters.active)
		pair_close(r, r->slots[0]);
	relay_wipe(r);
	while (r->run_first)
		pair_dequeue(r);
	r->linger_at = r->tend_at = 0;
	relay_linger(r);
	relay_tend(r);
	relay_bury(r);
}
