/* What user space and the BPF programs tell each other: socket options
 * (setsockopt/getsockopt at IPPROTO_TCP) and their values.
 *
 * The numbers are a contract with programs in any language: never renumber.
 * ENO_ABI_VERSION is raised when a value's layout changes.
 */
#ifndef ENO_ABI_H
#define ENO_ABI_H

#include "eno_negotiate.h"
#include "eno_tep_data.h"

#define ENO_ABI_VERSION 2

#define TCP_ENO_BASE 0x454E00

enum {
	TCP_ENO_ENABLED = TCP_ENO_BASE + 1,	   /* rw int: 0, 1 */
	TCP_ENO_TEPS = TCP_ENO_BASE + 2,	   /* rw bytes: increasing priority */
	TCP_ENO_SELF_AWARE = TCP_ENO_BASE + 3,	   /* rw int: 0, 1, 2 = mandatory */
	TCP_ENO_PEER_AWARE = TCP_ENO_BASE + 4,	   /* r int */
	TCP_ENO_ROLEOVERRIDE = TCP_ENO_BASE + 5,   /* rw int: 1 = send b = 1 */
	TCP_ENO_ROLE = TCP_ENO_BASE + 6,	   /* r int: 0 = A, 1 = B */
	TCP_ENO_NEGTEP = TCP_ENO_BASE + 7,	   /* r int: host B's byte, v included */
	TCP_ENO_TRANSCRIPT = TCP_ENO_BASE + 8,	   /* r bytes: at most 80 */
	TCP_ENO_SESSID = TCP_ENO_BASE + 9,	   /* rw bytes: written by user space */
	TCP_ENO_STATE = TCP_ENO_BASE + 10,	   /* r int: state | reason << 8 */
	TCP_ENO_RAW = TCP_ENO_BASE + 11,	   /* rw bytes: a SYN-form option */
	TCP_ENO_VERSION = TCP_ENO_BASE + 12,	   /* r int: ENO_ABI_VERSION */
	TCP_ENO_RESULT = TCP_ENO_BASE + 13,	   /* r struct eno_result: all at once */
	TCP_ENO_CONFIG = TCP_ENO_BASE + 14,	   /* w bytes: enum eno_config, all at once */
	TCP_ENO_SESSION_PUT = TCP_ENO_BASE + 15,   /* w struct eno_session_entry: for later */
	TCP_ENO_SESSION_TAKE = TCP_ENO_BASE + 16,  /* r 32 bytes: the resumed secret, once */
	TCP_ENO_SESSION_FLUSH = TCP_ENO_BASE + 17, /* w int: enum eno_flush */
	TCP_ENO_RESULT_TAKE = TCP_ENO_BASE + 18,   /* r struct eno_taken: RESULT and TAKE */
	TCP_ENO_ESTABLISHED = TCP_ENO_BASE + 19,   /* w struct eno_established: SESSID and PUT */
	TCP_ENO_TEP_DATA = TCP_ENO_BASE + 20,	   /* w struct eno_tep_data, up to 4 */
	TCP_ENO_LAST = TCP_ENO_TEP_DATA,
};

/* TCP_ENO_CONFIG begins with the version of its own layout:
 *	1, SELF_AWARE, ROLEOVERRIDE, TEPS...
 *	2, SELF_AWARE, ROLEOVERRIDE, NONCE_LEN, TOKEN, TEPS... */
enum eno_config {
	ENO_CONFIG_PLAIN = 1, /* no session resumption */
	ENO_CONFIG_SESSIONS = 2,
	ENO_CONFIG_PLAIN_HEAD = 3,
	ENO_TOKEN_LEN = 8, /* sessions are only resumed under the token they were made with */
	ENO_CONFIG_SESSIONS_HEAD = 4 + ENO_TOKEN_LEN,
	ENO_NO_RESUMPTION = 0xff, /* NONCE_LEN: propose nothing, ignore proposals */
};

enum eno_flush {
	ENO_FLUSH_CONNECTION = 0, /* what this connection put */
	ENO_FLUSH_SCOPE = 1,	  /* all of this user, network namespace and token */
	ENO_FLUSH_USER = 2,	  /* all of this user and network namespace */
};

enum eno_state {
	ENO_STATE_OFF = 0,	 /* not enabled, no option sent */
	ENO_STATE_READY = 1,	 /* enabled, no SYN yet (or a listener) */
	ENO_STATE_OFFERED = 2,	 /* SYN with the option sent */
	ENO_STATE_ENCRYPTED = 3, /* RFC 8547 section 4.6: encryption enabled */
	ENO_STATE_DISABLED = 4,	 /* plain TCP; the reason says why */
};

enum { ENO_TRANSCRIPT_MAX = 2 * ENO_OPTION_MAX, ENO_SESSID_MAX = 64 };

enum { ENO_SECRET_LEN = 32 }; /* RFC 8548 section 3.5: ss[i] */

/* TCP_ENO_RESULT: one system call after connect() or accept().  Callers with
 * room for ENO_RESULT_V1 bytes only get so many. */
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
	eno_u8 original_b;  /* resumed: this host's role in the original session, 1 = B */
	eno_u8 given;	    /* TCP_ENO_RESULT_TAKE: the secret follows; else 0 */
	unsigned short tag; /* resumed: as it was put */
	unsigned int pad2;
};
enum { ENO_RESULT_V1 = 88 };
_Static_assert(__builtin_offsetof(struct eno_result, original_b) == ENO_RESULT_V1,
	       "struct eno_result is ABI");
_Static_assert(sizeof(struct eno_result) == 96, "struct eno_result is ABI");

/* TCP_ENO_SESSION_PUT: what a later connection between the same hosts resumes. */
struct eno_session_entry {
	eno_u8 tep;			     /* of this connection */
	eno_u8 original_b;		     /* this host's role in the original session, 1 = B */
	unsigned short tag;		     /* the TEP's own, given back by TCP_ENO_RESULT */
	unsigned int lifetime_s;	     /* not 0 */
	eno_u8 id[2 * TCPCRYPT_RESUME_HALF]; /* resume[i+1] */
	eno_u8 nonce[TCPCRYPT_NONCE_MAX];    /* from getrandom() */
	eno_u8 pad[6];			     /* 0 */
	eno_u8 ss[ENO_SECRET_LEN];	     /* ss[i+1] */
};
_Static_assert(sizeof(struct eno_session_entry) == 72, "struct eno_session_entry is ABI");

/* TCP_ENO_RESULT_TAKE, for who makes the keys at once: of two system calls one. */
struct eno_taken {
	struct eno_result result;
	eno_u8 ss[ENO_SECRET_LEN]; /* as by TCP_ENO_SESSION_TAKE if result.given, else 0 */
};
_Static_assert(sizeof(struct eno_taken) == 128, "struct eno_taken is ABI");

/* TCP_ENO_ESTABLISHED: the keys exist.  Both or neither. */
struct eno_established {
	eno_u8 sessid_len;
	eno_u8 pad[7];		       /* 0 */
	eno_u8 sessid[ENO_SESSID_MAX]; /* 0 from sessid_len on */
	struct eno_session_entry next;
};
_Static_assert(sizeof(struct eno_established) == 144, "struct eno_established is ABI");

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
