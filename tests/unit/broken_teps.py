"""TEPs that each break one rule of RFC 8547 section 5, made of the example.

``BROKEN`` maps a clause of pyeno.tep.testing to the TEPs that it must catch.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from unit.example_tep import Example, ExampleConnection

import pyeno
from pyeno import Role

BROKEN: dict[str, list[Any]] = defaultdict(list)


def breaks(clause: str, **definition: Any) -> Callable[[type], type]:
    """A TEP with these connections, or with these attributes of the definition."""

    def register(connection: type) -> type:
        made = type(
            connection.__name__,
            (Example,),
            {"create": lambda self, outcome, config: connection(outcome, config), **definition},
        )()
        BROKEN[clause].append(made)
        return connection

    return register


def badly_defined(clause: str, **definition: Any) -> None:
    breaks(clause, **definition)(type("Defined", (ExampleConnection,), {}))


# -- definitions --------------------------------------------------------------------------

for identifier in (0x1F, 0x70, 0x7F, 0x80, "0x20", True):
    badly_defined("test_identifier", identifier=identifier)
for name in ("", "all", "Two", "0x20", "a,b", "a b", "-a", 7):
    badly_defined("test_name", name=name)
for data in (b"", bytes(17), "text", bytearray(b"\x0e"), b"two"):
    badly_defined("test_suboption_data", suboption=lambda self, config, role, d=data: d)
for lengths in (range(1), range(0), range(0, 3, 2), range(39), (0, 1), range(-1, 2)):
    badly_defined("test_suboption_data", lengths=lambda self, role, r=lengths: r)
badly_defined("test_works_here", lack=lambda self: "no such library")
badly_defined("test_urgent_data", urgent=True)
badly_defined("test_rekeying", rekeys=True)


@breaks("test_interface")
class WithoutMember:
    """A connection that is none."""

    def __init__(self, outcome: Any, config: Any) -> None:
        self.role = outcome.role


# -- session IDs --------------------------------------------------------------------------


def identified(clause: str, change: Callable[[Any, bytes], bytes]) -> None:
    """Gives its application another session ID than the protocol makes."""

    class Identified(ExampleConnection):
        @property
        def session_id(self) -> bytes:
            return change(self, super().session_id)

    breaks(clause)(Identified)


identified("test_session_id_form", lambda self, known: known[:32])
identified("test_session_id_form", lambda self, known: known[1:] + b"x")
identified("test_session_id_form", lambda self, known: bytes([known[0] & 0x7F]) + known[1:])
identified("test_session_id_form", lambda self, known: known + self.role.value.encode())
identified("test_session_ids_are_unique", lambda self, known: known[:1] + bytes(32))
identified("test_session_ids_are_unique", lambda self, known: known[:17] + bytes(16))
identified("test_session_id_stays", lambda self, known: known + bytes([self._sealed_frames]))


@breaks("test_no_session_id_before_keys")
class Unready(ExampleConnection):
    @property
    def session_id(self) -> bytes:
        return self._session_id


@breaks("test_session_id_is_not_on_the_wire")
class Published(ExampleConnection):
    """Tells a part of it."""

    def send(self, data: Any, **named: Any) -> bytes:
        return self.session_id[1:9] + super().send(data, **named)

    def take(self, data: bytes) -> None:
        super().take(data[8:] if self.established else data)


@breaks("test_transcript_is_bound")
class Unbound(ExampleConnection):
    def _agree(self, remote: bytes) -> None:
        self.outcome = self.outcome._replace(transcript=b"")
        super()._agree(remote)


class LongLived(ExampleConnection):
    """Its key is the same every time."""

    roles = tuple(Role)

    def __init__(self, outcome: Any, config: Any) -> None:
        super().__init__(outcome, config)
        if outcome.role in self.roles:
            secret = hashlib.sha256(outcome.role.value.encode()).digest()
            self._private = X25519PrivateKey.from_private_bytes(secret)
            self._public = self._private.public_key().public_bytes_raw()


breaks("test_session_ids_are_unique")(LongLived)
breaks("test_never_the_same_bytes")(LongLived)


@breaks("test_fresh_data_of_both_sides")
class LongLivedB(LongLived):
    roles = (Role.B,)


# -- authenticated encryption -------------------------------------------------------------


class Legible:
    """A null cipher."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def encrypt(self, nonce: bytes, data: bytes, extra: bytes) -> bytes:
        return data + hashlib.sha256(self.key + nonce + data + extra).digest()[:16]

    def decrypt(self, nonce: bytes, sealed: bytes, extra: bytes) -> bytes:
        if self.encrypt(nonce, sealed[:-16], extra) != sealed:
            raise InvalidTag
        return sealed[:-16]


class Unauthenticated(Legible):
    """A stream cipher alone."""

    def encrypt(self, nonce: bytes, data: bytes, extra: bytes) -> bytes:
        return self.stream(nonce, data) + bytes(16)

    def decrypt(self, nonce: bytes, sealed: bytes, extra: bytes) -> bytes:
        return self.stream(nonce, sealed[:-16])

    def stream(self, nonce: bytes, data: bytes) -> bytes:
        mask = hashlib.shake_128(self.key + nonce).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, mask, strict=True))


