/* See aead.h; the providers, then the table, then the interface. */
#include "aead.h"

#include <dlfcn.h>
#include <limits.h>
#include <string.h>

#include "wipe.h"

/* -- libsodium: AES-256-GCM with the key expanded once -- */

enum { STATE_ALIGN = 64 };

static size_t aes256_state_len(void)
{
	return (sodium.aes256gcm_statebytes() + STATE_ALIGN - 1) / STATE_ALIGN * STATE_ALIGN;
}

static void *aes256_create(uint16_t aead, const uint8_t *key, size_t key_len)
{
	void *state = aligned_alloc(STATE_ALIGN, aes256_state_len());

	if (state)
		sodium.aes256gcm_beforenm(state, key);
	return state;
}

static int aes256_seal(void *state, uint8_t *text, size_t len, const uint8_t *nonce,
		       const uint8_t *ad)
{
	return sodium.aes256gcm_seal(text, text + len, NULL, text, len, ad, FRAME_HEADER_LEN, NULL,
				     nonce, state) ?
		       AEAD_PROVIDER :
		       AEAD_OK;
}

static int aes256_open(void *state, uint8_t *out, const uint8_t *text, size_t len,
		       const uint8_t *nonce, const uint8_t *ad)
{
	return sodium.aes256gcm_open(out, NULL, text, len, text + len, ad, FRAME_HEADER_LEN, nonce,
				     state) ?
		       AEAD_FAIL :
		       AEAD_OK;
}

static void aes256_destroy(void *state)
{
	wipe_free(state, aes256_state_len());
}

static const struct aead_hooks sodium_aes256 = { aes256_create, aes256_seal, aes256_open,
						 aes256_destroy };

/* -- libsodium: ChaCha20-Poly1305, whose state is the key -- */

static void *chacha_create(uint16_t aead, const uint8_t *key, size_t key_len)
{
	void *state = malloc(key_len);

	return state ? memcpy(state, key, key_len) : NULL;
}

static int chacha_seal(void *state, uint8_t *text, size_t len, const uint8_t *nonce,
		       const uint8_t *ad)
{
	return sodium.chacha_seal(text, text + len, NULL, text, len, ad, FRAME_HEADER_LEN, NULL,
				  nonce, state) ?
		       AEAD_PROVIDER :
		       AEAD_OK;
}

static int chacha_open(void *state, uint8_t *out, const uint8_t *text, size_t len,
		       const uint8_t *nonce, const uint8_t *ad)
{
	return sodium.chacha_open(out, NULL, text, len, text + len, ad, FRAME_HEADER_LEN, nonce,
				  state) ?
		       AEAD_FAIL :
		       AEAD_OK;
}

static void chacha_destroy(void *state)
{
	wipe_free(state, AE_KEY_MAX);
}

static const struct aead_hooks sodium_chacha = { chacha_create, chacha_seal, chacha_open,
						 chacha_destroy };

/* -- libcrypto: AES-GCM by EVP; no header of OpenSSL is needed -- */

enum { EVP_CTRL_GET_TAG = 0x10, EVP_CTRL_SET_TAG = 0x11 };

static struct {
	void *(*ctx_new)(void);
	void (*ctx_free)(void *ctx); /* wipes the key schedule too */
	const void *(*aes_128_gcm)(void);
	const void *(*aes_256_gcm)(void);
	int (*init)(void *ctx, const void *cipher, void *engine, const uint8_t *key,
		    const uint8_t *nonce, int sealing);
	int (*update)(void *ctx, uint8_t *out, int *out_len, const uint8_t *in, int len);
	int (*final)(void *ctx, uint8_t *out, int *out_len);
	int (*ctrl)(void *ctx, int what, int len, void *value);
	void (*clear_error)(void);
} evp;

/* Found once and kept: since OpenSSL 3 a cipher named by EVP_aes_128_gcm() is looked up
 * anew, under locks, for every key. */
static const void *aes_128_gcm, *aes_256_gcm;

typedef void *evp_fetch(void *library, const char *algorithm, const char *properties);

