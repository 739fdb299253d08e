/* See agreement.h. */
#include "agreement.h"

#include "wipe.h"

void tcpcrypt_x25519_public(uint8_t public_key[X25519_LEN], const uint8_t private_key[X25519_LEN])
{
	sodium.scalarmult_base(public_key, private_key);
	wipe_stack();
}

int tcpcrypt_x25519(uint8_t es[X25519_LEN], const uint8_t private_key[X25519_LEN],
		    const uint8_t public_key[X25519_LEN])
{
	int failed = sodium.scalarmult(es, private_key, public_key); /* [8548:5-6] */

	wipe_stack();
	/* "MUST check whether the computed Diffie-Hellman shared secret is the
	 * all-zero value and abort if so"; libsodium's status is not relied on [8548:5-7] */
	if (failed || sodium.is_zero(es, X25519_LEN)) {
		wipe(es, X25519_LEN);
		return -1;
	}
	return 0;
}
