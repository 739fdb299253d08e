"""What a program gets that asks for a ``socket.socket`` for TCP."""

import contextlib
import socket
from select import POLLIN
from typing import Any
from weakref import WeakValueDictionary

from pyeno import kernel
from pyeno.config import Config
from pyeno.constants import Reason
from pyeno.errors import KernelError, LocalProtocolError, PyenoError
from pyeno.inprocess.link import VisibleLink
from pyeno.inprocess.rules import numeric
from pyeno.inprocess.settings import Settings
from pyeno.sockets.raw import BaseSocket, descriptor, kind_of, ready
from pyeno.sockets.settling import Settling
from pyeno.sockets.sock import Socket

SO_ERROR = socket.SOL_SOCKET, socket.SO_ERROR
current = Settings()
_encrypted: WeakValueDictionary[int, "InProcessSocket"] = WeakValueDictionary()


def use(settings: Settings) -> None:
    """The policy of every socket made from now on."""
    global current
    current = settings


class InProcessSocket(Socket):
    """A pyeno.Socket for a program that takes it for the standard one.

    ENO is decided on when the address is known; ``connect`` returns as soon as
    TCP is connected, since the peer may be slow to accept; select() is told
    the truth.
    """

    __slots__ = ("_active", "_connecting")
    _link_type = VisibleLink

    def __init__(
        self,
        family: int = -1,
        type: int = -1,
        proto: int = -1,
        fileno: int | None = None,
        *,
        config: Config | None = None,
    ) -> None:
        self._active = self._connecting = False
        super().__init__(family, type, proto, fileno, config=config or current.config)

    # -- whether ENO is used -------------------------------------------------------

    def _configure(self) -> None:
        """Later: for what is bound to be TLS, or stays here, nothing is negotiated."""

    def _decide(self, address: Any) -> None:
        """Before connect() or listen()."""
        if current.rules.skips(address):
            self._leave()
        elif not self._configured:
            self._config = current.config
            super()._configure()

    def _leave(self) -> None:
        """Plain, whatever is required of others."""
        if self._configured:
            kernel.configure(self, teps=b"")
            self._configured = False
        self._config = self._config.but(require=False)

    def _refuse(self, reason: Reason) -> None:
        if not self._exempt():
            super()._refuse(reason)

    def _exempt(self) -> bool:
        """A connection that somebody else made: is it one to be left alone?"""
        with contextlib.suppress(OSError):
            local, peer = self.getsockname(), self.getpeername()
            if self._active:
                return current.rules.skips(peer)
            return local[1] in current.rules.skip_ports or current.rules.within(peer[0])
        return False

    def may_be_encrypted(self) -> bool:
        """False where plain TCP is certain."""
        rules = current.rules
        with contextlib.suppress(OSError):
            peer = self.getpeername()
            return self.link() is not None or not rules.skips(peer)
        return not rules.skips(self.getsockname())

    def agreed(self) -> bool:
        """Whether there are keys."""
        return self._link is not None and self._link.connection.established

    def connected_encrypted(self) -> bool:
        """Raises BlockingIOError where that is not known yet."""
        return self._connected() and self.link() is not None

    # -- opening -------------------------------------------------------------------

    def connect(self, address: Any) -> None:
        super().connect(self._aimed(address))

    def connect_ex(self, address: Any) -> int:
        return super().connect_ex(self._aimed(address))

    def _aimed(self, address: Any) -> Any:
        """Raises socket.gaierror."""
        if self._connecting and not self._settled:
            return address  # asked again how it goes
        if isinstance(address, tuple) and len(address) > 1:
            address = numeric(kind_of(self)[0], address)
            self._decide(address)
            self._active = self._connecting = True
        return address

    def _opened(self) -> None:
        if self._connecting and self._settle(connected=True, taking=True):
            if self._refused is not None:
                raise self._refused
            self._begin()

    def _begin(self) -> None:
        self._connecting = False
        if isinstance(self._link, VisibleLink) and not self._link.connection.established:
            if self._result.resumed:
                self.do_handshake()  # which waits for nobody
            else:
                self._link.begin()

    def _look_connected(self) -> None:
        """A program that does not block comes here once its connection is open."""
        if self._connecting and not self._closed:
            with contextlib.suppress(OSError, PyenoError):  # told by what it calls next
                self._opened_quietly()

    def _opened_quietly(self) -> None:
        if self._settle(taking=True):
            self._begin()

    def fileno(self) -> int:
        self._look_connected()
        return super().fileno()

    def getsockopt(self, level: int, option: int, *length: int) -> Any:
        value = super().getsockopt(level, option, *length)
        if (level, option) == SO_ERROR and not value:
            self._look_connected()
        return value

    def listen(self, *backlog: int) -> None:
        self._decide(self.getsockname())
        super().listen(*backlog)

    def accept(self) -> tuple[Socket, Any]:
        """As socket.accept(); a listener that came from elsewhere negotiates from the
        next connection on."""
        if not self._listening:
            self._listening = True
            with contextlib.suppress(KernelError):  # before Linux 6.12 it cannot
                self._decide(self.getsockname())
        return super().accept()

    # -- ends ------------------------------------------------------------------------

    def _adopt(self, result: kernel.Result, ss: Any) -> None:
        if ss is None and _agreed(self):
            raise LocalProtocolError(
                "the keys of this connection are those of another socket object; a descriptor "
                "alone cannot take them over (socket.fromfd, dup, os.fork)"
            )
        super()._adopt(result, ss)
        _encrypted[descriptor(self)] = self

    def detach(self) -> int:
        if self._configured and not self._settled:
            with contextlib.suppress(OSError):
                self._leave()
        return super().detach()

    def dup(self) -> "InProcessSocket":
        self._stay("dup: the keys of an encrypted connection cannot be shared")
        return InProcessSocket(
            *kind_of(self), fileno=socket.dup(self.fileno()), config=self._config
        )

    def moved(self) -> "InProcessSocket":
        """Another object for the same connection; this one is closed."""
        kind, timeout, number = kind_of(self), self.gettimeout(), descriptor(self)
        BaseSocket.detach(self)  # type: ignore[attr-defined]
        self._closed = True
        heir = InProcessSocket(*kind, fileno=number, config=self._config)
        heir.settimeout(timeout)
        for name in (*Settling.__slots__, *InProcessSocket.__slots__):
            if name != "_settling":
                setattr(heir, name, getattr(self, name))
        if self._link is not None:
            assert isinstance(self._link, VisibleLink)
            self._link.serve(heir)
            _encrypted[number] = heir
            self._link = self._pump = None
        return heir

    # -- for select() ------------------------------------------------------------------

    def truly_readable(self) -> bool:
        """When the kernel says that it is readable: Init messages are not for the program.
        An error to be told counts."""
        if self._listening or self._pump is not None:
            return True
        timeout = self.gettimeout()
        try:
            if not self._settled and not self._settle():
                return True
            if self._link is None or self._link.connection.established:
                return True
            self.settimeout(0)
            try:
                self.do_handshake()
            finally:
                self.settimeout(timeout)
        except BlockingIOError:
            return False
        except (OSError, PyenoError):
            return True
        return ready(self, POLLIN)


def _agreed(sock: socket.socket) -> bool:
    """Whether somebody has the keys of this connection already."""
    try:
        kernel.session_id(sock)
    except OSError:
        return False
    return True


def kind_at(descriptor: int) -> tuple[int, int, int] | None:
    """What a descriptor is a socket of; None: of nothing."""
    try:
        probe: Any = BaseSocket(fileno=descriptor)
    except OSError:
        return None
    kind = kind_of(probe)
    probe.detach()
    return kind


def encrypted_at(number: int) -> bool:
    """Whether what goes through this descriptor has to be sealed."""
    sock = _encrypted.get(number)
    return sock is not None and descriptor(sock) == number
