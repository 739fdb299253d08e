"""What TCP-ENO made of a connection: the ``eno`` attribute of sockets."""

from typing import Any, Protocol

from pyeno import tep
from pyeno.constants import AEADS, ENO_GLT, Aead, Reason, Role, Tep
from pyeno.errors import NotEncryptedError
from pyeno.kernel import Result

_TEPS = {int(number): number for number in Tep}


class Known(Protocol):
    """What is needed of a :class:`pyeno.tep.TepConnection` here."""

    @property
    def established(self) -> bool: ...
    @property
    def session_id(self) -> bytes: ...
    @property
    def aead(self) -> int | None: ...
    @property
    def peer_key(self) -> bytes | None: ...
    @property
    def generation(self) -> int: ...
    @property
    def remote_generation(self) -> int: ...


class Info:
    """A read-only view; each property says what the connection knows now."""

    __slots__ = ("_connection", "_result")

    def __init__(self, result: Result, connection: "Known | None") -> None:
        self._result = result
        self._connection = connection

    def __repr__(self) -> str:
        if not self.encrypted:
            return f"<eno: not encrypted, {self._why()}>"
        return f"<eno: {tep.name(self._result.tep_byte)}, role {self._result.role.value}>"

    @property
    def encrypted(self) -> bool:
        """Encryption is enabled: no plaintext application byte can pass."""
        return self._connection is not None

    @property
    def reason(self) -> Reason | None:
        """Why encryption is disabled; None while it is enabled, or not negotiated yet."""
        reason = self._result.reason
        return None if self.encrypted or reason is Reason.NEGOTIATED else reason

    def _why(self) -> str:
        return "not connected yet" if self.reason is None else self.reason.slug

    @property
    def tep(self) -> int | None:
        """The negotiated TEP identifier (RFC 8547 section 4.5), a ``Tep`` if it has a name
        there."""
        if not self.encrypted:
            return None
        number = self._result.tep_byte & ENO_GLT
        return _TEPS.get(number, number)

    @property
    def tep_name(self) -> str | None:
        """The same as ``Config.teps`` and ``--tep`` take it."""
        return tep.name(self._result.tep_byte) if self.encrypted else None

    @property
    def role(self) -> Role | None:
        """This host's role (section 4.3)."""
        return self._result.role if self.encrypted else None

    @property
    def transcript(self) -> bytes:
        """The negotiation transcript (section 4.8): A's option, then B's."""
        self._need_encryption("transcript")
        return self._result.transcript

    @property
    def session_id(self) -> bytes:
        """33 bytes or more (section 5.1). [8547:5.1-2]

        Raises :class:`pyeno.NotEncryptedError` when there is none: ENO failed,
        or the key exchange is not complete. [8547:5.1-3]
        """
        return self._need_encryption("session ID").session_id

    @property
    def aead(self) -> Aead | int | None:
        """The negotiated AEAD, a number where RFC 8548 has no name for it; None before
        the key exchange, and where the TEP does not say."""
        number = None if self._connection is None else self._connection.aead
        return None if number is None else AEADS.get(number, number)

    @property
    def peer_key(self) -> bytes | None:
        """The public key that the peer proved to hold, SubjectPublicKeyInfo in DER: host B's
        as host A of TLS, once the handshake is complete; else None."""
        return None if self._connection is None else self._connection.peer_key

    @property
    def resumed(self) -> bool:
        """The session was resumed (RFC 8548 section 3.5)."""
        return self.encrypted and self._result.resumed

    @property
    def self_aware(self) -> bool:
        """The application-aware bit sent (RFC 8547 section 4.2)."""
        return self._result.self_aware > 0

    @property
    def peer_aware(self) -> bool:
        """The application-aware bit received. [8547:4.2-7]"""
        return self._result.peer_aware

    @property
    def generation(self) -> int:
        """The local key generation (RFC 8548 section 3.8)."""
        return 0 if self._connection is None else self._connection.generation

    @property
    def remote_generation(self) -> int:
        """The remote key generation, that of the frames received."""
        return 0 if self._connection is None else self._connection.remote_generation

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON; no session ID yet is None."""
        established = self._connection is not None and self._connection.established
        return {
            "encrypted": self.encrypted,
            "reason": self.reason.slug if self.reason is not None else None,
            "tep": f"0x{self.tep:02x}" if self.tep is not None else None,
            "tep_name": self.tep_name,
            "role": self.role.value if self.role is not None else None,
            "session_id": self.session_id.hex() if established else None,
            "transcript": self._result.transcript.hex() if self.encrypted else None,
            "aead": _aead_name(self.aead),
            "resumed": self.resumed,
            "self_aware": self.self_aware,
            "peer_aware": self.peer_aware,
            "peer_key": _fingerprint(self.peer_key),
        }

    def _need_encryption(self, what: str) -> "Known":
        if self._connection is None:
            raise NotEncryptedError(
                f"no {what}: this connection is not encrypted ({self._why()})"
            )
        return self._connection


def _fingerprint(key: bytes | None) -> str | None:
    if key is None:
        return None
    from pyeno.tls.keys import fingerprint

    return fingerprint(key)


def _aead_name(aead: Aead | int | None) -> str | None:
    if isinstance(aead, Aead):
        return aead.name
    return None if aead is None else f"0x{aead:04x}"
