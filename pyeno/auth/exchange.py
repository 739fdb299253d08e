"""One end of an authentication, without I/O.

    A                                   B
    HELLO(method, role, nonce_A)  --->
                                  <---  HELLO(method, role, nonce_B)
    PROOF_A                       --->
                                  <---  PROOF_B
    ACCEPT                        --->
                                  <---  ACCEPT

Both ends speak at once; neither waits for a message of its own rank.  A proof is
of ``statement()``: the channel binding of the end that proves (its role, the
session ID), the application's context and both HELLOs, hence both nonces and
public keys.  ACCEPT says that the proof was good, so whoever is done knows that
both are.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

from pyeno._values import Buffer
from pyeno.auth.binding import ChannelBinding
from pyeno.auth.errors import (
    EndedEarlyError,
    MethodError,
    ProofError,
    ReflectionError,
)
from pyeno.auth.messages import (
    HEADER_LEN,
    NONCE_LEN,
    Hello,
    Method,
    Type,
    encode,
    encode_hello,
    message_len,
    parse_hello,
)
from pyeno.constants import Role
from pyeno.errors import ConfigError, LocalProtocolError
from pyeno.tcpcrypt.schemes import Randomness

LABEL: Final = b"pyeno.auth 1 proof\0"
"""Nothing else that a key may sign or authenticate begins so."""
CONTEXT_MAX: Final = 0xFFFF


@dataclass(frozen=True)
class Authenticated:
    """Who the peer has proved to be."""

    method: str
    """``psk``, ``ed25519``, or ``tls-key``"""
    name: str | None = None
    """the name its key is pinned under"""
    fingerprint: str | None = None
    """of its public key, as ``ssh-keygen -l`` writes it"""
    first_use: bool = False
    """its key was not known before and is pinned now"""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


class Exchange(ABC):
    """Give it what the peer sends, send the peer what it gives, until ``done``.

    Whatever it raises from ``receive_data`` or ``receive_eof`` obliges the caller to
    abort the connection; it is raised again by every later call.
    """

    method: Method

    def __init__(
        self, binding: ChannelBinding, key: bytes, context: bytes, randomness: Randomness
    ) -> None:
        if len(context) > CONTEXT_MAX:
            raise ConfigError(f"context: {len(context)} bytes; allowed: 0 to {CONTEXT_MAX}")
        self._binding = binding
        self._context = bytes(context)
        hello = Hello(self.method, binding.role, randomness.public(NONCE_LEN), key)
        self._hellos = {binding.role: encode_hello(hello)}
        self._proof = b""
        self._owed = self._hellos[binding.role]
        self._received = bytearray()
        self._expected: Type | None = Type.HELLO
        self._error: Exception | None = None

    def __repr__(self) -> str:
        state = "failed" if self._error else "done" if self.done else "under way"
        role = self._binding.role.value
        return f"<{type(self).__name__}: role {role}, {state}>"

    # -- the method's part -----------------------------------------------------

    @abstractmethod
    def _meet(self, hello: Hello) -> None:
        """Judge the key of a HELLO, before anything is proved to the peer."""

    @abstractmethod
    def _prove(self) -> bytes:
        """This host's proof of ``statement()``."""

    @abstractmethod
    def _verify(self, proof: bytes) -> None:
        """Raise ProofError unless it is the peer's of its ``statement()``."""

    @abstractmethod
    def _authenticated(self) -> Authenticated:
        """Who that was."""

    # -- what is known -----------------------------------------------------------

    @property
    def done(self) -> bool:
        """Both ends have accepted each other, and nothing is left to be sent."""
        return self._expected is None and not self._owed and self._error is None

    @property
    def wanted(self) -> int:
        """Bytes of the peer's to wait for: never more than are this protocol's."""
        if self._expected is None or self._error is not None:
            return 0
        whole = message_len(self._received, self._expected, self.method)
        return (HEADER_LEN if whole is None else whole) - len(self._received)

    @property
    def unused_data(self) -> bytes:
        """What was received beyond the last message: the application's."""
        return bytes(self._received) if self._expected is None else b""

    @property
    def authenticated(self) -> Authenticated:
        """Who the peer is; raises LocalProtocolError before ``done``."""
        self._check()
        if not self.done:
            raise LocalProtocolError("not authenticated yet: drive the exchange until done")
        return self._authenticated()

    def statement(self, role: Role) -> bytes:
        """What host ``role`` proves. [8547:10-1]"""
        return b"".join(
            (
                LABEL,
                _prefixed(self._binding.of(role)),
                _prefixed(self._context),
                self._hellos[Role.A],
                self._hellos[Role.B],
            )
        )

    # -- driving it ----------------------------------------------------------------

    def data_to_send(self) -> bytes:
        """Bytes owed to the peer."""
        owed, self._owed = self._owed, b""
        return owed

    def receive_data(self, data: Buffer) -> None:
        """Take what the peer sent; raises PeerNotAuthenticatedError."""
        self._check()
        self._received += data
        try:
            while self._expected is not None:
                length = message_len(self._received, self._expected, self.method)
                if length is None or length > len(self._received):
                    return
                message = bytes(self._received[:length])
                self._consume(self._expected, message)
                del self._received[:length]
        except Exception as error:
            self._fail(error)
            raise

    def receive_eof(self) -> None:
        """The peer's stream ended; raises EndedEarlyError unless all was said."""
        self._check()
        if self._expected is None:
            return
        error = EndedEarlyError(
            f"the peer ended its stream {len(self._received)} bytes into its "
            f"{self._expected.name}: its application does not authenticate, or gave up; "
            "connection reset"
        )
        self._fail(error)
        raise error

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._owed = b""

    def _consume(self, kind: Type, message: bytes) -> None:
        body = message[HEADER_LEN:]
        if kind is Type.HELLO:
            self._take_hello(message)
            self._proof = self._prove()
            self._owed += encode(Type.PROOF, self._proof)
            self._expected = Type.PROOF
        elif kind is Type.PROOF:
            self._take_proof(body)
            self._owed += encode(Type.ACCEPT)
            self._expected = Type.ACCEPT
        else:
            self._expected = None

    def _take_hello(self, message: bytes) -> None:
        hello = parse_hello(message)
        if hello.role is self._binding.role:
            raise ReflectionError(
                f"HELLO: role at offset {HEADER_LEN + 1} is {hello.role.value}, this host's "
                "own: somebody sends back what this host sent, or the peer mistakes its role; "
                "connection reset"
            )
        if hello.method is not self.method:
            raise MethodError(
                f"HELLO: method at offset {HEADER_LEN} is {hello.method.name.lower()}, this "
                f"host's is {self.method.name.lower()}: choose the same at both ends; "
                "connection reset"
            )
        self._meet(hello)
        self._hellos[hello.role] = message

    def _take_proof(self, proof: bytes) -> None:
        if proof == self._proof:
            raise ReflectionError(
                "PROOF: this host's own proof was sent back to it; connection reset"
            )
        self._verify(proof)


def bad_proof(what: str) -> ProofError:
    """What a proof that does not verify may mean."""
    return ProofError(
        f"PROOF: the {what} at offset {HEADER_LEN} does not verify: the peer has another key "
        "or another context, or somebody in the middle holds two connections with two session "
        "IDs; connection reset"
    )


def _prefixed(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value
