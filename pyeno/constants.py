"""The numbers of RFC 8547 and RFC 8548, under the RFCs' own names."""

from enum import Enum, IntEnum
from typing import Final, NamedTuple

# RFC 8547 section 4.1, figures 1 and 4
ENO_KIND: Final = 69
ENO_OPTION_MAX: Final = 40
ENO_V: Final = 0x80
ENO_GLT: Final = 0x7F
ENO_TEP_MIN: Final = 0x20
ENO_TEP_RESERVED: Final = 0x70
"""from here to 0x7f "reserved for extended values" (section 11, table 3)"""
SESSION_ID_MIN: Final = 33
"""bytes of a session ID, the TEP identifier's included (section 5.1)"""

# section 4.2, figure 5
GLOBAL_B: Final = 0x01
GLOBAL_A: Final = 0x02
GLOBAL_Z: Final = 0x1C

# RFC 8548 section 4.3, table 1
CONST_NEXTK: Final = b"\x01"
CONST_SESSID: Final = b"\x02"
CONST_REKEY: Final = b"\x03"
CONST_KEY_A: Final = b"\x04"
CONST_KEY_B: Final = b"\x05"
CONST_RESUME: Final = b"\x06"
INIT1_MAGIC: Final = 0x15101A0E
INIT2_MAGIC: Final = 0x097105E0

# section 5
N_A_LEN: Final = 32
N_B_LEN: Final = 32
K_LEN: Final = 32

# section 3.5, figures 2 and 3
RESUME_HALF_LEN: Final = 9
RESUME_NONCE_MAX: Final = 8

# section 4.2: control byte and two-byte clen, then at most 2^16 - 1 of ciphertext
FRAME_HEADER_LEN: Final = 3
CLEN_MAX: Final = 0xFFFF
CONTROL_REKEY: Final = 0x01
FLAG_FINP: Final = 0x01
FLAG_URGP: Final = 0x02
FLAGS_LEN: Final = 1
AEAD_TAG_LEN: Final = 16
FRAME_DATA_MAX: Final = CLEN_MAX - FLAGS_LEN - AEAD_TAG_LEN
"""Application bytes in one frame at most (section 3.6)."""

SECURE_PORTS: Final = frozenset({22, 443, 465, 636, 853, 989, 990, 993, 995, 5061, 8443})
"""Of protocols that encrypt by themselves: ssh, https, smtps, ldaps, DNS over TLS, ftps,
imaps, pop3s, sips.  Programs that know nothing of ENO have them left alone."""


class Role(Enum):
    """Which end of the connection this is (RFC 8547 section 4.3)."""

    A = "A"
    B = "B"

    @property
    def opposite(self) -> "Role":
        return Role.B if self is Role.A else Role.A


class Tep(IntEnum):
    """TEP identifiers (RFC 8547 table 3, RFC 8548 table 4; TLS has that of
    draft-ietf-tcpinc-use-tls). [8548:7-1]"""

    EXPERIMENTAL = 0x20
    TCPCRYPT_ECDHE_P256 = 0x21
    TCPCRYPT_ECDHE_P521 = 0x22
    TCPCRYPT_ECDHE_Curve25519 = 0x23
    TCPCRYPT_ECDHE_Curve448 = 0x24
    TLS = 0x30


class Ecdhe(NamedTuple):
    """How long a key-agreement scheme's keys are, in bytes (RFC 8548 section 5)."""

    secret_len: int
    """private keys, and ES"""
    public_len: int
    """the bare public key: a compressed point, or a u coordinate"""
    pubkey_len: int = 0
    """what the field of that name says, which counts its own two bytes; 0: no such field"""

    @property
    def pub_len(self) -> int:
        """Pub_A and Pub_B as transmitted."""
        return self.pubkey_len or self.public_len


ECDHE: Final[dict[int, Ecdhe]] = {
    Tep.TCPCRYPT_ECDHE_P256: Ecdhe(32, 33, 35),
    Tep.TCPCRYPT_ECDHE_P521: Ecdhe(66, 67, 69),
    Tep.TCPCRYPT_ECDHE_Curve25519: Ecdhe(32, 32),
    Tep.TCPCRYPT_ECDHE_Curve448: Ecdhe(56, 56),
}


class Aead(IntEnum):
    """AEAD algorithms (RFC 8548 table 5)."""

    AES_128_GCM = 0x0001
    AES_256_GCM = 0x0002
    CHACHA20_POLY1305 = 0x0010

    @property
    def key_len(self) -> int:
        """ae_key_len in bytes (RFC 8548 table 3)."""
        return 16 if self is Aead.AES_128_GCM else 32

    @property
    def nonce_len(self) -> int:
        """ae_nonce_len in bytes (RFC 8548 table 3)."""
        return 12


AEADS: Final[dict[int, Aead]] = {int(aead): aead for aead in Aead}
"""By number; a lookup is quicker than ``Aead(number)``."""


class State(IntEnum):
    """Where a socket stands in TCP-ENO (enum eno_state of ext/wire/eno_abi.h)."""

    OFF = 0
    READY = 1
    OFFERED = 2
    ENCRYPTED = 3
    DISABLED = 4


class Reason(IntEnum):
    """Why encryption is disabled (enum eno_reason of ext/wire/eno.h).

    The kernel half, the compiled core and the pure twin give these same
    numbers; ``slug`` is what the command line prints.
    """

    NEGOTIATED = 0
    NOT_CONFIGURED = 1
    UNAVAILABLE = 2
    SYN_WITHOUT_ENO = 3
    SYN_ACK_WITHOUT_ENO = 4
    ACK_WITHOUT_ENO = 5
    REPEATED_OPTION = 6
    LENGTH_BEYOND_END = 7
    LENGTH_BYTE_NOT_BEFORE_TEP = 8
    SAME_ROLE = 9
    PEER_NOT_AWARE = 10
    VACUOUS = 11
    NO_VALID_TEP = 12
    SYN_COOKIE = 13
    SYN_CHANGED = 14
    NO_ROOM = 15
    MALFORMED = 16
    FORGOTTEN = 17
    HOST_POLICY = 18
    NO_ENTROPY = 19
    FAST_OPEN = 20
    NO_ANSWER = 21

    @property
    def slug(self) -> str:
        """The reason as one lower-case word, e.g. ``syn-ack-without-eno``."""
        return self.name.lower().replace("_", "-")
