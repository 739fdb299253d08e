/* How an object declares its maps: ci/gen-bpf reads section eno_maps. */
#ifndef ENO_MAP_BPF_H
#define ENO_MAP_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ENO_INLINE static __always_inline
#define ENO_KEEP(value) asm volatile("" : "+r"(value))

struct eno_map {
	__u32 type, key_size, value_size, max_entries, flags;
};

#define ENO_MAP(name, ...) \
	struct eno_map name __attribute__((section("eno_maps"), used)) = { __VA_ARGS__ }

#endif
