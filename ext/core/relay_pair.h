/* One pair, and what the files of the engine know of one another; see relay.h. */
#ifndef RELAY_PAIR_H
#define RELAY_PAIR_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

#include "relay.h"

enum {
	FRAME_MAX = FRAME_HEADER_LEN + CLEN_MAX,
	/* frames that are sealed, or received, before one system call, at most: what the
	 * cache of the second level holds with room for the kernel's own */
	BATCH_FRAMES = 4,
	BATCH = BATCH_FRAMES * FRAME_MAX,
	/* a small frame is a small part of a batch: so many, then */
	SLOTS = 64,
	/* bytes moved without asking whether there is room for them: what may have to be kept
	 * of one direction */
	FIRST = 1 << 14,
	/* moved at once they make it worth the asking */
	BULK_FROM = FIRST / 2,
	/* milliseconds of small steps once the kernel has taken less than it had room for: the
	 * host's TCP is short of memory */
	SCARCE = 1000,
	/* missing bytes of a frame that are left to the kernel until all are there */
	LOWAT_FROM = 8192,
	/* so much of a frame may be kept by any pair, and more by so many at a time */
	LONG_PART = FIRST + LOWAT_FROM,
	LONG_PARTS = 16,
	/* steps of one pair before others have their turn */
	TURN = 2,
	/* pipes that wait for use */
	PIPES = 16,
	/* milliseconds: how often a pair is looked at that delivers its last bytes, and how
	 * long it may take the program, or the peer, to take them */
	LINGER_TICK = 10,
	LINGER_NEAR = 60000,
	LINGER_FAR = 5000,
	/* milliseconds without events after which shared buffers are wiped */
	WIPE_AFTER = 20,
};

struct side {
	int fd;
	uint8_t readable, writable; /* until the kernel says otherwise */
	uint8_t doubt;		    /* a short read is not all there is: an end or an urgent byte */
	uint8_t over;		    /* its end was read */
	uint8_t urgent;		    /* TCP has told of an urgent byte */
	int error;		    /* said by the kernel once, to another call than recv() */
};

/* Bytes on their way to one side. */
struct flow {
	_Atomic uint64_t bytes; /* of the application, taken by the kernel */
	uint8_t *rest;		/* what the kernel had no room for */
	size_t at, end;		/* of rest */
	size_t counted;		/* application bytes that rest stands for */
	int pipe[2];		/* held while bytes are in it; else -1 */
	size_t piped;
	uint8_t bulk; /* the last step moved much */
	uint8_t done; /* FIN was sent behind the last byte */
};

struct pair {
	uint64_t token;
	struct side near, far;
	struct flow out, in;
	struct relay_keys *keys; /* NULL: plain */
	size_t frame;		 /* size of the frame opened last */
	int lowat;		 /* of far: SO_RCVLOWAT */
	size_t slot;
	struct pair *next; /* in the list it is in: submitted, running or ended */
	struct pair *linger_next, *buried_next;
	int64_t deadline;		     /* while it lingers */
	uint8_t more;			     /* frames were left unopened */
	uint8_t long_part;		     /* it keeps more than LONG_PART */
	uint8_t awaiting;		     /* far was to tell when the rest of a frame is there */
	uint8_t running, lingering, watched; /* which other lists hold it */
	uint8_t busy;			     /* its keys may be in use */
	uint8_t end;			     /* enum relay_end */
	int error;
	/* section 3.9; see relay_alive.c */
	struct pair *alive_next;
	uint32_t interval, timeout;
	int64_t alive_at, asked_at;
	uint64_t opened, acked, probe_end;
};

struct relay {
	int epoll, wake, news;
	pthread_mutex_t lock; /* of what stands up to the blank line */
	struct pair **slots;
	size_t slots_size, most;
	struct pair *submitted, *ended;
	struct relay_counters counters;
	uint8_t stopping;

	struct pair *run_first, *run_last, *lingering, *alive, *buried;
	int64_t now, linger_at, tend_at, tick, scarce_until; /* milliseconds */
	int pipes[PIPES][2];
	size_t pipes_kept;
	size_t out_used, in_used; /* of the buffers, since they were wiped */
	struct pair *owner;	  /* whose unopened bytes are in `in` */
	size_t long_parts;	  /* pairs that keep more than LONG_PART of a frame */
	uint8_t out[OWED_MAX + BATCH + SLOTS * FRAME_OVERHEAD];
	uint8_t in[BATCH + FRAME_MAX];
};

/* -- relay_flow.c: bytes that are ready, to one side -- */

/* recv() of a byte that stays; an error is kept, since no other call will be told. */
ssize_t side_peek(struct side *side);
/* Bytes that the kernel is likely to take at once, BATCH at most.  0: fewer than `least` (of
 * less than FIRST it is not asked), and it will tell when there is room. */
size_t flow_room(const struct relay *r, struct side *to, const struct flow *flow, size_t least);
/* Send them, or keep the rest; -1: no memory, or the side failed (its error says so). */
int flow_send(struct relay *r, struct flow *flow, struct side *to, const struct iovec *iov,
	      int count, size_t counted, int flags) __attribute__((warn_unused_result));
/* Send the rest: 1 if it is gone. */
int flow_resume(struct flow *flow, struct side *to, int flags) __attribute__((warn_unused_result));
void flow_forget(struct flow *flow);
void flow_count(struct flow *flow, uint64_t bytes);
static inline size_t flow_rest(const struct flow *flow)
{
	return flow->end - flow->at;
}

/* -- one step of a direction; what it leaves undone the pair's flags tell -- */

void pair_seal(struct relay *r, struct pair *p);
void pair_open(struct relay *r, struct pair *p);
void pair_splice(struct relay *r, struct pair *p, int out);
/* What is in the flow's pipe: 1 if it is gone. */
int flow_drain(struct relay *r, struct flow *flow, struct side *to)
	__attribute__((warn_unused_result));
/* p's unopened bytes leave the shared buffer. */
void pair_evict(struct relay *r, struct pair *p);
/* Memory of p's own for them is freed. */
void pair_unkeep(struct relay *r, struct pair *p);

/* Give it its turn. */
void pair_queue(struct relay *r, struct pair *p);

/* -- relay_alive.c -- */

void pair_watch(struct relay *r, struct pair *p);
void relay_tend(struct relay *r);

/* -- relay_end.c -- */

/* The options that both sockets are to have. */
void side_prepare(struct side *side);
/* far is done for: RST to it, and to near behind what it has yet to be given. */
void pair_fail(struct relay *r, struct pair *p, enum relay_end end, int error);
/* near is: RST to far, behind what the program had sent. */
void pair_near_lost(struct relay *r, struct pair *p, int error);
/* The engine stops. */
void pair_close(struct relay *r, struct pair *p);
/* Both directions are done. */
void pair_finish(struct relay *r, struct pair *p);
/* Those that linger: has the side that is left taken its last bytes? */
void relay_linger(struct relay *r);
/* Tell of those that ended, once nothing here knows them any more. */
void relay_bury(struct relay *r);
void pair_free(struct pair *p);

#endif
