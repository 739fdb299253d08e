/* Constants of RFC 8548 that the compiled core needs. */
#ifndef TCPCRYPT_H
#define TCPCRYPT_H

enum {
	/* section 4.3, table 1 */
	CONST_NEXTK = 0x01,
	CONST_SESSID = 0x02,
	CONST_REKEY = 0x03,
	CONST_KEY_A = 0x04,
	CONST_KEY_B = 0x05,
	CONST_RESUME = 0x06,
	/* section 5 */
	K_LEN = 32,
	/* section 4.2 */
	FRAME_HEADER_LEN = 3,
	CLEN_MAX = 0xffff,
	CONTROL_REKEY = 0x01,
	FLAG_FINP = 0x01,
	FLAG_URGP = 0x02,
	URGENT_LEN = 2,
	/* section 6, table 3 */
	AEAD_AES_128_GCM = 0x0001,
	AEAD_AES_256_GCM = 0x0002,
	AEAD_CHACHA20_POLY1305 = 0x0010,
	AE_KEY_MAX = 32,
	AE_NONCE_LEN = 12,
	AE_TAG_LEN = 16,
	TRAFFIC_KEY_MAX = AE_KEY_MAX + AE_NONCE_LEN,
	/* application bytes in the largest frame */
	FRAME_DATA_MAX = CLEN_MAX - AE_TAG_LEN - 1,
};

#endif
