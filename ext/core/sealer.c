/* See sealer.h. */
#include "sealer.h"

#include <string.h>

#include "wipe.h"

static size_t frame_overhead(int urgent)
{
	return FRAME_OVERHEAD + (urgent == NO_URGENT ? 0 : URGENT_LEN);
}

void sealer_pace(struct sealer *s, int64_t now)
{
	if (now - s->sealed_at >= IDLE_MS)
		s->early_until = s->offset + EARLY_BYTES;
	s->sealed_at = now;
}

/* Urgent bytes are never parted. [8548:3.6-2] */
size_t sealer_limit(const struct sealer *s, size_t written, int urgent)
{
	int early = s->frame_size > EARLY_FRAME && s->offset + written < s->early_until &&
		    urgent == NO_URGENT;

	return early ? EARLY_FRAME : s->frame_size;
}

size_t sealer_size(const struct sealer *s, size_t len, int urgent)
{
	size_t written = 0;

	do {
		size_t limit = sealer_limit(s, written, urgent);
		size_t chunk = len < limit ? len : limit;

		written += frame_overhead(urgent) + chunk;
		len -= chunk;
	} while (len);
	return written;
}

/* One frame of len bytes; fields in the order of section 4.2's figures. */
static int seal_frame(struct sealer *s, const struct seal_job *job, size_t len, int fin)
{
	uint8_t *frame = job->out + job->written;
	uint8_t *p = frame;
	size_t plain = FLAGS_LEN + (job->urgent == NO_URGENT ? 0 : URGENT_LEN) + len;
	size_t clen = plain + AE_TAG_LEN;

	*p++ = s->rekey ? CONTROL_REKEY : 0; /* [8548:4.2-2] */
	*p++ = (uint8_t)(clen >> 8);	     /* [8548:4.2-1] */
	*p++ = (uint8_t)clen;
	/* [8548:4.2.1-1] */
	*p++ = (fin ? FLAG_FINP : 0) | (job->urgent == NO_URGENT ? 0 : FLAG_URGP);
	if (job->urgent != NO_URGENT) {
		*p++ = (uint8_t)(job->urgent >> 8);
		*p++ = (uint8_t)job->urgent;
	}
	if (len && p != job->data + job->taken)
		memmove(p, job->data + job->taken, len);
	/* [8548:4.2.2-1] */
	return aead_seal(&s->aead, frame + FRAME_HEADER_LEN, plain, s->offset + job->written,
			 frame);
}

/* Application bytes for the next frame in what room is left, or -1. */
static long next_chunk(const struct sealer *s, const struct seal_job *job)
{
	size_t left = job->len - job->taken;
	size_t limit = sealer_limit(s, job->written, job->urgent);
	size_t chunk = left < limit ? left : limit;
	size_t overhead = frame_overhead(job->urgent);
	size_t room = job->room - job->written;

	if (room < overhead || (left && room == overhead))
		return -1;
	return (long)(chunk < room - overhead ? chunk : room - overhead);
}

int sealer_seal(struct sealer *s, struct seal_job *job)
{
	uint8_t rekey = s->rekey;
	int last = 0, status = AEAD_OK;
	long chunk;

	job->taken = job->written = 0;
	while (!last && (chunk = next_chunk(s, job)) >= 0) {
		last = job->taken + (size_t)chunk == job->len;
		/* "MUST set the FINp bit on the last frame ... and MUST NOT set
		 * FINp on any other frame" (section 3.7) [8548:3.7-2, 3.7-3] */
		status = seal_frame(s, job, (size_t)chunk, job->fin && last);
		if (status)
			break;
		/* "MUST set rekey = 1 for that frame.  It MUST set rekey = 0
		 * in all other cases" (section 3.8) [8548:3.8-3, 3.8-4] */
		s->rekey = 0;
		job->taken += (size_t)chunk;
		job->written += frame_overhead(job->urgent) + (size_t)chunk;
	}
	if (status) {
		wipe(job->out, job->room);
		s->rekey = rekey;
		return status;
	}
	s->offset += job->written; /* [8548:3.6-3, 3.6-4] */
	s->finished = job->fin && last;
	return AEAD_OK;
}

void sealer_rekey(struct sealer *s, struct aead *key)
{
	/* "SHOULD delete older-generation keys from memory" (section 3.8) [8548:3.8-11] */
	aead_wipe(&s->aead);
	s->aead = *key;
	wipe(key, sizeof(*key));
	s->generation++; /* [8548:3.8-10] */
	s->rekey = 1;
}

void sealer_wipe(struct sealer *s)
{
	aead_wipe(&s->aead);
}
