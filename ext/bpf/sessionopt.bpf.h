/* TCP_ENO_SESSION_PUT, _TAKE and _FLUSH: user space fills the session cache,
 * fetches the secret a connection resumes with, and empties the cache.
 */
#ifndef ENO_SESSIONOPT_BPF_H
#define ENO_SESSIONOPT_BPF_H

#include "value.bpf.h"

struct eno_slotting {
	struct eno_peer_key key;
	__u64 oldest;
	__u32 slot;
	__u32 pad;
};

/* A slot that names no session any more, else the oldest. */
static long eno_slot_one(__u32 i, struct eno_slotting *t)
{
	struct eno_session_key name = {};
	struct eno_peer *peer;

	t->key.slot = i;
	peer = bpf_map_lookup_elem(&eno_peers, &t->key);
	if (peer)
		eno_name(&name, &t->key, peer);
	if (!peer || !eno_present(&name)) {
		t->slot = i;
		return 1;
	}
	if (peer->made < t->oldest) {
		t->oldest = peer->made;
		t->slot = i;
	}
	return 0;
}

/* Let an active opener to this socket's peer find the session. */
static __noinline int eno_index_session(struct eno_socket *s, struct bpf_sock *sk)
{
	struct eno_slotting t = { .oldest = ~0ULL };
	struct eno_peer peer = {};

	if (!s || !sk)
		return 0;
	eno_peer_of(sk, &s->want, &t.key);
	bpf_loop(ENO_PEER_SLOTS, eno_slot_one, &t, 0);
	peer.made = bpf_ktime_get_boot_ns();
	peer.port = s->active ? sk->dst_port : 0;
	peer.tep = s->put.tep;
	__builtin_memcpy(peer.half, s->put.half, sizeof(peer.half));
	t.key.slot = t.slot;
	return bpf_map_update_elem(&eno_peers, &t.key, &peer, BPF_ANY);
}

static __always_inline int eno_any_set(const __u8 *at, __u32 len)
{
	__u8 pad = 0;
	__u32 i;

#pragma unroll
	for (i = 0; i < len; i++)
		pad |= at[i];
	return pad != 0;
}

static __always_inline int eno_is_entry(const struct eno_session_entry *entry,
					const struct eno_socket *s)
{
	return !eno_any_set(entry->pad, sizeof(entry->pad)) && entry->original_b <= 1 &&
	       entry->lifetime_s && eno_is_tcpcrypt(entry->tep) &&
	       entry->tep == (s->outcome.tep_byte & ENO_GLT);
}

/* Which half this host sends depends on its original role (figures 2 and 3).
 * [8548:3.5-6, 3.5-8] */
static __always_inline void eno_enter(const struct eno_session_entry *entry,
				      struct eno_session *session)
{
	const __u8 *second = entry->id + TCPCRYPT_RESUME_HALF;

	session->tag = entry->tag;
	session->original_b = entry->original_b;
	session->tep = entry->tep;
	session->expires = bpf_ktime_get_boot_ns() + entry->lifetime_s * 1000000000ULL;
	__builtin_memcpy(session->nonce, entry->nonce, sizeof(session->nonce));
	__builtin_memcpy(session->ss, entry->ss, sizeof(session->ss));
	if (entry->original_b) {
		__builtin_memcpy(session->local, second, sizeof(session->local));
		__builtin_memcpy(session->remote, entry->id, sizeof(session->remote));
	} else {
		__builtin_memcpy(session->local, entry->id, sizeof(session->local));
		__builtin_memcpy(session->remote, second, sizeof(session->remote));
	}
}

/* entry lies in the option's value. */
static __noinline int eno_put_entry(struct eno_session_entry *entry, struct eno_socket *s,
				    struct bpf_sock *sk)
{
	struct eno_session_key key = {};
	struct eno_session session = {};
	int err;

