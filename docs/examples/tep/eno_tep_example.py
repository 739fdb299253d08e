"""A TEP to copy: X25519, HKDF-SHA256 and ChaCha20-Poly1305 under the experimental
identifier 0x20 (RFC 8547 section 11, table 3).

    suboption data   A, B:  one byte, the binary logarithm of the longest frame taken
    handshake        A → B, B → A:  public key, 32 bytes
    frame            length, 2 bytes | AEAD(flags, 1 byte | application data)

    salt        = SHA-256(negotiation transcript | public key of A | that of B)
    session ID  = negotiated TEP byte | HKDF(shared secret, salt, "session ID")
    key, A → B  = HKDF(shared secret, salt, "A"), and so B → A

The nonce is the number of the frame, the length is authenticated with it, and
flags say whether the sender's stream ends here.  No suite is negotiated, so
none is weak; keys are new with each connection and gone with it.
"""

import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import pyeno
from pyeno import Role
from pyeno.tep import BaseConnection, Definition

KEY_LEN, LENGTH_LEN, FLAGS_LEN, TAG_LEN = 32, 2, 1, 16
FIN = 0x01
LOG_MIN, LOG_MAX, LOG_DEFAULT = 8, 15, 14


class ExampleConnection(BaseConnection):
    """The protocol; BaseConnection makes a connection of it."""

    overhead = LENGTH_LEN + FLAGS_LEN + TAG_LEN

    def __init__(self, outcome, config):
        super().__init__(outcome, config)
        self.frame_data = 1 << self._taken_by(self.role.opposite)
        self._longest = (1 << self._taken_by(self.role)) + FLAGS_LEN + TAG_LEN
        self._private = X25519PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()
        self._sealer = self._opener = None
        self._sealed_frames = self._opened_frames = 0
        self._received = bytearray()

    def _taken_by(self, role):
        """What the suboption data mean: create() raises if they mean nothing."""
        data = self.suboption_data(role)
        if not data:
            return LOG_DEFAULT
        if len(data) != 1 or not LOG_MIN <= data[0] <= LOG_MAX:
            raise pyeno.RemoteProtocolError(
                f"suboption data {data.hex()} of host {role.value}: one byte, "
                f"{LOG_MIN} to {LOG_MAX}; connection aborted"
            )
        return data[0]

    # -- what BaseConnection asks for ------------------------------------------

    def begin(self):
        return self._public

    def take(self, data):
        self._received += data
        if not self.established:
            if len(self._received) < KEY_LEN:
                return
            self._agree(self._taken(KEY_LEN))
        while (frame := self._next_frame()) is not None:
            flags, plaintext = frame[0], frame[FLAGS_LEN:]
            if flags & ~FIN:
                raise pyeno.RemoteProtocolError(
                    f"unknown flags {flags:#04x}; connection aborted"
                )
            self.deliver(plaintext)
            if flags & FIN:
                self.end()
                if self._received:
                    raise pyeno.RemoteProtocolError("bytes after the end; connection aborted")

    def seal(self, data, fin):
        plaintext = bytes([FIN if fin else 0]) + data
        length = (len(plaintext) + TAG_LEN).to_bytes(LENGTH_LEN, "big")
        nonce = self._sealed_frames.to_bytes(12, "big")
        self._sealed_frames += 1
        return length + self._sealer.encrypt(nonce, plaintext, length)

    def wipe(self):
        self._private = self._sealer = self._opener = None
        self._received.clear()
        super().wipe()

    # -- keys and frames ---------------------------------------------------------

    def _agree(self, remote):
        try:
            shared = self._private.exchange(X25519PublicKey.from_public_bytes(remote))
        except ValueError:  # all zero: a key of low order
            raise pyeno.RemoteProtocolError("bad public key; connection aborted") from None
        self._private = None  # forward secrecy begins here
        keys = self._public + remote if self.role is Role.A else remote + self._public
        salt = hashlib.sha256(self.outcome.transcript + keys).digest()

        def derive(info):
            return HKDF(SHA256(), KEY_LEN, salt, info).derive(shared)

        to_b, to_a = ChaCha20Poly1305(derive(b"A")), ChaCha20Poly1305(derive(b"B"))
        self._sealer, self._opener = (to_b, to_a) if self.role is Role.A else (to_a, to_b)
        self.establish(bytes([self.outcome.tep_byte]) + derive(b"session ID"))

    def _taken(self, size):
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _next_frame(self):
        """The plaintext of one whole frame, or None; an authentic one at least has flags."""
        if len(self._received) < LENGTH_LEN:
            return None
        length = int.from_bytes(self._received[:LENGTH_LEN], "big")
        if not FLAGS_LEN + TAG_LEN <= length <= self._longest:
            raise pyeno.RemoteProtocolError(
                f"frame {self._opened_frames}: a length of {length}; connection aborted"
            )
        if len(self._received) < LENGTH_LEN + length:
            return None
        header, sealed = self._taken(LENGTH_LEN), self._taken(length)
        nonce = self._opened_frames.to_bytes(12, "big")
        try:
            plaintext = self._opener.decrypt(nonce, sealed, header)
        except InvalidTag:
            raise pyeno.AuthenticationError(
                f"frame {self._opened_frames}: authentication failed; connection aborted"
            ) from None
        self._opened_frames += 1
        return plaintext


class Example(Definition):
    """What pyeno has to know of it before there is a connection."""

    identifier = 0x20
    name = "example"

    def suboption(self, config, role):
        return bytes([min(config.frame_data.bit_length() - 1, LOG_MAX)])

    def lengths(self, role):
        return range(2)

    def create(self, outcome, config):
        return ExampleConnection(outcome, config)


EXAMPLE = Example()