static void evp_find_ciphers(void *handle)
{
	void *address = dlsym(handle, "EVP_CIPHER_fetch"); /* not in 1.1 */
	evp_fetch *fetch;

	/* POSIX: an object pointer of dlsym() converts to a function's */
	*(void **)&fetch = address;
	aes_128_gcm = fetch ? fetch(NULL, "AES-128-GCM", NULL) : NULL;
	aes_256_gcm = fetch ? fetch(NULL, "AES-256-GCM", NULL) : NULL;
	if (!aes_128_gcm)
		aes_128_gcm = evp.aes_128_gcm();
	if (!aes_256_gcm)
		aes_256_gcm = evp.aes_256_gcm();
}

const char *aead_bind_libcrypto(const char *name)
{
	static const char *const names[] = {
		"EVP_CIPHER_CTX_new", "EVP_CIPHER_CTX_free", "EVP_aes_128_gcm",
		"EVP_aes_256_gcm",    "EVP_CipherInit_ex",   "EVP_CipherUpdate",
		"EVP_CipherFinal_ex", "EVP_CIPHER_CTX_ctrl", "ERR_clear_error",
	};
	void *found[sizeof(names) / sizeof(names[0])];
	/* a second copy of OpenSSL is never loaded; this one is never closed */
	void *handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);

	_Static_assert(sizeof(found) == sizeof(evp), "one name for each member");
	if (!handle)
		return name;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!(found[i] = dlsym(handle, names[i])))
			return names[i];
	memcpy(&evp, found, sizeof(evp));
	evp_find_ciphers(handle);
	return NULL;
}

static void *evp_create(uint16_t aead, const uint8_t *key, size_t key_len)
{
	const void *cipher = aead == AEAD_AES_128_GCM ? aes_128_gcm : aes_256_gcm;
	void *ctx = evp.ctx_new();

	if (ctx && evp.init(ctx, cipher, NULL, key, NULL, 1) != 1) {
		evp.ctx_free(ctx);
		return NULL;
	}
	return ctx;
}

static int evp_run(void *ctx, uint8_t *out, const uint8_t *text, size_t len, const uint8_t *nonce,
		   const uint8_t *ad, int sealing)
{
	int n;

	return len <= INT_MAX && evp.init(ctx, NULL, NULL, NULL, nonce, sealing) == 1 &&
	       evp.update(ctx, NULL, &n, ad, FRAME_HEADER_LEN) == 1 &&
	       evp.update(ctx, out, &n, text, (int)len) == 1;
}

static int evp_seal(void *ctx, uint8_t *text, size_t len, const uint8_t *nonce, const uint8_t *ad)
{
	int n;

	if (!evp_run(ctx, text, text, len, nonce, ad, 1) || evp.final(ctx, text + len, &n) != 1 ||
	    evp.ctrl(ctx, EVP_CTRL_GET_TAG, AE_TAG_LEN, text + len) != 1)
		return AEAD_PROVIDER;
	return AEAD_OK;
}

static int evp_open(void *ctx, uint8_t *out, const uint8_t *text, size_t len, const uint8_t *nonce,
		    const uint8_t *ad)
{
	uint8_t tag[AE_TAG_LEN];
	int n;

	memcpy(tag, text + len, AE_TAG_LEN);
	if (!evp_run(ctx, out, text, len, nonce, ad, 0) ||
	    evp.ctrl(ctx, EVP_CTRL_SET_TAG, AE_TAG_LEN, tag) != 1)
		return AEAD_PROVIDER;
	if (evp.final(ctx, out + len, &n) == 1)
		return AEAD_OK;
	/* the thread's error queue is shared with Python's ssl module */
	evp.clear_error();
	return AEAD_FAIL;
}

static void evp_destroy(void *ctx)
{
	evp.ctx_free(ctx);
}

static const struct aead_hooks libcrypto = { evp_create, evp_seal, evp_open, evp_destroy };

/* -- the table -- */

static const struct aead_hooks *outside;

void aead_bind_hooks(const struct aead_hooks *hooks)
{
	outside = hooks;
}

static const struct aead_hooks *aead_ops(uint16_t aead, enum aead_provider provider)
{
	switch (provider) {
	case AEAD_LIBSODIUM:
		if (aead == AEAD_CHACHA20_POLY1305)
			return &sodium_chacha;
		return aead == AEAD_AES_256_GCM && sodium.aes256gcm_is_available() ?
			       &sodium_aes256 :
			       NULL;
	case AEAD_LIBCRYPTO:
		return evp.ctx_new && aead != AEAD_CHACHA20_POLY1305 ? &libcrypto : NULL;
	case AEAD_HOOKS:
		return outside;
	default:
		return NULL;
	}
}

