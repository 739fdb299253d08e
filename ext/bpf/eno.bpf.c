/* The kernel half of TCP-ENO (RFC 8547): five programs attached to a cgroup.
 *
 * ci/gen-bpf compiles this file into eno_insns.h, which loader.c loads.
 */
#include "getsockopt.bpf.h"
#include "ingress.bpf.h"

SEC("cgroup_skb/ingress")
int eno_ingress(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk || !(1 << (sk->state & 31) & ENO_STATES))
		return ENO_PASS;
	return eno_on_handshake(skb);
}

static __always_inline void eno_on_header_len(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s;

	if (!ctx->sk) {
		eno_reserve_syn_ack(ctx);
		return;
	}
	s = eno_socket_of(ctx);
	if (s)
		eno_reserve(ctx, s);
}

static __always_inline void eno_on_header_write(struct bpf_sock_ops *ctx)
{
	struct eno_socket *s;

	if (!ctx->sk) {
		eno_write_syn_ack(ctx);
		return;
	}
	s = eno_socket_of(ctx);
	if (s)
		eno_write(ctx, s);
}

SEC("sockops")
int eno_sockops(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		eno_on_connect(ctx);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		eno_on_listen(ctx);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB:
		eno_on_header_len(ctx);
		break;
	case BPF_SOCK_OPS_WRITE_HDR_OPT_CB:
		eno_on_header_write(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		eno_on_active_established(ctx);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		eno_on_passive_established(ctx);
		break;
	case BPF_SOCK_OPS_PARSE_HDR_OPT_CB:
		eno_on_segment(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		eno_on_state(ctx);
		break;
	}
	return 1;
}

SEC("cgroup/setsockopt")
int eno_setsockopt(struct bpf_sockopt *ctx)
{
	int err;

	if (eno_is_fast_open(ctx)) {
		err = eno_on_fast_open(ctx);
		if (!err)
			return 1;
	} else if (eno_is_ours(ctx)) {
		err = eno_set(ctx);
		ctx->optlen = -1;
		if (!err)
			return 1;
	} else {
		return eno_pass(ctx);
	}
	bpf_set_retval(err);
	return 0;
}

SEC("cgroup/getsockopt")
int eno_getsockopt(struct bpf_sockopt *ctx)
{
	int err;

	if (!eno_is_ours(ctx))
		return eno_pass(ctx);
	err = eno_get(ctx);
	bpf_set_retval(err);
	return !err;
}

SEC("cgroup/sysctl")
int eno_sysctl(struct bpf_sysctl *ctx)
{
	eno_on_sysctl(ctx);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";
