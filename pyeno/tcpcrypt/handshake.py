"""The key exchange (RFC 8548 section 3.3).

    A -> B:  Init1 = { INIT1_MAGIC, sym_cipher_list, N_A, Pub_A }
    B -> A:  Init2 = { INIT2_MAGIC, sym_cipher, N_B, Pub_B }

    host A   START ──create Init1──▶ INIT1_SENT ──consume Init2──▶ AGREED
    host B   START ──consume Init1, create Init2──▶ AGREED

The stage takes stream bytes and gives :class:`Agreed`: everything the key
schedule needs, and what follows the Init message in the stream.  The private
key is wiped as soon as ES exists.
"""

from enum import Enum
from typing import NamedTuple

from pyeno._values import Buffer
from pyeno.constants import INIT1_MAGIC, INIT2_MAGIC, N_A_LEN, N_B_LEN, Role
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.tcpcrypt.agreement import KeyPair, Secret
from pyeno.tcpcrypt.messages import (
    Init1,
    Init2,
    encode_init1,
    encode_init2,
    message_len,
    parse_init1,
    parse_init2,
)
from pyeno.tcpcrypt.schemes import Randomness, bare_public, encode_public, generate


class Agreed(NamedTuple):
    """What both hosts know after Init2."""

    es: Secret
    n_a: bytes
    init1: bytes
    init2: bytes
    aead: int


class HandshakeState(Enum):
    """Past participles of what happened last."""

    START = "start"
    INIT1_SENT = "Init1 sent"
    AGREED = "agreed"
    FAILED = "failed"


class Handshake:
    """One host's side of the key exchange.

    ``aeads``: host A advertises them in this order; host B takes the first
    that A advertised (section 3.3).
    """

    def __init__(
        self, *, role: Role, tep: int, aeads: tuple[int, ...], randomness: Randomness
    ) -> None:
        self.role = role
        self.state = HandshakeState.START
        self.aeads = aeads
        self._tep = tep
        self._randomness = randomness
        self._received = bytearray()
        self._keys: KeyPair | None = None
        self._n_a = self._sent = b""

    def start(self) -> bytes:
        """Host A's Init1; host B waits and sends nothing yet."""
        if self.state is not HandshakeState.START:
            raise LocalProtocolError(f"handshake: start() again, state is {self.state.value}")
        if self.role is Role.B:  # [8548:3.3-1]
            return b""
        keys = generate(self._tep, self._randomness)  # [8547:5-7] [8548:3.3-4]
        pub_a = encode_public(self._tep, keys.public)
        n_a = self._randomness.public(N_A_LEN)
        init1 = encode_init1(Init1(self.aeads, n_a, pub_a))
        self._keys, self._n_a, self._sent = keys, n_a, init1
        self.state = HandshakeState.INIT1_SENT
        return init1

    def receive(self, data: Buffer) -> tuple[Agreed, bytes, bytes] | None:
        """Take stream bytes; None until the peer's Init message is whole.

        Then: (agreed, bytes to send, stream bytes after the Init message).
        Raises RemoteProtocolError; the connection must be aborted.
        """
        if self.state in (HandshakeState.AGREED, HandshakeState.FAILED):
            raise LocalProtocolError(f"handshake: receive() when {self.state.value}")
        self._received += data
        try:
            length = message_len(
                self._received, INIT1_MAGIC if self.role is Role.B else INIT2_MAGIC
            )
            if length is None or len(self._received) < length:  # [8548:3.3-2]
                return None
            message = bytes(self._received[:length])
            consume = self._consume_init1 if self.role is Role.B else self._consume_init2
            agreed, reply = consume(message)
        except RemoteProtocolError:
            self.state = HandshakeState.FAILED
            self.wipe()
            raise
        rest = bytes(self._received[length:])  # [8548:3.3-14]
        self.state = HandshakeState.AGREED
        self.wipe()
        return agreed, reply, rest

    @property
    def begun(self) -> int:
        """Bytes of an Init message that is not whole yet."""
        return len(self._received)

    def wipe(self) -> None:
        """Forget the private key and what was received."""
        if self._keys is not None:
            self._keys.wipe()  # [8547:5-8]
            self._keys = None
        self._received = bytearray()

    def _consume_init1(self, message: bytes) -> tuple[Agreed, bytes]:
        init1 = parse_init1(message, self._tep)
        # [8548:3.3-13, 4.1-7]
        cipher = next((aead for aead in self.aeads if aead in init1.ciphers), None)
        if cipher is None:
            raise RemoteProtocolError(
                f"Init1: sym_cipher_list {_listing(init1.ciphers)} at stream offset 9 has "
                f"none of {_listing(self.aeads)}; allow one of them in Config.aeads"
            )
        keys = generate(self._tep, self._randomness)
        try:
            es = keys.exchange(bare_public(self._tep, init1.pub_a))
        finally:
            keys.wipe()
        n_b = self._randomness.public(N_B_LEN)
        pub_b = encode_public(self._tep, keys.public, init1.pub_a)
        reply = encode_init2(Init2(cipher, n_b, pub_b))
        return Agreed(es, init1.n_a, message, reply, cipher), reply

    def _consume_init2(self, message: bytes) -> tuple[Agreed, bytes]:
        init2 = parse_init2(message, self._tep)
        # "If host A receives Init2 with a sym_cipher value that was not present
        # in the sym_cipher_list it previously transmitted in Init1, it MUST
        # abort" (section 3.3) [8548:3.3-15]
        if init2.cipher not in self.aeads:
            raise RemoteProtocolError(
                f"Init2: sym_cipher 0x{init2.cipher:04x} at stream offset 8 was not "
                f"offered in Init1 ({_listing(self.aeads)}); connection aborted"
            )
        if self._keys is None:
            raise LocalProtocolError("handshake: Init2 before start()")
        es = self._keys.exchange(bare_public(self._tep, init2.pub_b))
        return Agreed(es, self._n_a, self._sent, message, init2.cipher), b""


def _listing(ciphers: tuple[int, ...]) -> str:
    return "[" + ", ".join(f"0x{cipher:04x}" for cipher in ciphers) + "]"
