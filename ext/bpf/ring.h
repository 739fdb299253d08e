/* Reading a BPF ring buffer: what libbpf's ring_buffer does, for one reader. */
#ifndef ENO_RING_H
#define ENO_RING_H

#include <stddef.h>

struct eno_ring {
	unsigned long *consumed;       /* mapped for writing */
	const unsigned long *produced; /* mapped for reading, with the records behind it */
	const unsigned char *records;
	size_t size; /* of the ring in bytes, a power of 2; 0: closed */
};

/* 0, or -errno; leaves the ring closed on failure. */
int eno_ring_open(struct eno_ring *ring, int map, size_t size);
/* The oldest record, which stays in place until released; NULL: none is complete. */
const void *eno_ring_next(struct eno_ring *ring, size_t *size);
void eno_ring_release(struct eno_ring *ring);
void eno_ring_close(struct eno_ring *ring);

#endif
