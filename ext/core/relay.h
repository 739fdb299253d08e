/* The relay's engine: pairs of connections, one thread, one epoll.
 *
 *   program --TCP--> near |                  | far --TCP + ENO--> peer
 *                         | recv, seal, send |
 *                         | send, open, recv |
 *
 * near is a plain socket, far an established one whose keys are here, or plain too: then bytes
 * go by splice(2).  Both are non-blocking and edge-triggered, so that a pair costs two calls
 * of epoll_ctl().  Bytes are sealed and opened in buffers that all pairs share; a pair has
 * memory of its own only while the receiver of its bytes does not keep up (section "bounds"
 * of docs/engine.md).
 *
 * What ends one side ends the other as TCP would: FIN (FINp) as FIN, each direction by itself,
 * RST as RST; a stream that was cut short or forged as RST, behind what was authenticated.
 */
#ifndef RELAY_H
#define RELAY_H

#include "relay_keys.h"

enum relay_end {
	RELAY_NONE,
	RELAY_FIN,	   /* both directions came to their ends */
	RELAY_TRUNCATED,   /* far: FIN without FINp */
	RELAY_RESET,	   /* far: RST, or the kernel gave it up (errno) */
	RELAY_NEAR_RESET,  /* the program's connection was reset */
	RELAY_AUTH_FAILED, /* far: a frame did not authenticate */
	RELAY_PROTOCOL,	   /* far: RFC 8548 was broken otherwise */
	RELAY_PEER_DEAD,   /* far: the peer did not prove that it lives (section 3.9) */
	RELAY_FAILED,	   /* this host had no memory or descriptor (errno) */
	RELAY_CLOSED,	   /* the engine was closed */
};

struct relay; /* one engine */

/* What is handed over; both sockets are the engine's afterwards. */
struct relay_offer {
	int near, far;
	uint64_t token;
	struct relay_keys *keys; /* NULL: plain; else copied, and wiped */
	/* stream bytes that go to far before any other, and those received and not opened,
	 * and application bytes for near */
	struct bytes unsent, unopened, unread;
	uint32_t interval_ms, timeout_ms; /* section 3.9; 0: never */
};

struct relay_ended {
	uint64_t token, bytes_out, bytes_in;
	int end, error;
};

struct relay_counters {
	uint64_t active, total, bytes_out, bytes_in;
	uint64_t ended[RELAY_CLOSED + 1];
};

struct relay_listed {
	uint64_t token, bytes_out, bytes_in;
};

/* For so many pairs at one time; NULL: errno says why. */
struct relay *relay_new(size_t most);
/* 0, or -1 with errno, EAGAIN where there are as many: then nothing was taken. Any thread. */
int relay_add(struct relay *r, const struct relay_offer *offer) __attribute__((warn_unused_result));
/* The engine's thread is here until relay_stop(). */
void relay_run(struct relay *r);
void relay_stop(struct relay *r);
/* Readable when relay_ended() has something. */
int relay_news(const struct relay *r);
/* Any thread: at most max of those that ended; how many. */
size_t relay_take_ended(struct relay *r, struct relay_ended *out, size_t max);
void relay_count(struct relay *r, struct relay_counters *out);
size_t relay_list(struct relay *r, struct relay_listed *out, size_t max);
/* Once relay_run() has returned, or will never be called: reset and free what is left. */
void relay_free(struct relay *r);
/* In a child of fork(): close the descriptors and forget the keys; no RST is sent. */
void relay_disown(struct relay *r);

#endif