static struct {
	const struct aead_hooks *small, *large;
	size_t cut;
} plans[AEAD_CHACHA20_POLY1305 + 1];

int aead_set_plan(uint16_t aead, struct aead_plan plan)
{
	const struct aead_hooks *small = aead_ops(aead, plan.small);
	const struct aead_hooks *large = aead_ops(aead, plan.large);

	if (!tcpcrypt_key_len(aead) || !small || (plan.large != AEAD_NONE && !large))
		return -1;
	plans[aead].small = small;
	plans[aead].large = large == small ? NULL : large;
	plans[aead].cut = plan.cut;
	return 0;
}

/* -- the interface -- */

static int cipher_init(struct cipher *c, const struct aead_hooks *ops, uint16_t aead,
		       const uint8_t *key)
{
	c->state = ops->create(aead, key, tcpcrypt_key_len(aead));
	c->ops = c->state ? ops : NULL;
	return c->state ? AEAD_OK : AEAD_NO_MEMORY;
}

static void cipher_wipe(struct cipher *c)
{
	if (c->ops)
		c->ops->destroy(c->state);
	c->ops = NULL;
	c->state = NULL;
}

int aead_init(struct aead *a, uint16_t aead, const uint8_t *traffic_key)
{
	struct aead fresh = { 0 };
	size_t key_len = tcpcrypt_key_len(aead);

	if (!key_len || !plans[aead].small)
		return AEAD_PROVIDER;
	memcpy(fresh.nr, traffic_key + key_len, AE_NONCE_LEN);
	fresh.id = aead;
	fresh.cut = plans[aead].cut;
	fresh.large_ops = plans[aead].large;
	if (fresh.large_ops)
		memcpy(fresh.key, traffic_key, key_len);
	if (cipher_init(&fresh.small, plans[aead].small, aead, traffic_key)) {
		wipe(&fresh, sizeof(fresh));
		return AEAD_NO_MEMORY;
	}
	*a = fresh;
	wipe(&fresh, sizeof(fresh));
	return AEAD_OK;
}

void aead_wipe(struct aead *a)
{
	cipher_wipe(&a->small);
	cipher_wipe(&a->large);
	wipe(a, sizeof(*a));
}

/* Sections 3.6 and 4.2.3: N = frame_ID XOR NR, the offset left-padded. [8548:3.6-7, 4.2.3-1] */
static void aead_nonce(const struct aead *a, uint64_t offset, uint8_t nonce[AE_NONCE_LEN])
{
	memcpy(nonce, a->nr, AE_NONCE_LEN);
	for (int i = AE_NONCE_LEN - 1; offset; i--, offset >>= 8)
		nonce[i] ^= (uint8_t)offset;
}

/* Where large cannot be made small serves all: slower, and right. */
static void aead_make_large(struct aead *a)
{
	if (cipher_init(&a->large, a->large_ops, a->id, a->key))
		a->cut = SIZE_MAX;
	a->large_ops = NULL;
	wipe(a->key, sizeof(a->key));
}

static struct cipher *aead_pick(struct aead *a, size_t len)
{
	if (len < a->cut)
		return &a->small;
	if (a->large_ops)
		aead_make_large(a);
	return a->large.ops ? &a->large : &a->small;
}

int aead_seal(struct aead *a, uint8_t *text, size_t len, uint64_t offset, const uint8_t *ad)
{
	struct cipher *c = aead_pick(a, len);
	uint8_t nonce[AE_NONCE_LEN];

	aead_nonce(a, offset, nonce);
	return c->ops->seal(c->state, text, len, nonce, ad);
}

int aead_open(struct aead *a, uint8_t *out, const uint8_t *text, size_t len, uint64_t offset,
	      const uint8_t *ad)
{
	struct cipher *c = aead_pick(a, len);
	uint8_t nonce[AE_NONCE_LEN];

	aead_nonce(a, offset, nonce);
	return c->ops->open(c->state, out, text, len, nonce, ad);
}
