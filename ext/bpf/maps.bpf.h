/* What the BPF programs remember, and for how long.
 *
 * eno_sockets   sk_storage: a configured socket's settings and outcome; a
 *               listener's settings are cloned into each accepted socket
 * eno_work      sk_storage: room to negotiate in, while the socket is locked;
 *               from its configuration until it is connected
 * eno_scratch   per CPU: the same room for the ingress program, which runs in
 *               softirq context, where nothing can interleave
 * eno_slot      per CPU: from the ingress program that judged a SYN to the
 *               SYN-ACK callback that answers it a moment later
 * eno_requests  by socket cookie: one entry per half-open connection, so that
 *               retransmitted SYN-ACKs carry the same bytes
 * eno_flows     by addresses, ports and initial sequence number: the cookie of
 *               that half-open connection, to recognise a retransmitted SYN
 * eno_policy    array of one: what the host negotiates, written by 'pyeno attach'
 * eno_fast_open array of one: not 0 if TCP Fast Open may be on for all listeners
 *
 * eno_requests and eno_flows are LRU: only requests the kernel itself holds get an entry,
 * since a SYN answered by a SYN cookie leaves no trace here either.
 */
#ifndef ENO_MAPS_BPF_H
#define ENO_MAPS_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ENO_INLINE static __always_inline
#define ENO_KEEP(value) asm volatile("" : "+r"(value))
#include "eno_abi.h"
#include "eno_negotiate.h"

enum { ENO_REQUESTS_MAX = 16384 };

/* Options are copied and compared in whole words: unused bytes are zero. */
struct eno_bytes {
	__u8 at[ENO_OPTION_MAX];
} __attribute__((aligned(8)));

struct eno_socket {
	/* settings */
	__u8 enabled, self_aware, role_b, fast_open;
	__u8 teps_len, raw_len, permitted_len;
	/* the connection */
	__u8 state, reason, crossed;
	__u8 syns; /* SYN-only segments sent with ENO */
	__u8 local_len, remote_len, transcript_len, sessid_len;
	struct eno_outcome outcome;
	struct eno_bytes teps, raw, permitted, local, remote;
	__u64 tep_set[2], raw_set[2]; /* the TEPs of .teps and .raw: bit n for identifier n */
	__u8 transcript[ENO_TRANSCRIPT_MAX] __attribute__((aligned(8))); /* once encrypted */
	__u8 sessid[ENO_SESSID_MAX] __attribute__((aligned(8)));
};

struct eno_work {
	struct eno_syn local, remote;
	struct eno_search search;
	struct eno_outcome outcome;
	__u8 options_len, chosen;
	__u8 options[2 * ENO_OPTION_MAX] __attribute__((aligned(8)));
};

struct eno_flow {
	__u32 local[4], remote[4]; /* network order, IPv4 mapped (RFC 4291 section 2.5.5.2) */
	__u8 head[8];		   /* the SYN's first bytes: ports, sequence number */
} __attribute__((aligned(8)));

struct eno_request {
	struct eno_flow flow;
	struct eno_bytes answer, remote;
	struct eno_outcome outcome;
	__u8 answer_len; /* 0: no ENO option in the SYN-ACK */
	__u8 remote_len;
	__u8 pad;
};

struct eno_map {
	__u32 type, key_size, value_size, max_entries, flags;
};

#define ENO_MAP(name, ...) \
	struct eno_map name __attribute__((section("eno_maps"), used)) = { __VA_ARGS__ }

ENO_MAP(eno_sockets, BPF_MAP_TYPE_SK_STORAGE, sizeof(int), sizeof(struct eno_socket), 0,
	BPF_F_NO_PREALLOC | BPF_F_CLONE);
ENO_MAP(eno_work, BPF_MAP_TYPE_SK_STORAGE, sizeof(int), sizeof(struct eno_work), 0,
	BPF_F_NO_PREALLOC);
ENO_MAP(eno_scratch, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct eno_work), 1, 0);
ENO_MAP(eno_slot, BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct eno_request), 1, 0);
ENO_MAP(eno_requests, BPF_MAP_TYPE_LRU_HASH, sizeof(__u64), sizeof(struct eno_request),
	ENO_REQUESTS_MAX, 0);
ENO_MAP(eno_flows, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_flow), sizeof(__u64), ENO_REQUESTS_MAX,
	0);
ENO_MAP(eno_policy, BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct eno_policy), 1, 0);
ENO_MAP(eno_fast_open, BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(__u32), 1, 0);

static __always_inline int eno_same(const struct eno_bytes *a, const struct eno_bytes *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]));
}

static __always_inline void eno_disable(struct eno_socket *s, __u8 reason)
{
	s->state = ENO_STATE_DISABLED;
	s->reason = reason;
}

/* Section 4.8: A's option, then B's, exactly as sent. [8547:4.8-3, 4.8-4, 4.8-5] */
static __always_inline void eno_transcribe(struct eno_socket *s)
{
	__u32 len = s->outcome.local_b ? s->remote_len : s->local_len;

	if (len > ENO_OPTION_MAX)
		return;
	if (s->outcome.local_b) {
		__builtin_memcpy(s->transcript, s->remote.at, ENO_OPTION_MAX);
		__builtin_memcpy(s->transcript + len, s->local.at, ENO_OPTION_MAX);
	} else {
		__builtin_memcpy(s->transcript, s->local.at, ENO_OPTION_MAX);
		__builtin_memcpy(s->transcript + len, s->remote.at, ENO_OPTION_MAX);
	}
	s->transcript_len = s->local_len + s->remote_len;
}

/* Section 4.6: encryption is enabled, or the reason why it is not. */
static __always_inline void eno_conclude(struct eno_socket *s, __u8 reason)
{
	if (reason) {
		eno_disable(s, reason);
		return;
	}
	eno_transcribe(s);
	s->reason = ENO_NEGOTIATED;
	s->state = ENO_STATE_ENCRYPTED;
}

#endif
