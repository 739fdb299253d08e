"""The key exchange of a user-space tcpcrypt host, right and wrong (RFC 8548 §3.3 to 3.5)."""

import secrets
import time
from dataclasses import dataclass
from typing import Self

from oracle import Incomplete, OracleError, eno, init, keys
from oracle.frames import Opener, Sealer
from oracle.scheme import SCHEMES

from .rfcpeer_frames import Framed


@dataclass(frozen=True)
class Faults:
    """What to do wrong in the key exchange; the default is nothing."""

    magic: int | None = None  # in place of INIT1_MAGIC or INIT2_MAGIC
    message_len: int | None = None  # in place of the true one
    truncate: int = 0  # bytes cut off the end, message_len agreeing with what is left
    ciphers: tuple[int, ...] | None = None  # Init1's list
    cipher: int | None = None  # Init2's selection, listed or not
    public: bytes | None = None  # the Pub field: zero(), low-order, or anything
    ignored: bytes = b""  # after Pub; this one is legal to receive
    silent: bool = False  # never send Init
    plaintext: bytes | None = None  # send this in place of Init
    segment: int | None = None  # send Init in segments of that many bytes
    push: bool = True  # PSH on the segment with Init's last byte
    with_init2: bytes = b""  # application data in a frame in Init2's own segment


@dataclass
class Keys:
    """The values of RFC 8548 section 3.3; no `es` and Init messages in a resumed session."""

    aead: int
    ss: bytes
    sn: bytes
    session_id: bytes
    es: bytes = b""
    init1: bytes = b""
    init2: bytes = b""


