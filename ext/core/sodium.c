/* Finding libsodium's functions; see sodium.h. */
#include <dlfcn.h>

#include "sodium.h"

struct tcpcrypt_sodium sodium;

static const struct {
	const char *name;
	size_t at;
} symbols[] = {
#define SYMBOL(field, name)                                   \
	{                                                     \
		name, offsetof(struct tcpcrypt_sodium, field) \
	}
	SYMBOL(init, "sodium_init"),
	SYMBOL(memzero, "sodium_memzero"),
	SYMBOL(random, "randombytes_buf"),
	SYMBOL(x25519, "crypto_scalarmult_curve25519"),
	SYMBOL(x25519_base, "crypto_scalarmult_curve25519_base"),
	SYMBOL(hmac_statebytes, "crypto_auth_hmacsha256_statebytes"),
	SYMBOL(hmac_init, "crypto_auth_hmacsha256_init"),
	SYMBOL(hmac_update, "crypto_auth_hmacsha256_update"),
	SYMBOL(hmac_final, "crypto_auth_hmacsha256_final"),
	SYMBOL(gcm_available, "crypto_aead_aes256gcm_is_available"),
	SYMBOL(gcm_statebytes, "crypto_aead_aes256gcm_statebytes"),
	SYMBOL(gcm_beforenm, "crypto_aead_aes256gcm_beforenm"),
	SYMBOL(gcm_seal, "crypto_aead_aes256gcm_encrypt_afternm"),
	SYMBOL(gcm_open, "crypto_aead_aes256gcm_decrypt_afternm"),
	SYMBOL(chacha_seal, "crypto_aead_chacha20poly1305_ietf_encrypt"),
	SYMBOL(chacha_open, "crypto_aead_chacha20poly1305_ietf_decrypt"),
#undef SYMBOL
};

const char *sodium_load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!library)
		return "the shared object itself";
	for (i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(library, symbols[i].name);

		if (!found)
			return symbols[i].name;
		*(void **)((char *)&sodium + symbols[i].at) = found;
	}
	if (sodium.init() < 0)
		return "a successful sodium_init()";
	if (sodium.hmac_statebytes() > SODIUM_HMAC_STATE)
		return "an HMAC-SHA256 state of at most 512 bytes";
	if (sodium.gcm_statebytes() > SODIUM_GCM_STATE)
		return "an AES-256-GCM state of at most 512 bytes";
	return 0;
}
