/* AEAD providers; see aead.h. */
#include <dlfcn.h>
#include <string.h>

#include "aead.h"

/* -- libsodium ------------------------------------------------------------ */

static int gcm_setup(struct tcpcrypt_aead *a, const u8 *key)
{
	return sodium.gcm_available() ? sodium.gcm_beforenm(a->state, key) : -1;
}

static int gcm_seal(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len)
{
	return sodium.gcm_seal(buf, 0, buf, len, ad, ad_len, 0, nonce, a->state);
}

static int gcm_open(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len)
{
	return sodium.gcm_open(buf, 0, 0, buf, len, ad, ad_len, nonce, a->state);
}

static int chacha_setup(struct tcpcrypt_aead *a, const u8 *key)
{
	memcpy(a->state, key, AE_KEY_MAX);
	return 0;
}

static int chacha_seal(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len,
		       u8 *buf, size_t len)
{
	return sodium.chacha_seal(buf, 0, buf, len, ad, ad_len, 0, nonce, a->state);
}

static int chacha_open(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len,
		       u8 *buf, size_t len)
{
	return sodium.chacha_open(buf, 0, 0, buf, len, ad, ad_len, nonce, a->state);
}

static const struct tcpcrypt_aead_ops sodium_gcm = { gcm_setup, gcm_seal, gcm_open, 0 };
static const struct tcpcrypt_aead_ops sodium_chacha = { chacha_setup, chacha_seal, chacha_open, 0 };

/* -- libcrypto ------------------------------------------------------------ */

enum { EVP_CTRL_AEAD_GET_TAG = 0x10, EVP_CTRL_AEAD_SET_TAG = 0x11 };

static struct {
	void *(*ctx_new)(void);
	void (*ctx_free)(void *ctx);
	int (*ctrl)(void *ctx, int type, int arg, void *ptr);
	const void *(*aes_128_gcm)(void);
	const void *(*aes_256_gcm)(void);
	const void *(*chacha20_poly1305)(void);
	int (*encrypt_init)(void *ctx, const void *cipher, void *engine, const u8 *key,
			    const u8 *iv);
	int (*encrypt_update)(void *ctx, u8 *out, int *outl, const u8 *in, int inl);
	int (*encrypt_final)(void *ctx, u8 *out, int *outl);
	int (*decrypt_init)(void *ctx, const void *cipher, void *engine, const u8 *key,
			    const u8 *iv);
	int (*decrypt_update)(void *ctx, u8 *out, int *outl, const u8 *in, int inl);
	int (*decrypt_final)(void *ctx, u8 *out, int *outl);
} evp;

static const struct {
	const char *name;
	size_t at;
} evp_symbols[] = {
#define SYMBOL(field, name)                            \
	{                                              \
		name, offsetof(__typeof__(evp), field) \
	}
	SYMBOL(ctx_new, "EVP_CIPHER_CTX_new"),
	SYMBOL(ctx_free, "EVP_CIPHER_CTX_free"),
	SYMBOL(ctrl, "EVP_CIPHER_CTX_ctrl"),
	SYMBOL(aes_128_gcm, "EVP_aes_128_gcm"),
	SYMBOL(aes_256_gcm, "EVP_aes_256_gcm"),
	SYMBOL(chacha20_poly1305, "EVP_chacha20_poly1305"),
	SYMBOL(encrypt_init, "EVP_EncryptInit_ex"),
	SYMBOL(encrypt_update, "EVP_EncryptUpdate"),
	SYMBOL(encrypt_final, "EVP_EncryptFinal_ex"),
	SYMBOL(decrypt_init, "EVP_DecryptInit_ex"),
	SYMBOL(decrypt_update, "EVP_DecryptUpdate"),
	SYMBOL(decrypt_final, "EVP_DecryptFinal_ex"),
#undef SYMBOL
};

int tcpcrypt_libcrypto_load(void)
{
	/* only the one that is there already: a second copy would be a stranger */
	void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_NOLOAD);
	size_t i;

	if (!library)
		return 0;
	for (i = 0; i < sizeof(evp_symbols) / sizeof(evp_symbols[0]); i++) {
		void *found = dlsym(library, evp_symbols[i].name);

		if (!found) {
			evp.ctx_new = 0;
			return 0;
		}
		*(void **)((char *)&evp + evp_symbols[i].at) = found;
	}
	return 1;
}

