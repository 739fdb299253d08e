/* See relay_keys.h. */
#include "relay_keys.h"

#include "wipe.h"

static int make_key(struct aead *a, uint16_t aead, const struct tcpcrypt_generations *g)
{
	uint8_t key[TRAFFIC_KEY_MAX];
	int status = tcpcrypt_traffic_key(g, key) ? AEAD_NO_MEMORY : aead_init(a, aead, key);

	wipe(key, sizeof(key));
	return status;
}

int relay_keys_init(struct relay_keys *k, uint16_t aead)
{
	int status = make_key(&k->sealer.aead, aead, &k->sending);

	if (status)
		return status;
	status = make_key(&k->opener.aead, aead, &k->receiving);
	if (status)
		aead_wipe(&k->sealer.aead);
	wipe_stack(); /* providers leave parts of keys there */
	return status;
}

/* -- sealing -- */

/* No frame has used the local generation yet, so it must not be raised again. */
static int unannounced(const struct relay_keys *k)
{
	return k->sealer.offset == k->advanced_at;
}

/* Raise the local generation; the frame that announces it comes next. [8548:3.8-2, 3.8-11] */
static int advance(struct relay_keys *k)
{
	struct aead fresh;
	int status;

	if (tcpcrypt_advance(&k->sending))
		return AEAD_NO_MEMORY;
	status = make_key(&fresh, k->sealer.aead.id, &k->sending);
	if (status)
		return status;
	sealer_rekey(&k->sealer, &fresh);
	wipe_stack();
	k->advanced_at = k->sealer.offset;
	k->rekey_at = k->budget ? k->sealer.offset + k->budget : NEVER;
	k->empty_unanswered = 0;
	if (k->log)
		k->log(k->owner, &k->sending, 1);
	return AEAD_OK;
}

int relay_keys_seal(struct relay_keys *k, struct seal_job *job)
{
	int due = k->sealer.offset >= k->rekey_at && !unannounced(k);

	/* "MUST NOT initiate rekeying with an empty encryption frame more than once while ..."
	 * [8548:3.8-9] */
	if (due && (job->len || !relay_keys_unanswered(k))) {
		int status = advance(k);

		if (status)
			return status;
	}
	return sealer_seal(&k->sealer, job);
}

int relay_keys_rekey(struct relay_keys *k)
{
	int status = AEAD_OK;

	if (!unannounced(k) && relay_keys_unanswered(k))
		return AEAD_OK;
	if (!unannounced(k))
		status = advance(k);
	k->announcing = status == AEAD_OK;
	return status;
}

int relay_keys_owe(const struct relay_keys *k)
{
	return !k->sealer.finished && (k->answer_due || (k->announcing && unannounced(k)));
}

static int seal_empty(struct relay_keys *k, uint8_t *out, long *size)
{
	struct seal_job job = { .out = out + *size, .room = FRAME_OVERHEAD, .urgent = NO_URGENT };
	int status = sealer_seal(&k->sealer, &job);

	*size += (long)job.written;
	return status;
}

long relay_keys_owed(struct relay_keys *k, uint8_t *out)
{
	int due = k->answer_due, announce = (due || k->announcing) && unannounced(k);
	long size = 0;

	k->answer_due = k->announcing = 0;
	if (announce && seal_empty(k, out, &size))
		return -1;
	/* "MUST immediately increment its local generation number to match": one frame for
	 * each generation, since a receiver counts frames [8548:3.8-6, 3.8-7, 3.9-3] */
	while (due && k->sending.j < k->opener.generation) {
		if (size > OWED_MAX - FRAME_OVERHEAD) {
			k->answer_due = 1;
			break;
		}
		if (advance(k) || seal_empty(k, out, &size))
			return -1;
	}
	return size;
}

/* -- opening -- */

/* The next frame has rekey = 1; it has yet to authenticate. [8548:3.8-5] */
static int offer_next_key(struct relay_keys *k)
{
	int status;

	if (tcpcrypt_advance(&k->receiving))
		return AEAD_NO_MEMORY;
	status = make_key(&k->opener.next, k->opener.aead.id, &k->receiving);
	if (status)
		return status;
	k->opener.rekey_wanted = 0;
	if (k->log)
		k->log(k->owner, &k->receiving, 0);
	return AEAD_OK;
}

/* It did: an answer is owed if the remote generation is now ahead. */
static int follow(struct relay_keys *k)
{
	struct opener *o = &k->opener;
	int behind = k->sending.j < o->generation;

	wipe_stack();
	if (behind && o->empty_rekeys != k->empty_rekeys)
		k->empty_unanswered++;
	k->empty_rekeys = o->empty_rekeys;
	if (k->empty_unanswered > EMPTY_REKEYS_MAX)
		return RELAY_TOO_MANY;
	k->answer_due |= behind || unannounced(k);
	return AEAD_OK;
}

int relay_keys_open(struct relay_keys *k)
{
	struct opener *o = &k->opener;
	int status = AEAD_OK;

	opener_read(o, NULL, 0, 0);
	while (!status && o->rekey_wanted) {
		status = offer_next_key(k);
		if (status)
			break;
		opener_read(o, NULL, 0, 0);
		if (o->generation == k->receiving.j)
			status = follow(k);
		if (opener_pending(o))
			break;
	}
	return status;
}

void relay_keys_wipe(struct relay_keys *k)
{
	if (k->log)
		k->log(k->owner, NULL, 0);
	k->log = NULL;
	sealer_wipe(&k->sealer);
	aead_wipe(&k->opener.aead);
	aead_wipe(&k->opener.next);
	wipe(&k->sending, sizeof(k->sending));
	wipe(&k->receiving, sizeof(k->receiving));
}
