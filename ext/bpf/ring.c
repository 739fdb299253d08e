/* The layout: Documentation/bpf/ringbuf.rst. A page with the reader's position, a
 * page with the writers', then the records, mapped twice in a row so that none wraps. */
#include "ring.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t eno_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t eno_align(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

int eno_ring_open(struct eno_ring *ring, int map, size_t size)
{
	size_t page = eno_page();
	void *consumed, *produced;
	int err;

	memset(ring, 0, sizeof(*ring));
	consumed = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (consumed == MAP_FAILED)
		return -errno;
	produced = mmap(NULL, page + 2 * size, PROT_READ, MAP_SHARED, map, (off_t)page);
	if (produced == MAP_FAILED) {
		err = -errno;
		munmap(consumed, page);
		return err;
	}
	ring->consumed = consumed;
	ring->produced = produced;
	ring->records = (const unsigned char *)produced + page;
	ring->size = size;
	return 0;
}

static const unsigned int *eno_ring_head(const struct eno_ring *ring)
{
	return (const void *)(ring->records + (*ring->consumed & (ring->size - 1)));
}

/* The writer sets the length last, without its busy bit. */
const void *eno_ring_next(struct eno_ring *ring, size_t *size)
{
	unsigned int length;

	while (*ring->consumed < __atomic_load_n(ring->produced, __ATOMIC_ACQUIRE)) {
		length = __atomic_load_n(eno_ring_head(ring), __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			return NULL;
		if (!(length & BPF_RINGBUF_DISCARD_BIT)) {
			*size = length;
			return (const unsigned char *)eno_ring_head(ring) + BPF_RINGBUF_HDR_SZ;
		}
		eno_ring_release(ring);
	}
	return NULL;
}

void eno_ring_release(struct eno_ring *ring)
{
	size_t length = *eno_ring_head(ring) & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);

	__atomic_store_n(ring->consumed, *ring->consumed + eno_align(length + BPF_RINGBUF_HDR_SZ),
			 __ATOMIC_RELEASE);
}

void eno_ring_close(struct eno_ring *ring)
{
	if (!ring->size)
		return;
	munmap(ring->consumed, eno_page());
	munmap((void *)ring->produced, eno_page() + 2 * ring->size);
	memset(ring, 0, sizeof(*ring));
}