static void evp_clear(struct tcpcrypt_aead *a)
{
	/* EVP_CIPHER_CTX_free() cleanses the key it holds */
	if (a->seal_ctx)
		evp.ctx_free(a->seal_ctx);
	if (a->open_ctx)
		evp.ctx_free(a->open_ctx);
	a->seal_ctx = a->open_ctx = 0;
}

static int evp_setup(struct tcpcrypt_aead *a, const void *cipher, const u8 *key)
{
	a->seal_ctx = evp.ctx_new();
	a->open_ctx = evp.ctx_new();
	if (a->seal_ctx && a->open_ctx && evp.encrypt_init(a->seal_ctx, cipher, 0, key, 0) == 1 &&
	    evp.decrypt_init(a->open_ctx, cipher, 0, key, 0) == 1)
		return 0;
	evp_clear(a);
	return -1;
}

static int evp_setup_128(struct tcpcrypt_aead *a, const u8 *key)
{
	return evp_setup(a, evp.aes_128_gcm(), key);
}

static int evp_setup_256(struct tcpcrypt_aead *a, const u8 *key)
{
	return evp_setup(a, evp.aes_256_gcm(), key);
}

static int evp_setup_chacha(struct tcpcrypt_aead *a, const u8 *key)
{
	return evp_setup(a, evp.chacha20_poly1305(), key);
}

static int evp_seal(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len)
{
	void *c = a->seal_ctx;
	int n;

	return evp.encrypt_init(c, 0, 0, 0, nonce) == 1 &&
			       evp.encrypt_update(c, 0, &n, ad, (int)ad_len) == 1 &&
			       evp.encrypt_update(c, buf, &n, buf, (int)len) == 1 &&
			       evp.encrypt_final(c, buf + n, &n) == 1 &&
			       evp.ctrl(c, EVP_CTRL_AEAD_GET_TAG, AE_TAG_LEN, buf + len) == 1 ?
		       0 :
		       -1;
}

static int evp_open(struct tcpcrypt_aead *a, const u8 *nonce, const u8 *ad, size_t ad_len, u8 *buf,
		    size_t len)
{
	void *c = a->open_ctx;
	size_t body = len - AE_TAG_LEN;
	int n;

	if (evp.decrypt_init(c, 0, 0, 0, nonce) == 1 &&
	    evp.ctrl(c, EVP_CTRL_AEAD_SET_TAG, AE_TAG_LEN, buf + body) == 1 &&
	    evp.decrypt_update(c, 0, &n, ad, (int)ad_len) == 1 &&
	    evp.decrypt_update(c, buf, &n, buf, (int)body) == 1 &&
	    evp.decrypt_final(c, buf + n, &n) == 1)
		return 0;
	/* EVP decrypts before it verifies: nothing of that may be seen */
	sodium.memzero(buf, len);
	return -1;
}

static const struct tcpcrypt_aead_ops evp_128 = { evp_setup_128, evp_seal, evp_open, evp_clear };
static const struct tcpcrypt_aead_ops evp_256 = { evp_setup_256, evp_seal, evp_open, evp_clear };
static const struct tcpcrypt_aead_ops evp_chacha = { evp_setup_chacha, evp_seal, evp_open,
						     evp_clear };

/* -- the choice ------------------------------------------------------------ */

const struct tcpcrypt_aead_ops *tcpcrypt_provider(unsigned aead, const char *name)
{
	int want_sodium = !strcmp(name, "libsodium");

	if (!want_sodium && (strcmp(name, "libcrypto") || !evp.ctx_new))
		return 0;
	switch (aead) {
	case AEAD_AES_128_GCM:
		return want_sodium ? 0 : &evp_128;
	case AEAD_AES_256_GCM:
		if (want_sodium)
			return sodium.gcm_available() ? &sodium_gcm : 0;
		return &evp_256;
	case AEAD_CHACHA20_POLY1305:
		return want_sodium ? &sodium_chacha : &evp_chacha;
	}
	return 0;
}

int tcpcrypt_aead_setup(struct tcpcrypt_aead *a, const struct tcpcrypt_aead_ops *ops, const u8 *key,
			size_t key_len)
{
	tcpcrypt_aead_clear(a);
	if (ops->setup(a, key))
		return -1;
	a->ops = ops;
	a->key_len = key_len;
	return 0;
}

void tcpcrypt_aead_clear(struct tcpcrypt_aead *a)
{
	if (a->ops && a->ops->clear)
		a->ops->clear(a);
	sodium.memzero(a, sizeof(*a));
}
