/* See sodium.h. */
#include "sodium.h"

#include <dlfcn.h>

struct sodium sodium;

static const struct {
	const char *name;
	size_t at;
} symbols[] = {
#define SYMBOL(member, name)                          \
	{                                             \
		name, offsetof(struct sodium, member) \
	}
	SYMBOL(init, "sodium_init"),
	SYMBOL(memzero, "sodium_memzero"),
	SYMBOL(stackzero, "sodium_stackzero"),
	SYMBOL(randombytes_buf, "randombytes_buf"),
	SYMBOL(is_zero, "sodium_is_zero"),
	SYMBOL(scalarmult, "crypto_scalarmult_curve25519"),
	SYMBOL(scalarmult_base, "crypto_scalarmult_curve25519_base"),
	SYMBOL(hmac_statebytes, "crypto_auth_hmacsha256_statebytes"),
	SYMBOL(hmac_init, "crypto_auth_hmacsha256_init"),
	SYMBOL(hmac_update, "crypto_auth_hmacsha256_update"),
	SYMBOL(hmac_final, "crypto_auth_hmacsha256_final"),
	SYMBOL(aes256gcm_is_available, "crypto_aead_aes256gcm_is_available"),
	SYMBOL(aes256gcm_statebytes, "crypto_aead_aes256gcm_statebytes"),
	SYMBOL(aes256gcm_beforenm, "crypto_aead_aes256gcm_beforenm"),
	SYMBOL(aes256gcm_seal, "crypto_aead_aes256gcm_encrypt_detached_afternm"),
	SYMBOL(aes256gcm_open, "crypto_aead_aes256gcm_decrypt_detached_afternm"),
	SYMBOL(chacha_seal, "crypto_aead_chacha20poly1305_ietf_encrypt_detached"),
	SYMBOL(chacha_open, "crypto_aead_chacha20poly1305_ietf_decrypt_detached"),
#undef SYMBOL
};

const char *sodium_bind(const char *path)
{
	struct sodium found = { 0 };
	/* never closed: the functions are used until the process ends */
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle)
		return dlerror();
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *address = dlsym(handle, symbols[i].name);

		if (!address)
			return symbols[i].name;
		/* POSIX: an object pointer of dlsym() converts to a function's */
		*(void **)((char *)&found + symbols[i].at) = address;
	}
	if (found.init() < 0)
		return "sodium_init";
	sodium = found;
	return NULL;
}
