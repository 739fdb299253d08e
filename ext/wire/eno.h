/* TCP-ENO's bytes (RFC 8547 section 4): constants, one option's walk.
 *
 * Includes nothing and allocates nothing, so that the BPF programs, the
 * Cython modules, fuzzers and proofs compile these very lines.  The walk is
 * written as steps over a fixed array: a BPF program drives it with
 * bpf_loop(), everybody else with eno_syn_parse().
 */
#ifndef ENO_H
#define ENO_H

#ifndef ENO_INLINE
#define ENO_INLINE static inline
#endif

/* BPF programs define it so that the compiler forgets what it knows of a
 * value: the verifier only knows what it sees compared or masked. */
#ifndef ENO_KEEP
#define ENO_KEEP(value) ((void)0)
#endif

typedef unsigned char eno_u8;

enum {
	/* RFC 8547 section 4.1, figure 1 [8547:11-4] */
	ENO_KIND = 69, /* [8547:11-2] */
	ENO_HEADER_LEN = 2,
	/* a TCP header holds at most 40 bytes of options (RFC 793) */
	ENO_OPTION_MAX = 40,
	ENO_SUBOPTION_MAX = ENO_OPTION_MAX - ENO_HEADER_LEN,
	/* section 4.1, figure 4 */
	ENO_V = 0x80,
	ENO_GLT = 0x7f,
	/* section 4.2, figure 5 */
	ENO_GLOBAL_B = 0x01,
	ENO_GLOBAL_A = 0x02,
	ENO_GLOBAL_Z = 0x1c, /* ignored [8547:4.2-10] */
	/* section 4.4, figure 6 */
	ENO_LENGTH_NNNNN = 0x1f,
	/* section 3: TEP identifiers are 0x20-0x7f */
	ENO_TEP_MIN = 0x20,
	/* other TCP options the walk has to know */
	TCP_KIND_EOL = 0,
	TCP_KIND_NOP = 1,
};

/* Why encryption is disabled; ENO_NEGOTIATED is the one success.
 * pyeno.constants.Reason mirrors this list and a test compares them. */
enum eno_reason {
	ENO_NEGOTIATED = 0,
	ENO_NOT_CONFIGURED = 1,		    /* ENO never enabled on this socket */
	ENO_UNAVAILABLE = 2,		    /* the host cannot send the option */
	ENO_SYN_WITHOUT_ENO = 3,	    /* 4.6 rule 1, passive opener */
	ENO_SYN_ACK_WITHOUT_ENO = 4,	    /* 4.6 rule 1, active opener */
	ENO_ACK_WITHOUT_ENO = 5,	    /* 4.6 rule 1, first ACK segment */
	ENO_REPEATED_OPTION = 6,	    /* 4.1: more than one in a SYN */
	ENO_LENGTH_BEYOND_END = 7,	    /* 4.4 rule 1 */
	ENO_LENGTH_BYTE_NOT_BEFORE_TEP = 8, /* 4.4 rule 2 */
	ENO_SAME_ROLE = 9,		    /* 4.6 rule 3: equal b bits */
	ENO_PEER_NOT_AWARE = 10,	    /* 4.6 rule 3: mandatory mode */
	ENO_VACUOUS = 11,		    /* 4.6: no TEP suboption at all */
	ENO_NO_VALID_TEP = 12,		    /* 4.6 rule 2 */
	ENO_SYN_COOKIE = 13,		    /* answered without state */
	ENO_SYN_CHANGED = 14,		    /* a retransmitted SYN lost or altered it */
	ENO_NO_ROOM = 15,		    /* 40 bytes of options are full */
	ENO_MALFORMED = 16,		    /* kind or length byte impossible */
	ENO_FORGOTTEN = 17,		    /* the peer encrypts, what was agreed is lost */
	ENO_HOST_POLICY = 18,		    /* the administrator forbids it here */
	ENO_NO_ENTROPY = 19,		    /* 10: the random generator is not ready */
	ENO_FAST_OPEN = 20,		    /* 4.7: the SYN uses TCP Fast Open */
	ENO_NO_ANSWER = 21,		    /* 4.6: SYNs with ENO went unanswered */
	ENO_REASON_COUNT
};

/* Section 4.4: one TEP suboption of a SYN-form option. */
struct eno_suboption {
	eno_u8 tep_byte;    /* v and glt as sent */
	eno_u8 data_at;	    /* index into the option */
	eno_u8 data_len;    /* 0 when v = 0; may be 0 when v = 1 */
	eno_u8 length_byte; /* 1 if a length byte introduced it */
};

enum { ENO_ABSENT = 0, ENO_REPEATED = 0xff };

/* One SYN-form ENO option taken apart.  Aligned so that a BPF program, where
 * a copy is made of single loads and stores, copies words. */
struct eno_syn {
	eno_u8 option[ENO_OPTION_MAX] __attribute__((aligned(8))); /* kind and length included */
	eno_u8 len;
	eno_u8 at;		/* the walk's cursor */
	eno_u8 reason;		/* enum eno_reason: why it is ill-formed */
	eno_u8 global;		/* section 4.2: the first one counts [8547:4.2-11] */
	eno_u8 explicit_global; /* how many were sent */
	eno_u8 count;		/* TEP suboptions, in order, in .sub */
	struct eno_suboption sub[ENO_SUBOPTION_MAX];
	eno_u8 index[ENO_GLT + 1]; /* by glt: ENO_ABSENT, 1 + place in .sub, ENO_REPEATED */
};

