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
 * eno_sessions  by scope, TEP and the half the peer would send: secrets for
 *               later connections, each used once (session.bpf.h)
 * eno_peers     by scope, peer's address and slot: which of them an active
 *               opener may propose to that peer
 *
 * The hashes are LRU: only requests the kernel itself holds get an entry,
 * since a SYN answered by a SYN cookie leaves no trace here either.
 */
#ifndef ENO_MAPS_BPF_H
#define ENO_MAPS_BPF_H

#include "map.bpf.h"
#include "eno_abi.h"
#include "eno_negotiate.h"

enum { ENO_REQUESTS_MAX = 16384, ENO_SESSIONS_MAX = 16384 };

/* Options are copied and compared in whole words: unused bytes are zero. */
struct eno_bytes {
	__u8 at[ENO_OPTION_MAX];
} __attribute__((aligned(8)));

/* Whose sessions: never seen from another network namespace, by another user
 * or under another token. */
struct eno_scope {
	__u64 netns;
	__u8 token[ENO_TOKEN_LEN];
	__u32 uid, pad;
};

struct eno_session_key {
	struct eno_scope scope;
	__u8 tep;			 /* 0: no session */
	__u8 half[TCPCRYPT_RESUME_HALF]; /* the peer's */
	__u8 pad[6];
};

struct eno_session {
	__u32 claimed; /* exchanged for 1 by the one connection that may use it */
	__u16 tag;
	__u8 original_b;
	__u8 tep;      /* 0: nothing, all of this is zero */
	__u64 expires; /* ns of bpf_ktime_get_boot_ns() */
	__u8 nonce[TCPCRYPT_NONCE_MAX];
	__u8 ss[ENO_SECRET_LEN];
	__u8 local[TCPCRYPT_RESUME_HALF], remote[TCPCRYPT_RESUME_HALF];
	__u8 pad[6];
} __attribute__((aligned(8)));

struct eno_peer_key {
	struct eno_scope scope;
	__u32 address[4]; /* as in struct eno_flow */
	__u32 slot, pad;
};

struct eno_peer {
	__u64 made; /* ns of bpf_ktime_get_boot_ns() */
	__u32 port; /* network order; 0: any */
	__u8 tep;
	__u8 half[TCPCRYPT_RESUME_HALF];
	__u8 pad[2];
};

struct eno_settings {
	__u8 self_aware, role_b, teps_len, raw_len;
	__u8 scoped;	/* TCP_ENO_CONFIG version 2 */
	__u8 nonce_len; /* ENO_NO_RESUMPTION where not scoped */
	__u8 pad[2];
	struct eno_scope scope;
	struct eno_bytes teps, raw;
	__u64 tep_set[2], raw_set[2]; /* the TEPs of both: bit n for identifier n */
} __attribute__((aligned(8)));

struct eno_socket {
	struct eno_settings want;
	__u8 enabled, fast_open, permitted_len;
	/* the connection */
	__u8 state, reason, crossed;
	__u8 syns;    /* SYN-only segments sent with ENO */
	__u8 acked;   /* a non-SYN segment was */
	__u8 active;  /* it opened actively */
	__u8 offered; /* a SYN has left: its option is fixed */
	__u8 spare;   /* bytes the nonce may lose before that */
	__u8 original_b;
	__u16 tag; /* both of the session resumed */
	__u8 local_len, remote_len, transcript_len, sessid_len;
	struct eno_outcome outcome;
	struct eno_bytes permitted, local, remote;
	struct eno_session session; /* proposed, or agreed on and not taken yet */
	struct eno_session_key put; /* what this connection put */
	__u8 transcript[ENO_TRANSCRIPT_MAX] __attribute__((aligned(8))); /* once encrypted */
	__u8 sessid[ENO_SESSID_MAX] __attribute__((aligned(8)));
};

struct eno_work {
	struct eno_syn local, remote;
	struct eno_search search;
	struct eno_outcome outcome;
	__u8 options_len, chosen;
	__u8 options[2 * ENO_OPTION_MAX] __attribute__((aligned(8)));
	struct eno_settings want; /* to become the socket's */
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
	__u8 nonce_len;
	struct eno_session_key proposed; /* by the SYN, not claimed yet */
	struct eno_session session;	 /* claimed for this connection */
};

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
ENO_MAP(eno_sessions, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_session_key),
	sizeof(struct eno_session), ENO_SESSIONS_MAX, 0);
ENO_MAP(eno_peers, BPF_MAP_TYPE_LRU_HASH, sizeof(struct eno_peer_key), sizeof(struct eno_peer),
	ENO_SESSIONS_MAX, 0);

static __always_inline int eno_same(const struct eno_bytes *a, const struct eno_bytes *b)
{
	const __u64 *x = (const __u64 *)a, *y = (const __u64 *)b;

	return !((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4]));
}

/* The secret, and whose it was. */
static __always_inline void eno_wipe(struct eno_session *session)
{
	__builtin_memset(session, 0, sizeof(*session));
	asm volatile("" : : "r"(session) : "memory"); /* or it were a dead store */
}

/* A secret that was proposed or agreed on is used, whatever became of it. */
static __always_inline void eno_disable(struct eno_socket *s, __u8 reason)
{
	eno_wipe(&s->session);
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
	if (!s->outcome.resumed)
		eno_wipe(&s->session);
	s->original_b = s->session.original_b;
	s->tag = s->session.tag;
	eno_transcribe(s);
	s->reason = ENO_NEGOTIATED;
	s->state = ENO_STATE_ENCRYPTED;
}

#endif
