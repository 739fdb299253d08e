/* The session cache (RFC 8548 section 3.5): finding a secret and claiming it.
 *
 *	eno_put_session()   TCP_ENO_SESSION_PUT (sessionopt.bpf.h)
 *	eno_take_session()  an active opener's, for the peer it connects to
 *	eno_find_session()  is one of the SYN's proposals in a listener's scope?
 *	eno_claim()         the only way out of the cache
 *
 * A secret "MUST NOT be used to secure more than one TCP connection": who is
 * first to exchange `claimed` copies it, zeroes it in place and deletes the
 * entry.  Whatever becomes of that connection, nobody meets the secret again.
 * [8548:3.5-28]
 */
#ifndef ENO_SESSION_BPF_H
#define ENO_SESSION_BPF_H

#include <bpf/bpf_endian.h>

#include "walk.bpf.h"

enum {
	ENO_AF_INET = 2,
	ENO_PEER_SLOTS = 16,
	ENO_NONCE_LEAST = 4, /* what option space may shorten a longer one to */
	ENO_SUBOPTION_LEAST = 1 + TCPCRYPT_RESUME_HALF,
};

static __always_inline int eno_resumes(const struct eno_settings *want)
{
	return want->scoped && want->nonce_len <= TCPCRYPT_NONCE_MAX && !want->raw_len;
}

static __always_inline int eno_negotiates(const struct eno_socket *s, __u8 tep)
{
	return eno_bit(s->want.tep_set, eno_glt(tep)) && eno_permits_tep(tep);
}

/* An LRU element may be given to another key between look-up and use. */
static __always_inline int eno_is_named(const struct eno_session *session,
					const struct eno_session_key *key)
{
	__u8 different = session->tep ^ key->tep;
	int i;

#pragma unroll
	for (i = 0; i < TCPCRYPT_RESUME_HALF; i++)
		different |= session->remote[i] ^ key->half[i];
	return !different;
}

static __always_inline int eno_expired(const struct eno_session *session)
{
	return session->expires <= bpf_ktime_get_boot_ns();
}

static __always_inline int eno_seize(struct eno_session *session)
{
	return !__sync_lock_test_and_set(&session->claimed, 1);
}

/* By who seized it. */
static __always_inline void eno_drop(const struct eno_session_key *key, struct eno_session *session)
{
	__builtin_memset(session->ss, 0, sizeof(session->ss));
	bpf_map_delete_elem(&eno_sessions, key);
}

/* The named session into *out, and out of the cache; 0: absent, expired, or
 * another connection's. [8548:3.5-27, 3.5-30, 3.5-31] */
static __noinline int eno_claim(const struct eno_session_key *key, struct eno_session *out)
{
	struct eno_session *session;

	if (!key || !out)
		return 0;
	session = bpf_map_lookup_elem(&eno_sessions, key);
	if (!session || !eno_seize(session))
		return 0;
	if (!eno_is_named(session, key)) {
		session->claimed = 0;
		return 0;
	}
	*out = *session;
	eno_drop(key, session);
	if (eno_expired(out))
		eno_wipe(out);
	return out->tep;
}

/* Is it there to be claimed?  An expired one is removed. */
static __noinline int eno_present(const struct eno_session_key *key)
{
	struct eno_session *session;

	if (!key)
		return 0;
	session = bpf_map_lookup_elem(&eno_sessions, key);
	if (!session || session->claimed)
		return 0;
	if (!eno_expired(session))
		return 1;
	if (eno_seize(session))
		eno_drop(key, session);
	return 0;
}

static __always_inline void eno_name(struct eno_session_key *key, const struct eno_peer_key *scoped,
				     const struct eno_peer *peer)
{
	key->scope = scoped->scope;
	key->tep = peer->tep;
	__builtin_memcpy(key->half, peer->half, sizeof(key->half));
}

/* A field read now: the compiler may not merge two reads into one at an offset
 * that the verifier does not see. */
#define ENO_FIELD(sk, field)               \
	({                                 \
		__u32 read_ = (sk)->field; \
		ENO_KEEP(read_);           \
		read_;                     \
	})

static __always_inline void eno_peer_of(struct bpf_sock *sk, const struct eno_settings *want,
					struct eno_peer_key *key)
{
	__u32 ip4 = ENO_FIELD(sk, dst_ip4);