class Exchange(Framed):
    """From a negotiated TEP to keys: the part of EnoPeer below negotiation."""

    def __init__(
        self, aeads: tuple[int, ...], sessions: tuple[keys.Session, ...], faults: Faults
    ) -> None:
        super().__init__()
        self.aeads, self.sessions, self.faults = aeads, sessions, faults
        self.negotiated: eno.Negotiated | None = None
        self.reason: str | None = None
        self.role: str | None = None
        self.original_role: str | None = None
        self.keys: Keys | None = None
        self._index = 0

    @property
    def session_id(self) -> bytes:
        assert self.keys is not None, "no keys yet"
        return self.keys.session_id

    @property
    def session(self) -> keys.Session:
        """What the next connection can resume: ss[i+1]."""
        assert self.keys is not None and self.negotiated is not None
        assert self.original_role is not None
        used = self.keys
        return keys.Session(
            self.negotiated.tep, used.aead, self.original_role, self._index, used.ss
        ).next()

    def handshake(self, timeout: float = 10) -> Self:
        """Init1 and Init2, or the keys of a resumed session.

        With `Faults.silent` or `plaintext` it returns without keys.  Raises OracleError for
        what is wrong with the other end's message, ConnectionResetError when it aborts.
        """
        assert self.negotiated is not None, f"not encrypted: {self.reason}"
        if self.negotiated.mode == "resume":
            self._resume()
        elif self.faults.plaintext is not None:
            self.conn.send(self.faults.plaintext)
        elif not self.faults.silent:
            self._exchange(timeout)
        return self

    def _exchange(self, timeout: float) -> None:
        assert self.negotiated is not None
        faults, tep = self.faults, self.negotiated.tep
        scheme = SCHEMES[tep]
        private = scheme.private(secrets.token_bytes(scheme.private_len))
        nonce = secrets.token_bytes(init.N_LEN)
        public = scheme.public(private) if faults.public is None else faults.public
        if self.role == "A":
            ciphers = self.aeads if faults.ciphers is None else faults.ciphers
            sent = self._broken(
                init.encode_init1(ciphers, nonce, public, ignored=faults.ignored)
            )
            self.conn.send(sent, segment=faults.segment, push=faults.push)
            two, rest = self._read2(tep, timeout)
            if two.cipher not in ciphers:
                raise OracleError("cipher-not-offered", f"{two.cipher:#06x}")
            es = scheme.shared(private, two.public)
            self._keyed(two.cipher, nonce, sent, two.raw, es, rest)
            return
        one, rest = self._read1(tep, timeout)
        cipher = (
            init.choose(one.ciphers, self.aeads) if faults.cipher is None else faults.cipher
        )
        sent = self._broken(init.encode_init2(cipher, nonce, public, ignored=faults.ignored))
        es = scheme.shared(private, one.public)
        known = cipher if cipher in keys.AEADS else self.aeads[0]
        self._keyed(known, one.nonce, one.raw, sent, es, rest)
        if faults.with_init2:
            sent += self.seal(faults.with_init2)
        self.conn.send(sent, segment=faults.segment, push=faults.push)

    def _broken(self, message: bytes) -> bytes:
        """An Init message with the faults that concern its frame."""
        faults = self.faults
        if faults.truncate:
            message = message[: -faults.truncate]
            message = message[:4] + len(message).to_bytes(4, "big") + message[8:]
        if faults.message_len is not None:
            message = message[:4] + faults.message_len.to_bytes(4, "big") + message[8:]
        if faults.magic is not None:
            message = faults.magic.to_bytes(4, "big") + message[4:]
        return message

    def _read1(self, tep: int, timeout: float) -> tuple[init.Init1, bytes]:
        stream, deadline = b"", time.monotonic() + timeout
        while True:
            try:
                message = init.parse_init1(stream, tep)
                return message, stream[len(message.raw) :]
            except Incomplete:
                stream += self._more(deadline)

    def _read2(self, tep: int, timeout: float) -> tuple[init.Init2, bytes]:
        stream, deadline = b"", time.monotonic() + timeout
        while True:
            try:
                message = init.parse_init2(stream, tep)
                return message, stream[len(message.raw) :]
            except Incomplete:
                stream += self._more(deadline)

    def _more(self, deadline: float) -> bytes:
        part = self.conn.recv(timeout=max(0.0, deadline - time.monotonic()))
        if not part:
            raise OracleError("fin-in-init")
        return part

    def _keyed(
        self, aead: int, nonce_a: bytes, init1: bytes, init2: bytes, es: bytes, rest: bytes
    ) -> None:
        assert self.negotiated is not None and self.role is not None
        ss = keys.prk(nonce_a, self.negotiated.transcript, init1, init2, es)
        session_id = keys.session_id(self.negotiated.tep_byte, ss)
        self.keys = Keys(aead, ss, b"", session_id, es, init1, init2)
        sizes = len(init1), len(init2)
        ours, theirs = sizes if self.role == "A" else sizes[::-1]
        self._start(self.role, ours, theirs)
        self.opener.feed(rest)

    def _resume(self) -> None:
        """Section 3.5: keys from the session both suboptions name."""
        assert self.negotiated is not None and self.role is not None
        assert self.conn.local_syn is not None and self.conn.remote_syn is not None
        tep = self.negotiated.tep
        local, remote = (
            eno.of_syn(syn.options).find(tep)[0].data
            for syn in (self.conn.local_syn, self.conn.remote_syn)
        )
        session = next(s for s in self.sessions if s.remote_half == remote[: eno.HALF])
        sn = session.sn(local[eno.HALF :], remote[eno.HALF :])
        session_id = keys.session_id(self.negotiated.tep_byte, session.ss, sn)
        self.keys = Keys(session.aead, session.ss, sn, session_id)
        self._index = session.i
        self._start(session.original_role, 0, 0)

    def _start(self, original_role: str, sent: int, received: int) -> None:
        """Frames begin; the offsets count the Init messages already in the streams."""
        assert self.keys is not None
        self.original_role = original_role
        mk = keys.first_master_key(self.keys.ss, self.keys.sn)
        was_a = original_role == "A"
        self.sealer = Sealer(self.keys.aead, mk, was_a, sent)
        self.opener = Opener(self.keys.aead, mk, not was_a, received)