/* The last 7 bits of a suboption's first byte, as an index. */
ENO_INLINE unsigned int eno_glt(unsigned int byte)
{
	ENO_KEEP(byte);
	return byte & ENO_GLT;
}

ENO_INLINE int eno_add_suboption(struct eno_syn *s, eno_u8 tep_byte, eno_u8 at, eno_u8 len,
				 eno_u8 length_byte)
{
	eno_u8 place = s->count;
	eno_u8 *seen = &s->index[eno_glt(tep_byte)];

	if (place >= ENO_SUBOPTION_MAX)
		return 0;
	s->sub[place].tep_byte = tep_byte;
	s->sub[place].data_at = at;
	s->sub[place].data_len = len;
	s->sub[place].length_byte = length_byte;
	*seen = *seen == ENO_ABSENT ? (eno_u8)(place + 1) : (eno_u8)ENO_REPEATED;
	s->count = (eno_u8)(place + 1);
	return 1;
}

ENO_INLINE int eno_fail(struct eno_syn *s, enum eno_reason reason)
{
	s->reason = (eno_u8)reason;
	return 0;
}

/* Section 4.4, figure 7: length byte, TEP identifier with v = 1, data. [8547:4.4-3] */
ENO_INLINE int eno_step_length(struct eno_syn *s, eno_u8 at, eno_u8 byte)
{
	eno_u8 n = (eno_u8)((byte & ENO_LENGTH_NNNNN) + 1);
	eno_u8 tep_byte;

	if (at + 1 >= s->len || at + 1 >= ENO_OPTION_MAX)
		return eno_fail(s, ENO_LENGTH_BEYOND_END); /* [8547:4.4-9] */
	tep_byte = s->option[at + 1];
	if (tep_byte < (ENO_V | ENO_TEP_MIN))
		return eno_fail(s, ENO_LENGTH_BYTE_NOT_BEFORE_TEP); /* [8547:4.1-5, 4.4-10] */
	if (at + 2 + n > s->len)
		return eno_fail(s, ENO_LENGTH_BEYOND_END);
	s->at = (eno_u8)(at + 2 + n);
	return eno_add_suboption(s, tep_byte, (eno_u8)(at + 2), n, 1);
}

/* One suboption; 0 when the walk has ended, well or ill.
 * The four arms are the four rows of table 1, section 4.1. */
ENO_INLINE int eno_step(struct eno_syn *s)
{
	eno_u8 at = s->at;
	eno_u8 byte;

	if (at >= s->len || at >= ENO_OPTION_MAX)
		return 0;
	byte = s->option[at];
	s->at = (eno_u8)(at + 1);
	if (byte < ENO_TEP_MIN) {	 /* global suboption */
		if (!s->explicit_global) /* [8547:4.2-2] */
			s->global = byte;
		s->explicit_global++;
		return 1;
	}
	if (byte < ENO_V) /* TEP identifier without suboption data */
		return eno_add_suboption(s, byte, s->at, 0, 0);
	if (byte < (ENO_V | ENO_TEP_MIN)) /* length byte */
		return eno_step_length(s, at, byte);
	/* TEP identifier followed by suboption data, to the option's end [8547:4.1-6, 4.4-11] */
	s->at = s->len;
	return eno_add_suboption(s, byte, (eno_u8)(at + 1), (eno_u8)(s->len - at - 1), 0);
}

/* Start a walk of s->option[0 .. s->len); the rest of *s must be zero. */
ENO_INLINE int eno_syn_begin(struct eno_syn *s)
{
	if (s->len < ENO_HEADER_LEN || s->len > ENO_OPTION_MAX || s->option[0] != ENO_KIND ||
	    s->option[1] != s->len)
		return eno_fail(s, ENO_MALFORMED);
	s->at = ENO_HEADER_LEN;
	return 1;
}

/* The whole walk, for everybody but the BPF programs. */
ENO_INLINE enum eno_reason eno_syn_parse(struct eno_syn *s)
{
	if (eno_syn_begin(s))
		while (eno_step(s))
			;
	return (enum eno_reason)s->reason;
}

/* ENO options among a TCP header's options: where the first starts, how many.
 * A malformed list ends the search, as TCP implementations do. */
struct eno_search {
	eno_u8 at, first, count;
};

ENO_INLINE int eno_search_step(struct eno_search *f, const eno_u8 *options, eno_u8 len)
{
	eno_u8 at = f->at;
	eno_u8 kind, size;

	if (at >= len || at >= ENO_OPTION_MAX)
		return 0;
	kind = options[at];
	if (kind == TCP_KIND_EOL)
		return 0;
	if (kind == TCP_KIND_NOP) {
		f->at = (eno_u8)(at + 1);
		return 1;
	}
	if (at + 1 >= len || at + 1 >= ENO_OPTION_MAX)
		return 0;
	size = options[at + 1];
	if (size < ENO_HEADER_LEN || at + size > len)
		return 0;
	if (kind == ENO_KIND && f->count++ == 0)
		f->first = at;
	f->at = (eno_u8)(at + size);
	return 1;
}

#endif
