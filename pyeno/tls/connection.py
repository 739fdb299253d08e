"""One TLS connection without I/O: OpenSSL between two memory BIOs.

    stream bytes ──▶ bio_write() ──▶ do_handshake(), recv() ──▶ application bytes
    stream bytes ◀── bio_read()  ◀── do_handshake(), sendall() ◀──

Role A is the TLS client, whichever host opened the TCP connection.  TLS 1.3's own
machinery (records, keys, KeyUpdate of the peer) is OpenSSL's; what is here joins it to
:class:`pyeno.tep.base.BaseConnection` and decides what ends the connection.
"""

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from OpenSSL import SSL

from pyeno._values import Outcome
from pyeno.constants import Role
from pyeno.errors import ConfigError, RemoteProtocolError, TepError
from pyeno.tep.base import BaseConnection
from pyeno.tls import context, keys, profile, wording
from pyeno.tls.binding import Binding
from pyeno.tls.errors import TlsError
from pyeno.tls.records import DATA_MAX, OVERHEAD, Boundaries

if TYPE_CHECKING:
    from pyeno.config import Config

BATCH: Final = 4
"""records made, or taken, by one turn: OpenSSL's buffers stay as large as they became"""
_TAKEN: Final = BATCH * (DATA_MAX + OVERHEAD)
_OUTPUT: Final = 1 << 16
"""bytes, more than a whole flight of the handshake"""
_ANSWER: Final = OVERHEAD + 5
_ANSWERS_MAX: Final = 100 * _ANSWER
"""bytes of answers to KeyUpdates that may wait for room"""
HANDSHAKE, RECORDS = "the handshake", "a record"


class Connection(BaseConnection):
    """See :class:`pyeno.tep.TepConnection` for each method.

    Raises :class:`pyeno.tls.errors.TlsError` and its kin where the peer is to blame.
    """

    overhead = (BATCH + 1) * OVERHEAD + 512
    """of a batch, close_notify and the answer to a KeyUpdate"""

    _last_words = b""

    def __init__(self, outcome: Outcome, config: "Config") -> None:
        super().__init__(outcome, config)
        if config.frame_size == "auto":
            self.frame_data = BATCH * DATA_MAX
        else:
            self.frame_data = min(config.frame_size, DATA_MAX)
        self._binding = Binding(outcome.transcript)
        self._boundaries = Boundaries()
        self._tls: SSL.Connection | None = None

    # -- handshake ---------------------------------------------------------------

    def begin(self) -> bytes:
        try:
            tls = SSL.Connection(context.get(self.role, self.config), None)
        except ConfigError as error:  # the file of a key changed since the policy was made
            raise TepError(f"{error}; connection aborted") from None
        tls.set_app_data(self._binding)
        self._tls = tls
        if self.role is Role.B:
            tls.set_accept_state()
            return b""
        tls.set_connect_state()
        tls.set_alpn_protos([self._binding.name])
        self._shake(tls)
        return self._output(tls)

    def _shake(self, tls: SSL.Connection) -> bool:
        """As far as it goes with what has come; whether it is complete."""
        try:
            tls.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as error:
            raise self._fail(tls, error, HANDSHAKE) from None
        return True

    def _agree(self, tls: SSL.Connection) -> None:
        """Take the handshake a step further; check everything, then be established."""
        complete = self._shake(tls)
        output = self._output(tls)
        if self.role is Role.B and output:  # it has the ClientHello, and would answer
            self._last_words = self._binding.refusal()
            self._binding.check_offer()
        if complete:
            self._binding.check_selection(tls)
            aead = profile.check(tls, self.config.aeads)
            peer_key = self._look_at_peer(tls)
            session_id = self._binding.session_id(tls, self.outcome.tep_byte)
            self.aead, self.peer_key = aead, peer_key
        if output:
            self.owe(output)
        if complete:
            self.establish(session_id)

    def _look_at_peer(self, tls: SSL.Connection) -> bytes | None:
        if self.role is Role.B:
            return None
        return keys.public_key(partial(tls.get_peer_certificate, as_cryptography=True))

    # -- records -------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        for piece in self._boundaries.pieces(data, _TAKEN):
            if self.ended:  # else "data received after a closure alert … MUST be ignored"
                raise TlsError("more follows the peer's close_notify; connection aborted")
            self._take_piece(piece)

    def _take_piece(self, piece: memoryview) -> None:
        tls = self._open()
        tls.bio_write(piece)
        if not self.established:
            self._agree(tls)
        if self.established:
            self._take_records(tls)

    def _take_records(self, tls: SSL.Connection) -> None:
        try:
            while True:
                self.deliver(tls.recv(DATA_MAX))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.end()  # close_notify (RFC 8446 section 6.1)
        except SSL.Error as error:
            raise self._fail(tls, error, RECORDS) from None
        self.owe(self._output(tls))  # answers to KeyUpdates (RFC 8446 section 4.6.3)
        if len(self._owed) > _ANSWERS_MAX:
            raise TlsError(
                f"more than {_ANSWERS_MAX // _ANSWER} KeyUpdates came faster than this host "
                "could answer; connection aborted"
            )

    def seal(self, data: bytes, fin: bool) -> bytes:
        tls = self._open()
        try:
            if data:
                tls.sendall(data)
            if fin:
                tls.shutdown()
        except SSL.Error as error:  # what came was bad, and has not been told yet
            raise self._fault or wording.tell(error, when=RECORDS) from None
        return self._output(tls, len(data) + self.overhead)

    # -- ends ------------------------------------------------------------------------

    def _fail(self, tls: SSL.Connection, error: SSL.Error, when: str) -> RemoteProtocolError:
        """The alert that OpenSSL made is this host's last word."""
        self._last_words = self._output(tls)
        return wording.tell(error, when=when)

    def last_words(self) -> bytes:
        """A fatal alert (RFC 8446 section 6.2) and, before it, what it is numbered after."""
        with self._lock:
            words, self._last_words = self._owing() + self._last_words, b""
            return words

    def wipe(self) -> None:
        """OpenSSL wipes its keys with the object, which nobody else holds. [8547:5-8, 5-9]"""
        with self._lock:
            self._tls = None
            self._last_words = b""
            super().wipe()

    # -- OpenSSL -----------------------------------------------------------------------

    def _open(self) -> SSL.Connection:
        assert self._tls is not None  # begin() comes first, and nothing after wipe()
        return self._tls

    @staticmethod
    def _output(tls: SSL.Connection, size: int = _OUTPUT) -> bytes:
        """All that OpenSSL wants to be sent, usually fewer than ``size`` bytes."""
        output = b""
        with contextlib.suppress(SSL.WantReadError):
            while len(output) % size == 0:
                output += tls.bio_read(size)
        return output
