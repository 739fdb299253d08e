/* Bytes that are ready, on their way to one side; see relay_pair.h. */
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "relay_pair.h"
#include "wipe.h"

/* Where it is not, the kernel will tell (EPOLLOUT), since it was asked. */
static int side_writable(struct side *side)
{
	struct pollfd asked = { .fd = side->fd, .events = POLLOUT };

	side->writable = poll(&asked, 1, 0) != 0;
	return side->writable;
}

size_t flow_room(const struct relay *r, struct side *to, const struct flow *flow, size_t least)
{
	uint32_t info[SK_MEMINFO_VARS];
	socklen_t len = sizeof(info);
	int64_t room, used;

	if (least < FIRST)
		least = FIRST;
	if ((!flow->bulk && least == FIRST) ||
	    getsockopt(to->fd, SOL_SOCKET, SO_MEMINFO, info, &len))
		return least;
	/* the latter is AF_UNIX's */
	used = info[SK_MEMINFO_WMEM_QUEUED] > info[SK_MEMINFO_WMEM_ALLOC] ?
		       info[SK_MEMINFO_WMEM_QUEUED] :
		       info[SK_MEMINFO_WMEM_ALLOC];
	room = (int64_t)info[SK_MEMINFO_SNDBUF] - used;
	room -= room / 8; /* the kernel counts its own structures too */
	if (room < (int64_t)least)
		return side_writable(to) ? least : 0;
	if (r->now < r->scarce_until)
		return least;
	return room < BATCH ? (size_t)room : BATCH;
}

ssize_t side_peek(struct side *side)
{
	char byte;
	ssize_t n = recv(side->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno != EAGAIN)
		side->error = errno;
	return n;
}

/* What is left of iov behind its first `sent` bytes. */
static int keep_rest(struct flow *flow, const struct iovec *iov, int count, size_t sent,
		     size_t total)
{
	uint8_t *rest = malloc(total - sent), *p = rest;

	if (!rest)
		return -1;
	for (int i = 0; i < count; i++) {
		size_t skip = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		memcpy(p, (uint8_t *)iov[i].iov_base + skip, iov[i].iov_len - skip);
		p += iov[i].iov_len - skip;
		sent -= skip;
	}
	flow->rest = rest;
	flow->at = 0;
	flow->end = (size_t)(p - rest);
	return 0;
}

static ssize_t side_send(struct side *to, const struct iovec *iov, int count, int flags)
{
	struct msghdr message = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count };
	ssize_t n;

	do
		n = sendmsg(to->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		to->error = errno;
	return n;
}

void flow_count(struct flow *flow, uint64_t bytes)
{
	atomic_store_explicit(&flow->bytes,
			      atomic_load_explicit(&flow->bytes, memory_order_relaxed) + bytes,
			      memory_order_relaxed);
}

int flow_send(struct relay *r, struct flow *flow, struct side *to, const struct iovec *iov,
	      int count, size_t counted, int flags)
{
	size_t total = 0;
	ssize_t n;

	for (int i = 0; i < count; i++)
		total += iov[i].iov_len;
	n = side_send(to, iov, count, flags);
	if (n < 0 && to->error)
		return -1;
	if (n == (ssize_t)total) {
		flow_count(flow, counted);
		return 0;
	}
	if (n < 0)
		n = 0;
	if (total - (size_t)n > FIRST)
		r->scarce_until = r->now + SCARCE;
	to->writable = 0;
	flow->counted = counted;
	if (keep_rest(flow, iov, count, (size_t)n, total)) {
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

int flow_resume(struct flow *flow, struct side *to, int flags)
{
	struct iovec iov = { flow->rest + flow->at, flow_rest(flow) };
	ssize_t n;

	if (!iov.iov_len)
		return 1;
	n = side_send(to, &iov, 1, flags);
	if (n > 0)
		flow->at += (size_t)n;
	if (flow_rest(flow)) {
		to->writable = 0;
		return 0;
	}
	flow_count(flow, flow->counted);
	flow_forget(flow);
	return 1;
}

void flow_forget(struct flow *flow)
{
	wipe_free(flow->rest, flow->end); /* which may be plaintext */
	flow->rest = NULL;
	flow->at = flow->end = flow->counted = 0;
	for (int i = 0; i < 2; i++) {
		if (flow->pipe[i] >= 0)
			close(flow->pipe[i]);
		flow->pipe[i] = -1;
	}
	flow->piped = 0;
}
