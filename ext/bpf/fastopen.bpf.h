/* Data in SYN segments (RFC 8547 section 4.7): hosts that implement ENO discard
 * what a SYN+ENO segment carries, "even when ENO has been disabled by configuration". [8547:4.7-7]
 *
 * Linux does so by itself, acknowledging the SYN alone, save where TCP Fast Open
 * [8547:4.7-5, 4.7-8, 4.7-9, 4.7-11, 4.7-13, 4.7-14, 4.7-16]
 * takes the data.  Nothing can stop it then but dropping the segment, which makes
 * the sender retransmit a plain SYN.  May Fast Open take it? [8547:4.7-10]
 *
 *	no		TCP_FASTOPEN was set to 0 after listen()
 *	yes		TCP_FASTOPEN or TCP_FASTOPEN_NO_COOKIE is set; or
 *			net.ipv4.tcp_fastopen of some network namespace enables it for
 *			all listeners (eno_fast_open: found by 'pyeno attach', or seen
 *			when it was written)
 *	yes		the segment carries a cookie, should the above be mistaken
 */
#ifndef ENO_FASTOPEN_BPF_H
#define ENO_FASTOPEN_BPF_H

#include "maps.bpf.h"

enum {
	TCP_KIND_FAST_OPEN = 34,
	TCP_KIND_EXPERIMENT = 254, /* RFC 6994 */
	ENO_FAST_OPEN_MAGIC = 0xf989,
	/* net.ipv4.tcp_fastopen: passive opens, and without TCP_FASTOPEN */
	ENO_FAST_OPEN_ALL = 0x402,
};

/* eno_socket.fast_open: the socket options that are set, and that it is known to be off */
enum {
	ENO_FAST_OPEN_LISTEN = 1,
	ENO_FAST_OPEN_CONNECT = 2,
	ENO_FAST_OPEN_NO_COOKIE = 4,
	ENO_FAST_OPEN_ON = 7,
	ENO_FAST_OPEN_OFF = 8,
};

static __always_inline void eno_note_fast_open(struct eno_socket *s, __u8 bit, __u32 on)
{
	s->fast_open = on ? s->fast_open | bit : s->fast_open & ~bit;
}

struct eno_kinds {
	struct eno_work *work;
	__u8 at, eno, cookie;
};

/* Kind 34, or the experiment that came before it: is there a cookie? */
static __always_inline int eno_is_cookie(const struct eno_work *w, __u32 at, __u8 kind, __u8 size)
{
	if (kind == TCP_KIND_FAST_OPEN)
		return size > ENO_HEADER_LEN;
	return kind == TCP_KIND_EXPERIMENT && size > 4 &&
	       w->options[at + 2] == ENO_FAST_OPEN_MAGIC >> 8 &&
	       w->options[at + 3] == (ENO_FAST_OPEN_MAGIC & 0xff);
}

static long eno_kind_one(__u32 i, struct eno_kinds *k)
{
	struct eno_work *w = k->work;
	__u32 at = k->at;
	__u8 kind, size;

	if (at >= w->options_len || at >= ENO_OPTION_MAX || w->options[at] == TCP_KIND_EOL)
		return 1;
	kind = w->options[at];
	size = kind == TCP_KIND_NOP ? 1 : w->options[at + 1];
	if (!size)
		return 1;
	k->eno |= kind == ENO_KIND;
	k->cookie |= eno_is_cookie(w, at, kind, size);
	k->at = at + size;
	return 0;
}

static __always_inline int eno_fast_open_everywhere(void)
{
	__u32 zero = 0, *on = bpf_map_lookup_elem(&eno_fast_open, &zero);

	return !on || *on;
}

/* Might this listener's TCP take the data of the SYN in w, and is it a SYN+ENO? */
static __always_inline int eno_fast_opens(const struct eno_socket *s, struct eno_work *w)
{
	struct eno_kinds k = { .work = w };
	__u8 known = s ? s->fast_open : 0;

	if (known & ENO_FAST_OPEN_OFF)
		return 0;
	bpf_loop(ENO_OPTION_MAX, eno_kind_one, &k, 0);
	/* [8547:4.7-6, 4.7-12] */
	return k.eno && (k.cookie || known & ENO_FAST_OPEN_ON || eno_fast_open_everywhere());
}

/* The active opener's half: "a SYN+ENO segment MUST NOT include a non-empty TCP Fast
 * Open (TFO) option".  Linux has written its own options by now; MSG_FASTOPEN's SYN
 * goes without ENO even if it only asks for a cookie, for its data follows at once. [8547:4.7-4] */
static __always_inline int eno_opens_fast(struct bpf_sock_ops *ctx)
{
	__u8 option[ENO_OPTION_MAX] = { TCP_KIND_FAST_OPEN };

	if (bpf_load_hdr_opt(ctx, option, sizeof(option), 0) > 0)
		return 1;
	__builtin_memset(option, 0, sizeof(option));
	option[0] = TCP_KIND_EXPERIMENT;
	option[1] = 4;
	option[2] = ENO_FAST_OPEN_MAGIC >> 8;
	option[3] = ENO_FAST_OPEN_MAGIC & 0xff;
	return bpf_load_hdr_opt(ctx, option, sizeof(option), 0) > 0;
}

/* net.ipv4.tcp_fastopen is being written, in whatever network namespace. */
static __always_inline int eno_is_fast_open_sysctl(struct bpf_sysctl *ctx)
{
	static const char wanted[] = "net/ipv4/tcp_fastopen";
	char name[sizeof(wanted)] = {};
	__u32 i;

	if (!ctx->write || bpf_sysctl_get_name(ctx, name, sizeof(name), 0) != sizeof(wanted) - 1)
		return 0;
#pragma unroll
	for (i = 0; i < sizeof(wanted); i++)
		if (name[i] != wanted[i])
			return 0;
	return 1;
}

static __always_inline void eno_on_sysctl(struct bpf_sysctl *ctx)
{
	__u32 zero = 0, *on = bpf_map_lookup_elem(&eno_fast_open, &zero);
	char text[16] = {};
	unsigned long value = 0;
	long len;

	if (!on || !eno_is_fast_open_sysctl(ctx))
		return;
	len = bpf_sysctl_get_new_value(ctx, text, sizeof(text));
	if (len <= 0 || bpf_strtoul(text, sizeof(text), 0, &value) <= 0 ||
	    (value & ENO_FAST_OPEN_ALL) == ENO_FAST_OPEN_ALL)
		*on = 1;
}

#endif
