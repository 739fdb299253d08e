/* How pairs end: each as TCP would have told the other side; see relay_pair.h. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay_pair.h"
#include "wipe.h"

/* What the kernel is to do with both sockets.  A process that is killed leaves RSTs behind: FIN
 * would pass for the end of what a program was being given. */
void side_prepare(struct side *side)
{
	static const struct linger none = { .l_onoff = 1, .l_linger = 0 };
	static const int on = 1;

	fcntl(side->fd, F_SETFL, fcntl(side->fd, F_GETFL) | O_NONBLOCK);
	setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	setsockopt(side->fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
	setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* A descriptor that a child of fork() still has would go on with its events. */
static void side_close(struct relay *r, struct side *side)
{
	epoll_ctl(r->epoll, EPOLL_CTL_DEL, side->fd, NULL);
	close(side->fd);
	side->fd = -1;
}

/* RFC 793's Abort.  connect() to AF_UNSPEC does it at once, although somebody else may have
 * the descriptor; where that is refused close() does it. */
static void side_reset(struct relay *r, struct side *side)
{
	static const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (side->fd < 0)
		return;
	connect(side->fd, &nowhere, sizeof(nowhere));
	side_close(r, side);
}

/* What the kernel still has goes out. */
static void side_finish(struct relay *r, struct side *side)
{
	static const struct linger usual = { 0 };

	setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &usual, sizeof(usual));
	side_close(r, side);
}

static void pair_forget(struct relay *r, struct pair *p)
{
	if (!p->keys)
		return;
	if (r->owner == p)
		r->owner = NULL;
	else
		pair_unkeep(r, p);
	relay_keys_wipe(p->keys);
	free(p->keys);
	p->keys = NULL;
}

void pair_free(struct pair *p)
{
	flow_forget(&p->out);
	flow_forget(&p->in);
	free(p);
}

/* Out of the table; it is told of when no list holds it. */
static void pair_bury(struct relay *r, struct pair *p)
{
	pair_forget(r, p);
	flow_forget(&p->out);
	flow_forget(&p->in);
	pthread_mutex_lock(&r->lock);
	r->counters.active--;
	r->counters.ended[p->end]++;
	r->counters.bytes_out += p->out.bytes;
	r->counters.bytes_in += p->in.bytes;
	r->slots[p->slot] = r->slots[r->counters.active];
	r->slots[p->slot]->slot = p->slot;
	pthread_mutex_unlock(&r->lock);
	p->buried_next = r->buried;
	r->buried = p;
}

void relay_bury(struct relay *r)
{
	struct pair **at = &r->buried, *p;
	int told = 0;

	if (!r->buried)
		return;
	pthread_mutex_lock(&r->lock);
	while ((p = *at)) {
		if (p->running || p->lingering || p->watched) {
			at = &p->buried_next;
			continue;
		}
		*at = p->buried_next;
		p->next = r->ended;
		r->ended = p;
		told = 1;
	}
	pthread_mutex_unlock(&r->lock);
	if (told)
		eventfd_write(r->news, 1);
}

void pair_finish(struct relay *r, struct pair *p)
{
	p->end = RELAY_FIN;
	side_finish(r, &p->far);
	side_finish(r, &p->near);
	pair_bury(r, p);
}

/* -- one side is gone, the other is given what is left for it, and then a RST -- */

static struct side *left_side(struct pair *p)
{
	return p->near.fd >= 0 ? &p->near : &p->far;
}

/* Has the other host's, or the program's, TCP all of it? */
static int served(const struct side *side, const struct flow *flow)
{
	int queued = 0;

	if (flow_rest(flow) || flow->piped)
		return 0;
	return ioctl(side->fd, SIOCOUTQ, &queued) || !queued;
}

static void pair_part(struct relay *r, struct pair *p, struct flow *flow, int64_t patience)
{
	pair_forget(r, p);
	if (!patience || served(left_side(p), flow)) {
		side_reset(r, left_side(p));
		pair_bury(r, p);
		return;
	}
	p->lingering = 1;
	p->deadline = r->now + patience;
	p->linger_next = r->lingering;
	r->lingering = p;
}

void pair_fail(struct relay *r, struct pair *p, enum relay_end end, int error)
{
	if (p->end)
		return;
	p->end = (uint8_t)end;
	p->error = error;
	side_reset(r, &p->far);
	flow_forget(&p->out);
	pair_part(r, p, &p->in, LINGER_NEAR);
}

void pair_near_lost(struct relay *r, struct pair *p, int error)
{
	if (p->end)
		return;
	p->end = RELAY_NEAR_RESET;
	p->error = error;
	side_reset(r, &p->near);
	flow_forget(&p->in);
	/* what waits at a sender whose peer takes nothing goes with its RST */
	pair_part(r, p, &p->out, p->far.writable ? LINGER_FAR : 0);
}

void pair_close(struct relay *r, struct pair *p)
{
	if (!p->end)
		p->end = RELAY_CLOSED;
	side_reset(r, &p->far);
	side_reset(r, &p->near);
	pair_bury(r, p);
}

/* Whether it is over, one way or the other. */
static int pair_deliver(struct relay *r, struct pair *p)
{
	struct side *side = left_side(p);
	struct flow *flow = side == &p->near ? &p->in : &p->out;

	if (side->fd < 0)
		return 1; /* the engine was closed */
	if (side->writable && flow_resume(flow, side, 0))
		(void)!flow_drain(r, flow, side);
	if (!side->error && r->now < p->deadline && !served(side, flow))
		return 0;
	side_reset(r, side);
	pair_bury(r, p);
	return 1;
}

void relay_linger(struct relay *r)
{
	struct pair **at = &r->lingering, *p;

	if (r->now < r->linger_at)
		return;
	r->linger_at = r->now + LINGER_TICK;
	while ((p = *at)) {
		if (!pair_deliver(r, p)) {
			at = &p->linger_next;
			continue;
		}
		*at = p->linger_next;
		p->lingering = 0;
	}
}

/* -- the engine itself -- */

static void pair_disown(struct pair *p)
{
	close(p->near.fd);
	close(p->far.fd);
	/* a key that fork() caught in use is left as it is */
	if (p->keys && !p->busy)
		relay_keys_wipe(p->keys);
}

void relay_disown(struct relay *r)
{
	for (size_t i = 0; i < r->counters.active; i++)
		pair_disown(r->slots[i]);
	r->counters.active = 0;
	close(r->epoll);
	close(r->wake);
	close(r->news);
	for (size_t i = 0; i < r->pipes_kept; i++) {
		close(r->pipes[i][0]);
		close(r->pipes[i][1]);
	}
	wipe(r->out, r->out_used);
	wipe(r->in, r->in_used);
}

void relay_free(struct relay *r)
{
	struct pair *p;

	while (r->counters.active)
		pair_close(r, r->slots[0]);
	r->lingering = r->run_first = NULL;
	while ((p = r->buried)) {
		r->buried = p->buried_next;
		pair_free(p);
	}
	while ((p = r->ended)) {
		r->ended = p->next;
		pair_free(p);
	}
	for (size_t i = 0; i < r->pipes_kept; i++) {
		close(r->pipes[i][0]);
		close(r->pipes[i][1]);
	}
	if (r->epoll >= 0)
		close(r->epoll);
	if (r->wake >= 0)
		close(r->wake);
	if (r->news >= 0)
		close(r->news);
	free(r->slots);
	free(r);
}
