/* Is the peer alive?  It proves it by answering a rekeying (RFC 8548 section 3.9), as
 * pyeno/sockets/keepalive.py has it for sockets; see relay_pair.h. */
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "relay_pair.h"

enum {
	TICK_LEAST = 10, /* milliseconds between visits */
	ACKED_AT = 120,	 /* of tcpi_bytes_acked in the kernel's struct tcp_info */
	INFO_LEN = ACKED_AT + 8,
};

void pair_watch(struct relay *r, struct pair *p)
{
	uint32_t least = p->interval < p->timeout ? p->interval : p->timeout;
	int64_t tick = least / 2 > TICK_LEAST ? least / 2 : TICK_LEAST;

	if (!p->keys || !p->interval)
		return;
	if (!r->alive || tick < r->tick)
		r->tick = tick;
	if (!r->alive || r->tend_at > r->now + tick)
		r->tend_at = r->now + tick;
	p->watched = 1;
	p->alive_at = r->now;
	p->opened = p->keys->opener.offset;
	p->alive_next = r->alive;
	r->alive = p;
}

/* Stream bytes that the peer's TCP has acknowledged, and that it has yet to. */
static uint64_t acknowledged(const struct side *far, uint64_t *queued)
{
	uint8_t info[INFO_LEN] = { 0 };
	socklen_t len = sizeof(info);
	uint64_t acked;
	int waiting = 0;

	getsockopt(far->fd, IPPROTO_TCP, TCP_INFO, info, &len);
	ioctl(far->fd, SIOCOUTQ, &waiting);
	memcpy(&acked, info + ACKED_AT, sizeof(acked));
	*queued = (uint64_t)waiting;
	return acked;
}

/* The probe has yet to reach the peer, which is taking what precedes it. */
static int under_way(struct pair *p)
{
	uint64_t queued, before = p->acked;

	p->acked = acknowledged(&p->far, &queued);
	if (flow_rest(&p->out) || relay_keys_owe(p->keys)) /* it is not sent yet */
		p->probe_end = p->acked + queued + 1;
	return before < p->acked && p->acked < p->probe_end;
}

/* A rekeying that is unanswered already is as good as a probe. [8548:3.9-1, 3.9-2, 8.2-1] */
static void ask(struct relay *r, struct pair *p)
{
	uint64_t queued;

	if (relay_keys_rekey(p->keys)) {
		pair_fail(r, p, RELAY_FAILED, 0);
		return;
	}
	p->asked_at = r->now;
	p->acked = acknowledged(&p->far, &queued);
	p->probe_end = p->acked + queued;
	pair_queue(r, p);
}

static void visit(struct relay *r, struct pair *p)
{
	struct opener *o = &p->keys->opener;

	if (o->offset != p->opened && !relay_keys_unanswered(p->keys)) {
		p->opened = o->offset;
		p->alive_at = r->now;
		p->asked_at = 0;
	}
	/* the answer may be behind what the program does not read */
	if (!p->near.writable || flow_rest(&p->in)) {
		p->alive_at = r->now;
		p->asked_at = 0;
	}
	if (!p->asked_at && r->now >= p->alive_at + p->interval)
		ask(r, p);
	else if (p->asked_at && under_way(p))
		p->asked_at = r->now;
	else if (p->asked_at && r->now >= p->asked_at + p->timeout)
		pair_fail(r, p, RELAY_PEER_DEAD, 0);
}

/* "if it has not already transmitted a segment with FIN set" (section 3.9) */
static int probed(const struct pair *p)
{
	return !p->end && !p->keys->sealer.finished && !p->keys->opener.finp && !p->far.error;
}

void relay_tend(struct relay *r)
{
	struct pair **at = &r->alive, *p;

	if (!r->alive || r->now < r->tend_at)
		return;
	r->tend_at = r->now + r->tick;
	while ((p = *at)) {
		if (probed(p)) {
			visit(r, p);
			at = &p->alive_next;
			continue;
		}
		*at = p->alive_next;
		p->watched = 0;
	}
}
