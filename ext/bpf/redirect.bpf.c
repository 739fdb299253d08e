/* Programs that know nothing of ENO, sent through a relay that does: nine programs,
 * attached to the programs' cgroups and to the relay's network namespace.
 *
 * ci/gen-bpf compiles this file into redirect_insns.h, which loader.c loads.
 */
#include "redirect_connect.bpf.h"
#include "redirect_hold.bpf.h"
#include "redirect_life.bpf.h"
#include "redirect_steer.bpf.h"

SEC("cgroup/connect4")
int eno_connect4(struct bpf_sock_addr *ctx)
{
	return eno_on_connect4(ctx);
}

SEC("cgroup/connect6")
int eno_connect6(struct bpf_sock_addr *ctx)
{
	return eno_on_connect6(ctx);
}

SEC("cgroup/getpeername4")
int eno_peername4(struct bpf_sock_addr *ctx)
{
	eno_tell4(ctx, eno_true_name(ctx, 1));
	return 1;
}

SEC("cgroup/getpeername6")
int eno_peername6(struct bpf_sock_addr *ctx)
{
	eno_tell6(ctx, eno_true_name(ctx, 1));
	return 1;
}

SEC("cgroup/getsockname4")
int eno_sockname4(struct bpf_sock_addr *ctx)
{
	eno_tell4(ctx, eno_true_name(ctx, 0));
	return 1;
}

SEC("cgroup/getsockname6")
int eno_sockname6(struct bpf_sock_addr *ctx)
{
	eno_tell6(ctx, eno_true_name(ctx, 0));
	return 1;
}

/* Every packet that the programs send passes here: only SYN_SENT goes further. */
SEC("cgroup_skb/egress")
int eno_hold(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk || sk->state != BPF_TCP_SYN_SENT)
		return ENO_PASS;
	return eno_on_syn(skb);
}

SEC("sockops")
int eno_redirect(struct bpf_sock_ops *ctx)
{
	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		eno_on_connecting(ctx);
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		eno_on_connected(ctx);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		eno_on_accepted(ctx);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		eno_on_listening(ctx);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		eno_on_state(ctx);
		break;
	}
	return 1;
}

SEC("sk_lookup")
int eno_steer(struct bpf_sk_lookup *ctx)
{
	return eno_on_lookup(ctx);
}

char _license[] SEC("license") = "Dual MIT/GPL";
