/* The numbers of RFC 8548 that the compiled core needs.
 *
 * pyeno.constants mirrors them; a test compares the two.
 */
#ifndef TCPCRYPT_H
#define TCPCRYPT_H

#include <stddef.h>
#include <stdint.h>

enum {
	/* section 4.3, table 1 [8548:4.3-1] */
	CONST_NEXTK = 0x01,
	CONST_SESSID = 0x02,
	CONST_REKEY = 0x03,
	CONST_KEY_A = 0x04,
	CONST_KEY_B = 0x05,
	CONST_RESUME = 0x06,
	/* section 5 */
	K_LEN = 32, /* [8547:5.1-13] [8548:5-1, 5-2] */
	X25519_LEN = 32,
	/* section 3.5: both halves of a resumption identifier, both nonces */
	RESUME_LEN = 18,
	SN_MAX = 16,
	/* section 3.4: TEP byte and K_LEN */
	SESSION_ID_LEN = 1 + K_LEN,
	/* table 5 [8548:7-2] */
	AEAD_AES_128_GCM = 0x0001,
	AEAD_AES_256_GCM = 0x0002,
	AEAD_CHACHA20_POLY1305 = 0x0010,
	/* table 3; the nonce and the tag are the same for all three */
	AE_KEY_MAX = 32,
	AE_NONCE_LEN = 12,
	AE_TAG_LEN = 16,
	TRAFFIC_KEY_MAX = AE_KEY_MAX + AE_NONCE_LEN,
	/* section 4.2 */
	FRAME_HEADER_LEN = 3,
	FLAGS_LEN = 1,
	URGENT_LEN = 2,
	CLEN_MAX = 0xffff,
	CLEN_MIN = FLAGS_LEN + AE_TAG_LEN,
	FRAME_OVERHEAD = FRAME_HEADER_LEN + CLEN_MIN,
	FRAME_DATA_MAX = CLEN_MAX - CLEN_MIN,
	CONTROL_REKEY = 0x01,
	FLAG_FINP = 0x01,
	FLAG_URGP = 0x02,
	NO_URGENT = -1, /* in the place of an urgent field */
};

/* Table 3, or 0 for an unknown identifier. [8547:5-4] [8548:6-3, 6-4, 6-5] */
static inline size_t tcpcrypt_key_len(uint16_t aead)
{
	switch (aead) {
	case AEAD_AES_128_GCM:
		return 16;
	case AEAD_AES_256_GCM:
	case AEAD_CHACHA20_POLY1305:
		return 32;
	default:
		return 0;
	}
}

#endif
