/* ECDHE-Curve25519 (RFC 8548 section 5). */
#ifndef TCPCRYPT_AGREEMENT_H
#define TCPCRYPT_AGREEMENT_H

#include "sodium.h"

enum { X25519_LEN = 32 };

int tcpcrypt_x25519_public(u8 public_key[X25519_LEN], const u8 private_key[X25519_LEN]);

/* -1: the shared secret is all zero, which section 5 says to check and abort on */
int tcpcrypt_x25519(u8 es[X25519_LEN], const u8 private_key[X25519_LEN],
		    const u8 public_key[X25519_LEN]);

#endif
