/* What user space and the BPF programs tell each other: socket options
 * (setsockopt/getsockopt at IPPROTO_TCP) and their values.
 *
 * The numbers are a contract with programs in any language: never renumber.
 * ENO_ABI_VERSION is raised when a value's layout changes.
 */
#ifndef ENO_ABI_H
#define ENO_ABI_H

#include "eno.h"

#define ENO_ABI_VERSION 1

#define TCP_ENO_BASE 0x454E00

enum {
	TCP_ENO_ENABLED = TCP_ENO_BASE + 1,	 /* rw int: 0, 1 */
	TCP_ENO_TEPS = TCP_ENO_BASE + 2,	 /* rw bytes: increasing priority */
	TCP_ENO_SELF_AWARE = TCP_ENO_BASE + 3,	 /* rw int: 0, 1, 2 = mandatory */
	TCP_ENO_PEER_AWARE = TCP_ENO_BASE + 4,	 /* r int */
	TCP_ENO_ROLEOVERRIDE = TCP_ENO_BASE + 5, /* rw int: 1 = send b = 1 */
	TCP_ENO_ROLE = TCP_ENO_BASE + 6,	 /* r int: 0 = A, 1 = B */
	TCP_ENO_NEGTEP = TCP_ENO_BASE + 7,	 /* r int: host B's byte, v included */
	TCP_ENO_TRANSCRIPT = TCP_ENO_BASE + 8,	 /* r bytes: at most 80 */
	TCP_ENO_SESSID = TCP_ENO_BASE + 9,	 /* rw bytes: written by user space */
	TCP_ENO_STATE = TCP_ENO_BASE + 10,	 /* r int: state | reason << 8 */
	TCP_ENO_RAW = TCP_ENO_BASE + 11,	 /* rw bytes: a SYN-form option */
	TCP_ENO_VERSION = TCP_ENO_BASE + 12,	 /* r int: ENO_ABI_VERSION */
	TCP_ENO_RESULT = TCP_ENO_BASE + 13,	 /* r struct eno_result: all at once */
	TCP_ENO_CONFIG = TCP_ENO_BASE + 14,	 /* w bytes: ENO_ABI_VERSION, SELF_AWARE,
						  * ROLEOVERRIDE, then TEPS: all at once */
	TCP_ENO_LAST = TCP_ENO_CONFIG,
};

enum eno_state {
	ENO_STATE_OFF = 0,	 /* not enabled, no option sent */
	ENO_STATE_READY = 1,	 /* enabled, no SYN yet (or a listener) */
	ENO_STATE_OFFERED = 2,	 /* SYN with the option sent */
	ENO_STATE_ENCRYPTED = 3, /* RFC 8547 section 4.6: encryption enabled */
	ENO_STATE_DISABLED = 4,	 /* plain TCP; the reason says why */
};

enum { ENO_TRANSCRIPT_MAX = 2 * ENO_OPTION_MAX, ENO_SESSID_MAX = 64 };

/* TCP_ENO_RESULT: one system call after connect() or accept(). */
struct eno_result {
	eno_u8 state;	   /* enum eno_state */
	eno_u8 reason;	   /* enum eno_reason */
	eno_u8 tep_byte;   /* NEGTEP */
	eno_u8 role;	   /* ROLE */
	eno_u8 peer_aware; /* PEER_AWARE */
	eno_u8 self_aware; /* SELF_AWARE */
	eno_u8 resumed;	   /* host B accepted a resumption suboption */
	eno_u8 transcript_len;
	eno_u8 transcript[ENO_TRANSCRIPT_MAX];
};
_Static_assert(sizeof(struct eno_result) == 88, "struct eno_result is ABI");

/* The value of map eno_policy: what this host negotiates.  Zero permits all. */
enum { ENO_POLICY_NO_CONNECT = 1, ENO_POLICY_NO_LISTEN = 2 };
enum { ENO_PORTS = 1 << 16, ENO_SYNS_MAX = 255 };

struct eno_policy {
	unsigned int flags;
	unsigned int syns;		 /* how many SYNs of a connection carry ENO; 0: all */
	unsigned long long forbidden[2]; /* TEPs: bit n for identifier n */
	unsigned long long skipped[ENO_PORTS / 64]; /* remote ports to connect to, local
						     * ports listened on */
};
_Static_assert(sizeof(struct eno_policy) == 24 + ENO_PORTS / 8, "pyeno/policy.py writes it");

#endif
