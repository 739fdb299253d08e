/* Bytes of a pair that is not encrypted: through a pipe by splice(2), or, where there is
 * none to be had, copied; see relay_pair.h. */
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "relay_pair.h"

enum { PIPE_SIZE = 1 << 18 };

static int pipe_take(struct relay *r, struct flow *flow)
{
	if (flow->pipe[0] >= 0)
		return 0;
	if (r->pipes_kept) {
		r->pipes_kept--;
		flow->pipe[0] = r->pipes[r->pipes_kept][0];
		flow->pipe[1] = r->pipes[r->pipes_kept][1];
		return 0;
	}
	if (pipe2(flow->pipe, O_CLOEXEC | O_NONBLOCK)) {
		flow->pipe[0] = flow->pipe[1] = -1;
		return -1;
	}
	fcntl(flow->pipe[1], F_SETPIPE_SZ, PIPE_SIZE); /* a smaller one will do */
	return 0;
}

static void pipe_give(struct relay *r, struct flow *flow)
{
	if (r->pipes_kept == PIPES) {
		close(flow->pipe[0]);
		close(flow->pipe[1]);
	} else {
		r->pipes[r->pipes_kept][0] = flow->pipe[0];
		r->pipes[r->pipes_kept][1] = flow->pipe[1];
		r->pipes_kept++;
	}
	flow->pipe[0] = flow->pipe[1] = -1;
}

/* -1: `from` is lost, errno says why. */
static int took(struct flow *flow, struct side *from, ssize_t n)
{
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return -1;
	flow->bulk = n >= BULK_FROM;
	if (n < 0 && errno == EAGAIN)
		from->readable = 0;
	if (n == 0)
		from->over = 1;
	return 0;
}

/* splice(2) stands before an urgent byte as before an end; from there on recv() reads. */
static int at_end(struct side *from)
{
	return side_peek(from) == 0;
}

static int fill(struct flow *flow, struct side *from, size_t limit)
{
	ssize_t n = splice(from->fd, NULL, flow->pipe[1], NULL, limit,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

	if (n > 0)
		flow->piped = (size_t)n;
	if (n == 0 && !at_end(from)) {
		from->urgent = 1;
		return 0;
	}
	return took(flow, from, n);
}

int flow_drain(struct relay *r, struct flow *flow, struct side *to)
{
	ssize_t n;

	while (flow->piped) {
		n = splice(flow->pipe[0], NULL, to->fd, NULL, flow->piped,
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			to->writable = 0;
			if (n < 0 && errno != EAGAIN)
				to->error = errno;
			return 0;
		}
		flow->piped -= (size_t)n;
		flow_count(flow, (uint64_t)n);
	}
	if (flow->pipe[0] >= 0)
		pipe_give(r, flow);
	return 1;
}

/* 0, or which side failed. */
static struct side *copy(struct relay *r, struct flow *flow, struct side *from, struct side *to,
			 size_t limit)
{
	struct iovec iov = { .iov_base = r->out };
	ssize_t n = recv(from->fd, r->out, limit, MSG_DONTWAIT);

	if (took(flow, from, n)) {
		from->error = errno;
		return from;
	}
	if (n <= 0)
		return NULL;
	if ((size_t)n > r->out_used)
		r->out_used = (size_t)n;
	iov.iov_len = (size_t)n;
	return flow_send(r, flow, to, &iov, 1, (size_t)n, 0) ? to : NULL;
}

static struct side *move(struct relay *r, struct flow *flow, struct side *from, struct side *to)
{
	size_t limit;

	if (!flow_resume(flow, to, 0) || !flow_drain(r, flow, to))
		return to->error ? to : NULL;
	if (!from->readable || from->over)
		return NULL;
	limit = flow_room(r, to, flow, FIRST);
	if (!limit)
		return NULL;
	if (from->urgent || pipe_take(r, flow))
		return copy(r, flow, from, to, limit);
	if (fill(flow, from, limit)) {
		from->error = errno;
		return from;
	}
	return flow_drain(r, flow, to) || !to->error ? NULL : to;
}

void pair_splice(struct relay *r, struct pair *p, int out)
{
	struct flow *flow = out ? &p->out : &p->in;
	struct side *from = out ? &p->near : &p->far, *to = out ? &p->far : &p->near;
	struct side *failed = move(r, flow, from, to);

	if (failed && !failed->error)
		pair_fail(r, p, RELAY_FAILED, ENOMEM);
	else if (failed == to)
		to->readable = 1; /* which says why, once all that came is read */
	else if (failed && out)
		pair_near_lost(r, p, failed->error);
	else if (failed)
		pair_fail(r, p, RELAY_RESET, failed->error);
	else if (from->over && !flow_rest(flow) && !flow->piped && !flow->done && !from->error) {
		shutdown(to->fd, SHUT_WR);
		flow->done = 1;
	}
}
