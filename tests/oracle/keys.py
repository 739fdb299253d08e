"""RFC 8548 sections 3.1 and 3.3 to 3.5: from ES to traffic keys, session ID and resumption.

PRK   = Extract(N_A, eno_transcript | Init1 | Init2 | ES)
ss[0] = PRK                                 ss[i] = CPRF(ss[i-1], CONST_NEXTK, K_LEN)
mk[0] = CPRF(ss[i], CONST_REKEY | sn[i])    mk[j] = CPRF(mk[j-1], CONST_REKEY)
k_ab[j], k_ba[j] = CPRF(mk[j], CONST_KEY_A or CONST_KEY_B, ae_key_len + ae_nonce_len)
"""

import hashlib
import hmac
from dataclasses import dataclass

CONST_NEXTK = b"\x01"
CONST_SESSID = b"\x02"
CONST_REKEY = b"\x03"
CONST_KEY_A = b"\x04"
CONST_KEY_B = b"\x05"
CONST_RESUME = b"\x06"
K_LEN = 32

# Table 3: identifier -> (name, ae_key_len, ae_nonce_len)
AEADS = {
    0x0001: ("AES_128_GCM", 16, 12),
    0x0002: ("AES_256_GCM", 32, 12),
    0x0010: ("CHACHA20_POLY1305", 32, 12),
}


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract of figure 1."""
    return hmac.new(salt, ikm, hashlib.sha256).digest()


def cprf(key: bytes, const: bytes, length: int) -> bytes:
    """CPRF(K, CONST, L): HKDF-Expand of figure 1."""
    assert length <= 255 * 32
    okm = block = b""
    counter = 0
    while len(okm) < length:
        counter += 1
        block = hmac.new(key, block + const + bytes([counter]), hashlib.sha256).digest()
        okm += block
    return okm[:length]


def prk(nonce_a: bytes, transcript: bytes, init1: bytes, init2: bytes, es: bytes) -> bytes:
    """Section 3.3; Init1 and Init2 exactly as transmitted, ignored bytes included."""
    return extract(nonce_a, transcript + init1 + init2 + es)


def next_secret(ss: bytes) -> bytes:
    """ss[i+1] from ss[i]."""
    return cprf(ss, CONST_NEXTK, K_LEN)


def first_master_key(ss: bytes, sn: bytes = b"") -> bytes:
    """mk[0]; sn is empty in the initial session."""
    return cprf(ss, CONST_REKEY + sn, K_LEN)


def next_master_key(mk: bytes) -> bytes:
    """mk[j+1] from mk[j]."""
    return cprf(mk, CONST_REKEY, K_LEN)


def traffic_keys(mk: bytes, aead: int) -> tuple[bytes, bytes]:
    """(k_ab[j], k_ba[j]): key followed by nonce randomizer."""
    _, key_len, nonce_len = AEADS[aead]
    length = key_len + nonce_len
    return cprf(mk, CONST_KEY_A, length), cprf(mk, CONST_KEY_B, length)


def session_id(tep_byte: int, ss: bytes, sn: bytes = b"") -> bytes:
    """Section 3.4: 33 bytes, beginning with the byte host B sent, v included."""
    return bytes([tep_byte]) + cprf(ss, CONST_SESSID + sn, K_LEN)


def resume_id(ss: bytes) -> bytes:
    """Section 3.5: 18 bytes; original host A sends the first nine, B the others."""
    return cprf(ss, CONST_RESUME, 18)


@dataclass(frozen=True)
class Session:
    """A session secret ss[i] kept for resumption; `original_role` is this host's at i = 0."""

    tep: int
    aead: int
    original_role: str
    i: int
    ss: bytes

    @property
    def identifier(self) -> bytes:
        return resume_id(self.ss)

    @property
    def local_half(self) -> bytes:
        return self.identifier[:9] if self.original_role == "A" else self.identifier[9:]

    @property
    def remote_half(self) -> bytes:
        return self.identifier[9:] if self.original_role == "A" else self.identifier[:9]

    def sn(self, local_nonce: bytes, remote_nonce: bytes) -> bytes:
        """nonce_a | nonce_b, where figures 2 and 3 tie the letters to the original roles."""
        if self.original_role == "A":
            return local_nonce + remote_nonce
        return remote_nonce + local_nonce

    def next(self) -> "Session":
        ss = next_secret(self.ss)
        return Session(self.tep, self.aead, self.original_role, self.i + 1, ss)