def ciphered(clause: str, cipher: Callable[[bytes], Any], *, one_key: bool = False) -> None:
    class Ciphered(ExampleConnection):
        def _agree(self, remote: bytes) -> None:
            super()._agree(remote)
            to_b, to_a = (cipher(self.session_id + end) for end in (b"A", b"B"))
            pair = (to_b, to_b if one_key else to_a)
            self._sealer, self._opener = pair if self.role is Role.A else pair[::-1]

    breaks(clause)(Ciphered)


def strong(key: bytes) -> Any:
    return ChaCha20Poly1305(hashlib.sha256(key).digest())


ciphered("test_nothing_legible", Legible)
ciphered("test_altered_bytes", Unauthenticated)
ciphered("test_altered_key_exchange", lambda key: Legible(b""))
ciphered("test_stream_of_another_connection", lambda key: strong(key[-1:]))
ciphered("test_reflected_stream", strong, one_key=True)


@breaks("test_tampered_stream")
@breaks("test_never_the_same_bytes")
class NonceReused(ExampleConnection):
    def seal(self, data: bytes, fin: bool) -> bytes:
        self._sealed_frames = 0
        return super().seal(data, fin)

    def _next_frame(self) -> Any:
        self._opened_frames = 0
        return super()._next_frame()


@breaks("test_cut_anywhere")
class WholeOnly(ExampleConnection):
    """Takes every recv() for a whole frame."""

    def take(self, data: bytes) -> None:
        super().take(data)
        self._received.clear()


@breaks("test_key_exchange_and_data_together")
class Forgetful(ExampleConnection):
    """Drops what came behind the key."""

    def _agree(self, remote: bytes) -> None:
        super()._agree(remote)
        self._received.clear()


@breaks("test_data_arrive")
class Shortened(ExampleConnection):
    def deliver(self, data: bytes) -> None:
        super().deliver(data[:1000])


@breaks("test_no_data")
class Padding(ExampleConnection):
    def send(self, data: Any, **named: Any) -> bytes:
        return super().send(data or b"\0", **named)


@breaks("test_sealed_into_a_buffer")
class Overflowing(ExampleConnection):
    def seal_into(self, out: Any, data: Any, **named: Any) -> tuple[int, int]:
        taken, written = super().seal_into(out, data, **named)
        return min(taken + 1, len(data)), written


# -- the end of the stream ----------------------------------------------------------------


@breaks("test_truncation_between_frames")
@breaks("test_truncated")
class Trusting(ExampleConnection):
    """Takes TCP's FIN for the end."""

    def receive_eof(self) -> None:
        self.end()


@breaks("test_truncation_between_frames")
@breaks("test_end_during_key_exchange")
class Indistinct(ExampleConnection):
    def receive_eof(self) -> None:
        if not self.ended:
            raise pyeno.RemoteProtocolError("an error like any other")


@breaks("test_bytes_after_the_end")
class Deaf(ExampleConnection):
    """Ignores what follows the end."""

    def receive_data(self, data: bytes) -> None:
        if not self.ended:
            super().receive_data(data)

    def take(self, data: bytes) -> None:
        try:
            super().take(data)
        except pyeno.RemoteProtocolError:
            if not self.ended:
                raise


@breaks("test_nothing_is_sent_after_the_end")
class Endless(ExampleConnection):
    def send(self, data: Any, **named: Any) -> bytes:
        self._fin_sealed = False
        return super().send(data, **named)


@breaks("test_end_of_stream")
class BothWays(ExampleConnection):
    """One end ends both directions."""

    def end(self) -> None:
        super().end()
        self._fin_sealed = True


@breaks("test_end_is_told_after_the_data")
class Hasty(ExampleConnection):
    finished = ExampleConnection.ended


# -- urgent data --------------------------------------------------------------------------


@breaks("test_urgent_data")
class UrgentUnprotected(ExampleConnection):
    def send(self, data: Any, *, fin: bool = False, urgent: bool = False) -> bytes:
        return super().send(data, fin=fin)


@breaks("test_no_urgent_data_by_corruption")
class UrgentByCorruption(ExampleConnection):
    """Believes a byte before it is authenticated."""

    def take(self, data: bytes) -> None:
        if self.established and data[1] & 0x02:
            self.urgent_index = 0
        super().take(data)


# -- secrets, and the rest ----------------------------------------------------------------


@breaks("test_wipe")
class Unforgetting(ExampleConnection):
    def wipe(self) -> None:
        pass


@breaks("test_not_shown")
class Showing(ExampleConnection):
    def __repr__(self) -> str:
        return f"<keys {self.session_id.hex()}>"


@breaks("test_not_shown")
class Pickled(ExampleConnection):
    def __reduce__(self) -> Any:
        return str, (self.session_id,)


@breaks("test_errors_tell_no_data")
class Talkative(ExampleConnection):
    def take(self, data: bytes) -> None:
        try:
            super().take(data)
        except pyeno.RemoteProtocolError:
            raise pyeno.RemoteProtocolError(f"bad frame {data.hex()}") from None


@breaks("test_rekeying")
class Pretending(ExampleConnection):
    def rekey(self) -> None:
        pass


@breaks("test_counts")
class Miscounting(ExampleConnection):
    opened = 0


@breaks("test_counts")
class Owing(ExampleConnection):
    owes = True


@breaks("test_events")
class Silent(ExampleConnection):
    def next_event(self) -> None:
        return None
