/* TCP_ENO_TEP_DATA: a row of struct eno_tep_data (ext/wire/eno_tep_data.h). */
#ifndef ENO_TEPDATA_BPF_H
#define ENO_TEPDATA_BPF_H

#include "value.bpf.h"

enum { ENO_TEP_DATA_ENTRY = sizeof(struct eno_tep_data) };

/* Is nothing behind the data?  On a little-endian host. */
static __always_inline int eno_tail_is_zero(const __u8 *data, __u32 len)
{
	const __u64 *words = (const __u64 *)data;

	if (len < 8)
		return !(words[0] >> len * 8 | words[1]);
	return len >= 16 || !(words[1] >> (len - 8) * 8);
}

static __always_inline int eno_host_is_valid(const struct eno_tep_data *d, int host)
{
	__u32 len = d->len[host];

	return len <= ENO_TEP_DATA_SENT_MAX && d->most[host] <= ENO_TEP_DATA_RECEIVED_MAX &&
	       len >= d->least[host] && len <= d->most[host] &&
	       eno_tail_is_zero(d->data[host], len);
}

/* tcpcrypt's data are resumption, and the kernel's own. */
static __always_inline int eno_entry_is_valid(const struct eno_tep_data *d)
{
	return d->tep >= ENO_TEP_MIN && d->tep <= ENO_GLT && !eno_is_tcpcrypt(d->tep) && !d->pad &&
	       eno_host_is_valid(d, ENO_HOST_A) && eno_host_is_valid(d, ENO_HOST_B);
}

/* The value's entry n to w->data; an error if it is not one. */
static __noinline int eno_read_entry(struct bpf_sockopt *ctx, struct eno_work *w, __u32 n)
{
	const struct eno_tep_data *value = ctx->optval;
	struct eno_tep_data *d;

	if (!w || n >= ENO_TEP_DATA_MAX)
		return -ENO_EINVAL;
	value += n;
	if ((void *)(value + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	d = &w->data.entry[n];
	*d = *value;
	if (!eno_entry_is_valid(d) || eno_place_of(&w->data, d->tep) != n)
		return -ENO_EINVAL;
	return 0;
}

/* A call that fails changes nothing: judged in w->data. [8547:4.4-1] */
static __noinline int eno_set_tep_data(struct bpf_sockopt *ctx, struct eno_socket *s)
{
	struct bpf_sock *sk = ctx->sk;
	__u32 len = ctx->optlen;
	struct eno_work *w;
	__u32 n;

	if (!s || !sk || len > ENO_TEP_DATA_MAX * ENO_TEP_DATA_ENTRY || len % ENO_TEP_DATA_ENTRY)
		return -ENO_EINVAL;
	w = eno_work_of(sk);
	if (!w)
		return -ENO_ENOMEM;
	__builtin_memset(&w->data, 0, sizeof(w->data));
#pragma unroll
	for (n = 0; n < ENO_TEP_DATA_MAX; n++)
		if (n < len / ENO_TEP_DATA_ENTRY && eno_read_entry(ctx, w, n))
			return -ENO_EINVAL;
	s->data = w->data;
	return 0;
}

#endif
