/* Both directions of one connection's encryption, rekeying included (RFC 8548 section 3.8).
 *
 * What pyeno/tcpcrypt/traffic.py decides for sockets is decided here for the relay, by the
 * same rules, so that a rekeying asks for nothing but this thread.
 */
#ifndef RELAY_KEYS_H
#define RELAY_KEYS_H

#include "keyschedule.h"
#include "opener.h"
#include "sealer.h"

/* Tells the owner of a key log each new traffic key, and of the end: then g is NULL. */
typedef void relay_log(void *owner, const struct tcpcrypt_generations *g, int sending);

struct relay_keys {
	struct sealer sealer;
	struct opener opener;
	struct tcpcrypt_generations sending, receiving;
	uint64_t budget;       /* stream bytes under one key, or 0: no end */
	uint64_t rekey_at;     /* stream offset from which data begin a generation */
	uint64_t advanced_at;  /* where the local generation began, or NOWHERE */
	uint64_t empty_rekeys; /* of the opener's, those looked at */
	uint32_t empty_unanswered;
	uint8_t paced;	    /* the sealer is told the time */
	uint8_t answer_due; /* the peer has rekeyed, or has asked to */
	uint8_t announcing; /* this host's own rekeying goes with an empty frame */
	relay_log *log;	    /* or NULL */
	void *owner;
};

enum {
	/* frames owed that are sealed at once, at most, and their bytes */
	ANSWERS_MAX = 64,
	OWED_MAX = ANSWERS_MAX * FRAME_OVERHEAD,
	/* rekeyings of the peer's without data, unanswered; section 3.8 allows one, or two
	 * where another began with data */
	EMPTY_REKEYS_MAX = 2,
};
static const uint64_t NOWHERE = UINT64_MAX, NEVER = (uint64_t)1 << 63;

/* sealer and opener are another's, all but their keys, which are made here of the two
 * generations; buffer and log are still to be set. */
int relay_keys_init(struct relay_keys *k, uint16_t aead) __attribute__((warn_unused_result));

/* One frame with data, or with FINp.  Its plaintext may stand where it is sealed. */
int relay_keys_seal(struct relay_keys *k, struct seal_job *job) __attribute__((warn_unused_result));

/* Initiate rekeying with an empty frame, unless one is unanswered. */
int relay_keys_rekey(struct relay_keys *k) __attribute__((warn_unused_result));

static inline int relay_keys_unanswered(const struct relay_keys *k)
{
	return k->opener.generation < k->sending.j;
}

/* Is there something to send that waits for no data? */
int relay_keys_owe(const struct relay_keys *k);
/* Such frames, into OWED_MAX bytes; how many bytes, or -1. */
long relay_keys_owed(struct relay_keys *k, uint8_t *out);

/* Open frames until one gives plaintext, which is at buffer[ready], or none does, for which
 * see the opener.  An AEAD status; or RELAY_TOO_MANY, which is the peer's fault. */
enum { RELAY_TOO_MANY = 1 };
int relay_keys_open(struct relay_keys *k) __attribute__((warn_unused_result));

void relay_keys_wipe(struct relay_keys *k);

#endif
