/* A socket option's value, in and out, and the errno where there is none.
 *
 * Values are copied in fixed sizes or byte by byte against optval_end, since
 * the verifier cannot follow a variable length.
 */
#ifndef ENO_VALUE_BPF_H
#define ENO_VALUE_BPF_H

#include <linux/in.h>

#include "active.bpf.h"

enum {
	ENO_EEXIST = 17,
	ENO_EINVAL = 22,
	ENO_ENOMEM = 12,
	ENO_ENOPROTOOPT = 92,
	ENO_EPROTONOSUPPORT = 93,
	ENO_EOPNOTSUPP = 95,
	ENO_EISCONN = 106,
	ENO_ENOTCONN = 107,
	ENO_SOCK_STREAM = 1,
	ENO_PAGE = 4096,
	ENO_TEPS_MAX = ENO_OPTION_MAX - ENO_HEADER_LEN - 1,
	ENO_SESSID_MIN = 33, /* RFC 8547 section 5.1 */
	/* linux/tcp.h; the last one is younger than the oldest headers we build with */
	ENO_TCP_FASTOPEN = 23,
	ENO_TCP_FASTOPEN_CONNECT = 30,
	ENO_TCP_FASTOPEN_NO_COOKIE = 34,
	ENO_TCP_BPF_SOCK_OPS_CB_FLAGS = 1008,
};

static __always_inline int eno_is_tcp(struct bpf_sock *sk)
{
	return sk && sk->protocol == IPPROTO_TCP && sk->type == ENO_SOCK_STREAM;
}

static __always_inline struct eno_socket *eno_create(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&eno_sockets, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
}

/* The value's first bytes, to a zeroed array; how many there are.  The buffer
 * may be longer than the value: the kernel rounds small ones up to 16 bytes. */
/* clang-format off */
#define ENO_READ(ctx, out, max) ({					\
	const __u8 *value_ = (ctx)->optval, *end_ = (ctx)->optval_end;	\
	int len_ = (ctx)->optlen;					\
	__u32 n_ = 0;							\
	_Pragma("unroll")						\
	for (int i_ = 0; i_ < (max); i_++) {				\
		if (value_ + i_ + 1 > end_)				\
			break;						\
		(out)[i_] = i_ < len_ ? value_[i_] : 0;			\
		n_ = i_ + 1;						\
	}								\
	len_ < (int)n_ ? len_ : n_;					\
})
/* clang-format on */

static __always_inline int eno_read_int(struct bpf_sockopt *ctx, __u32 max, __u8 *out)
{
	__u32 *value = ctx->optval;

	if (ctx->optlen < (int)sizeof(*value) || (void *)(value + 1) > ctx->optval_end ||
	    *value > max)
		return -ENO_EINVAL;
	*out = *value;
	return 0;
}

static __always_inline int eno_give_int(struct bpf_sockopt *ctx, __u32 value)
{
	__u32 *out = ctx->optval;

	if ((void *)(out + 1) > ctx->optval_end)
		return -ENO_EINVAL;
	*out = value;
	ctx->optlen = sizeof(*out);
	return 0;
}

/* clang-format off */
#define ENO_GIVE(ctx, bytes, size, len) ({				\
	__u8 *out_ = (ctx)->optval;					\
	int err_ = -ENO_EINVAL;						\
	if (out_ + (size) <= (__u8 *)(ctx)->optval_end) {		\
		__builtin_memcpy(out_, bytes, size);			\
		(ctx)->optlen = (len);					\
		err_ = 0;						\
	}								\
	err_;								\
})
/* clang-format on */

#endif