	if (!s || !sk || s->state != ENO_STATE_ENCRYPTED || !s->want.scoped)
		return -ENO_ENOTCONN;
	if (!eno_is_entry(entry, s))
		return -ENO_EINVAL;
	if (s->put.tep)
		return -ENO_EEXIST;
	eno_enter(entry, &session);
	__builtin_memset(entry->ss, 0, sizeof(entry->ss));
	key.scope = s->want.scope;
	key.tep = session.tep;
	__builtin_memcpy(key.half, session.remote, sizeof(key.half));
	err = bpf_map_update_elem(&eno_sessions, &key, &session, BPF_NOEXIST);
	eno_wipe(&session);
	if (err)
		return err == -ENO_EEXIST ? err : -ENO_ENOMEM;
	s->put = key;
	eno_index_session(s, sk);
	return 0;
}

static __noinline int eno_put_session(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct eno_session_entry *entry = ctx->optval;

	if (ctx->optlen != sizeof(*entry) || (void *)(entry + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	return eno_put_entry(entry, s, ctx->sk);
}

/* TCP_ENO_ESTABLISHED: both or neither. */
static __noinline int eno_establish(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct eno_established *e = ctx->optval;
	int err;

	if (!s || s->state != ENO_STATE_ENCRYPTED)
		return -ENO_ENOTCONN;
	if (ctx->optlen != sizeof(*e) || (void *)(e + 1) > ctx->optval_end ||
	    eno_any_set(e->pad, sizeof(e->pad)) || e->sessid_len < ENO_SESSID_MIN ||
	    e->sessid_len > ENO_SESSID_MAX)
		return -ENO_EINVAL;
	if (s->sessid_len)
		return -ENO_EEXIST;
	err = eno_put_entry(&e->next, s, ctx->sk);
	if (err)
		return err;
	__builtin_memcpy(s->sessid, e->sessid, sizeof(s->sessid));
	s->sessid_len = e->sessid_len;
	return 0;
}

static __always_inline int eno_take_secret(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	int err;

	if (!s->session.tep || !s->outcome.resumed)
		return -ENO_ENOTCONN;
	err = ENO_GIVE(ctx, s->session.ss, ENO_SECRET_LEN, ENO_SECRET_LEN);
	if (!err)
		eno_wipe(&s->session);
	return err;
}

struct eno_flushing {
	struct eno_scope scope;
	__u32 any_token, pad;
};

static __always_inline int eno_is_flushed(const struct eno_flushing *f,
					  const struct eno_scope *scope)
{
	return scope->netns == f->scope.netns && scope->uid == f->scope.uid &&
	       (f->any_token || *(const __u64 *)scope->token == *(const __u64 *)f->scope.token);
}

static long eno_flush_session(const void *map, const struct eno_session_key *key,
			      struct eno_session *session, struct eno_flushing *f)
{
	if (eno_is_flushed(f, &key->scope) && eno_seize(session))
		eno_drop(key, session);
	return 0;
}

static long eno_flush_peer(const void *map, const struct eno_peer_key *key, struct eno_peer *peer,
			   struct eno_flushing *f)
{
	if (eno_is_flushed(f, &key->scope))
		bpf_map_delete_elem(&eno_peers, key);
	return 0;
}

/* [8548:3.5-39] */
static __noinline int eno_flush_put(struct eno_socket *s)
{
	struct eno_session *session;

	if (!s || !s->put.tep)
		return 0;
	session = bpf_map_lookup_elem(&eno_sessions, &s->put);
	if (session && eno_is_named(session, &s->put) && eno_seize(session))
		eno_drop(&s->put, session);
	return 0;
}

static __noinline int eno_flush_sessions(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct eno_flushing f = {};
	__u8 what = 0;
	int err;

	if (!s)
		return -ENO_ENOMEM;
	err = eno_read_int(ctx, ENO_FLUSH_USER, &what);
	if (err)
		return err;
	if (what == ENO_FLUSH_CONNECTION)
		return eno_flush_put(s);
	if (what == ENO_FLUSH_SCOPE && !s->want.scoped)
		return -ENO_ENOTCONN;
	f.scope = s->want.scope;
	f.any_token = what == ENO_FLUSH_USER;
	if (!s->want.scoped) {
		f.scope.netns = bpf_get_netns_cookie(ctx);
		f.scope.uid = bpf_get_current_uid_gid();
	}
	bpf_for_each_map_elem(&eno_sessions, eno_flush_session, &f, 0);
	bpf_for_each_map_elem(&eno_peers, eno_flush_peer, &f, 0);
	return 0;
}

#endif
