/* ECDHE-Curve25519 (RFC 8548 section 5). */
#ifndef AGREEMENT_H
#define AGREEMENT_H

#include "tcpcrypt.h"

void tcpcrypt_x25519_public(uint8_t public_key[X25519_LEN], const uint8_t private_key[X25519_LEN]);

/* 0, or -1 and *es all zero: the point has low order. */
int tcpcrypt_x25519(uint8_t es[X25519_LEN], const uint8_t private_key[X25519_LEN],
		    const uint8_t public_key[X25519_LEN]) __attribute__((warn_unused_result));

#endif