	key->scope = want->scope;
	key->address[0] = ENO_FIELD(sk, dst_ip6[0]);
	key->address[1] = ENO_FIELD(sk, dst_ip6[1]);
	key->address[2] = ENO_FIELD(sk, dst_ip6[2]);
	key->address[3] = ENO_FIELD(sk, dst_ip6[3]);
	if (sk->family == ENO_AF_INET) {
		key->address[0] = key->address[1] = 0;
		key->address[2] = bpf_htonl(0xffff);
		key->address[3] = ip4;
	}
}

/* Random bytes of user space, and the time lest a cloned virtual machine
 * repeat them; only the first len bytes are kept. [8548:3.5-2] */
static __always_inline __u64 eno_nonce(const struct eno_session *session, __u32 len)
{
	__u64 nonce = *(const __u64 *)session->nonce ^ bpf_ktime_get_ns();

	return len ? nonce & ~0ULL >> ((8 - len) * 8 & 63) : 0;
}

struct eno_taking {
	struct eno_socket *socket;
	struct eno_peer_key key;
	__u32 port;
	__u32 taken;
};

static long eno_take_one(__u32 i, struct eno_taking *t)
{
	struct eno_session_key name = {};
	struct eno_socket *s = t->socket;
	struct eno_peer *peer;

	t->key.slot = i;
	peer = bpf_map_lookup_elem(&eno_peers, &t->key);
	if (!peer || peer->port != t->port || !eno_negotiates(s, peer->tep))
		return 0;
	eno_name(&name, &t->key, peer);
	t->taken = eno_claim(&name, &s->session);
	bpf_map_delete_elem(&eno_peers, &t->key);
	return t->taken != 0;
}

/* The one session to propose to the socket's peer, into s->session: one that
 * was made with the same port, else one whose peer opened it.  Its chain has no
 * other entry, so its i is the lowest unused. [8548:3.5-29, 3.5-33] */
static __noinline int eno_take_session(struct eno_socket *s, struct bpf_sock *sk)
{
	struct eno_taking t = { .socket = s };

	if (!s || !sk)
		return 0;
	eno_peer_of(sk, &s->want, &t.key);
	t.port = sk->dst_port;
	bpf_loop(ENO_PEER_SLOTS, eno_take_one, &t, 0);
	if (!t.taken) {
		t.port = 0;
		bpf_loop(ENO_PEER_SLOTS, eno_take_one, &t, 0);
	}
	return t.taken != 0;
}

struct eno_finding {
	struct eno_work *work;
	const struct eno_socket *socket;
	struct eno_session_key key;
	__u32 found;
};

/* From our highest priority down: may this TEP be resumed? [8548:3.5-11] */
static long eno_find_one(__u32 i, struct eno_finding *f)
{
	const struct eno_socket *s = f->socket;
	const struct eno_suboption *a;
	struct eno_work *w = f->work;
	__u32 place = s->want.teps_len - 1 - i;
	__u32 at, j;

	if (place >= ENO_OPTION_MAX)
		return 1;
	f->key.tep = s->want.teps.at[place];
	if (!eno_permits_tep(f->key.tep))
		return 0;
	a = eno_find_tep(&w->remote, f->key.tep);
	if (!a || !eno_is_tcpcrypt(f->key.tep) || !eno_tcpcrypt_well_sized(a) ||
	    !eno_tcpcrypt_proposes(a))
		return 0;
	at = a->data_at;
	ENO_KEEP(at);
	if (at > ENO_OPTION_MAX - TCPCRYPT_RESUME_HALF)
		return 0;
#pragma unroll
	for (j = 0; j < TCPCRYPT_RESUME_HALF; j++)
		f->key.half[j] = w->remote.option[at + j];
	f->found = eno_present(&f->key);
	return f->found != 0;
}

static __always_inline void eno_find_session(const struct eno_socket *s, struct eno_work *w,
					     struct eno_session_key *found)
{
	struct eno_finding f = { .work = w, .socket = s };

	if (!eno_resumes(&s->want))
		return;
	f.key.scope = s->want.scope;
	bpf_loop(ENO_OPTION_MAX, eno_find_one, &f, 0);
	if (f.found)
		*found = f.key;
}

#endif
