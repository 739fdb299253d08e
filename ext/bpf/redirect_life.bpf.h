/* What happens to the programs' sockets: connections that stand or end, listeners. */
#ifndef ENO_REDIRECT_LIFE_BPF_H
#define ENO_REDIRECT_LIFE_BPF_H

#include "redirect_maps.bpf.h"

static __always_inline void eno_name_local(const struct bpf_sock_ops *ctx, struct eno_endpoint *e)
{
	ENO_READ_WORD(ip4, ctx->local_ip4);

	e->port = bpf_htons(ctx->local_port);
	if (ctx->family == ENO_AF_INET) {
		eno_set_ipv4(e, ip4);
		return;
	}
	ENO_READ_IPV6(e, ctx->local_ip6);
}

static __always_inline void eno_name_remote(const struct bpf_sock_ops *ctx, struct eno_endpoint *e)
{
	ENO_READ_WORD(ip4, ctx->remote_ip4);

	e->port = bpf_htons(bpf_ntohl(ctx->remote_port));
	if (ctx->family == ENO_AF_INET) {
		eno_set_ipv4(e, ip4);
		return;
	}
	ENO_READ_IPV6(e, ctx->remote_ip6);
}

static __always_inline void eno_watch_state(struct bpf_sock_ops *ctx)
{
	bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
}

static __always_inline struct eno_origin *eno_origin_of(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&eno_origins, sk, 0, 0) : 0;
}

static __always_inline void eno_on_connecting(struct bpf_sock_ops *ctx)
{
	if (eno_origin_of(ctx))
		eno_watch_state(ctx);
}

static __always_inline void eno_on_connected(struct bpf_sock_ops *ctx)
{
	struct eno_origin *origin = eno_origin_of(ctx);
	struct eno_endpoint source = {};
	const struct eno_verdict *verdict;

	if (!origin)
		return;
	eno_name_local(ctx, &source);
	verdict = bpf_map_lookup_elem(&eno_verdicts, &source);
	if (verdict && verdict->attempt == origin->attempt)
		origin->local = verdict->local;
}

/* A connection that the relay makes to a program's listener, for somebody. */
static __always_inline void eno_on_accepted(struct bpf_sock_ops *ctx)
{
	struct eno_endpoint from = {};
	const struct eno_endpoint *client;
	struct eno_origin *origin;
	struct bpf_sock *sk = ctx->sk;

	eno_name_remote(ctx, &from);
	client = bpf_map_lookup_elem(&eno_reached, &from);
	if (!client || !sk)
		return;
	origin = bpf_sk_storage_get(&eno_origins, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!origin)
		return;
	origin->remote = *client;
	origin->state = ENO_REACHED;
	bpf_map_delete_elem(&eno_reached, &from);
}

static __always_inline void eno_count(const struct eno_endpoint *where, int step)
{
	__u32 *count = bpf_map_lookup_elem(&eno_listeners, where);
	__u64 one = 1;

	if (!count) {
		if (step > 0)
			bpf_map_update_elem(&eno_listeners, where, &one, BPF_ANY);
	} else if (step < 0 && *count <= 1) {
		bpf_map_delete_elem(&eno_listeners, where);
	} else {
		__sync_fetch_and_add(count, step);
	}
}

/* An IPv6 socket bound to no address takes IPv4 too: IPV6_V6ONLY is not told here. */
static __always_inline void eno_count_listener(struct bpf_sock_ops *ctx, int step)
{
	const struct eno_rules *rules = eno_get_rules();
	struct eno_endpoint where = {};

	if (!rules || bpf_get_netns_cookie(ctx) != rules->netns)
		return;
	eno_name_local(ctx, &where);
	eno_count(&where, step);
	if (!where.address[0] && !where.address[1]) {
		eno_set_ipv4(&where, 0);
		eno_count(&where, step);
	}
}

static __always_inline void eno_on_listening(struct bpf_sock_ops *ctx)
{
	eno_count_listener(ctx, 1);
	eno_watch_state(ctx);
}

/* The verdict's error; 0: admitted, or none was given. */
static __always_inline __u32 eno_forget_verdict(const struct eno_event *event)
{
	const struct eno_verdict *verdict = bpf_map_lookup_elem(&eno_verdicts, &event->source);
	__u32 error;

	if (!verdict || verdict->attempt != event->attempt)
		return 0;
	error = verdict->error;
	bpf_map_delete_elem(&eno_verdicts, &event->source);
	return error;
}

static __always_inline void eno_on_closed(struct bpf_sock_ops *ctx, __u32 before)
{
	struct eno_event event = { .kind = ENO_EVENT_GONE };
	struct eno_origin *origin = eno_origin_of(ctx);

	if (!origin || origin->state == ENO_REACHED)
		return;
	eno_name_local(ctx, &event.source);
	event.attempt = origin->attempt;
	event.remote = origin->remote;
	/* The relay still waits for a socket that gave up. */
	if (!eno_forget_verdict(&event) && before == BPF_TCP_SYN_SENT)
		bpf_ringbuf_output(&eno_events, &event, sizeof(event), 0);
}

static __always_inline void eno_on_state(struct bpf_sock_ops *ctx)
{
	if (ctx->args[1] != BPF_TCP_CLOSE)
		return;
	if (ctx->args[0] == BPF_TCP_LISTEN)
		eno_count_listener(ctx, -1);
	else
		eno_on_closed(ctx, ctx->args[0]);
}

#endif
