/* ECDHE-Curve25519 over libsodium; see agreement.h. */
#include "agreement.h"

int tcpcrypt_x25519_public(u8 public_key[X25519_LEN], const u8 private_key[X25519_LEN])
{
	return sodium.x25519_base(public_key, private_key);
}

int tcpcrypt_x25519(u8 es[X25519_LEN], const u8 private_key[X25519_LEN],
		    const u8 public_key[X25519_LEN])
{
	u8 any = 0;
	int i, failed = sodium.x25519(es, private_key, public_key);

	for (i = 0; i < X25519_LEN; i++)
		any |= es[i];
	return failed || !any ? -1 : 0;
}
