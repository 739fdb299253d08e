"""Connections of programs, through a relay (docs/redirect.md):

    with Redirection([cgroup], near=(listener, None), rules=Rules()) as redirection:
        for held in redirection.held():             # when its fileno() is readable
            far.connect(held.destination)
            redirection.admit(held, far.getsockname())
            near, source = listener.accept()        # source == held.source

Opening the far connection and passing the bytes on is the relay's own business.
"""

import errno
import os
import socket
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple, Self

from pyeno.errors import ConfigError
from pyeno.loading import explaining
from pyeno.redirect import layout, links, listeners, packet
from pyeno.redirect.layout import Address, Event
from pyeno.redirect.listeners import Pair
from pyeno.redirect.listening import Listening, any_like
from pyeno.redirect.rules import Rules

_BATCH = 256
_GONE_MAX = 16384
_FIRST = layout.WORD.pack(0)
_NEITHER: Pair = (None, None)


class Held(NamedTuple):
    """A connection that a program wants, and whose SYN waits."""

    destination: Address
    """where the program connects to"""
    source: Address
    """what accept() on the near listener will return for it"""
    cookie: int
    """of this attempt to connect: no other has it"""
    pid: int
    """of the program, in the host's numbering"""
    uid: int
    packet: bytes = b""

    def __repr__(self) -> str:
        return f"<Held {self.source} to {self.destination}, cookie {self.cookie}>"


class Redirection:
    """Redirects the TCP connections of all processes in some cgroups, while it is open.

    ``near``: plain listeners on loopback, for IPv4 and IPv6, at which the connections that
    the programs make arrive once admitted.  ``steered``: listeners that get the connections
    to the programs' ports.  Either may be None; a pair of None leaves that direction alone.

    Links are descriptors of this process: when it dies, programs connect directly.  With
    ``pin``, a directory of bpffs, new connections are refused (ECONNREFUSED) from then on,
    until another Redirection with this pin takes over, or :meth:`clean`.

    Needs CAP_BPF, CAP_NET_ADMIN and, for ``near``, CAP_NET_RAW; Linux 6.1.  Raises
    KernelError, which says what mends it, with nothing attached; ConfigError for
    arguments that cannot be meant.  Once closed, calls raise ValueError.
    """

    def __init__(
        self,
        cgroups: Sequence[Path],
        *,
        near: Pair = _NEITHER,
        steered: Pair = _NEITHER,
        rules: Rules | None = None,
        pin: Path | None = None,
    ) -> None:
        if not cgroups:
            raise ConfigError("cgroups: name at least one")
        listeners.check("near", near, loopback=True)
        listeners.check("steered", steered)
        with explaining("asking for the network namespace", links.KERNEL_MIN):
            self._places, self._netns = listeners.place((near, steered))
        self._gone: deque[int] = deque(maxlen=_GONE_MAX)
        self._prefixes: set[bytes] = set()
        self._exempt: dict[int, bytes] = {}
        with ExitStack() as stack:
            self._injector = stack.enter_context(closing(listeners.Injector(near)))
            self._links = stack.enter_context(closing(links.Links(cgroups, pin)))
            self._listening = stack.enter_context(closing(Listening(self._links.paths)))
            self._fill((*near, *steered), rules or Rules())
            self._links.attach()
            if steered != _NEITHER:
                self._note_listeners()
            self._stack = stack.pop_all()

    def _fill(self, sockets: Sequence[socket.socket | None], rules: Rules) -> None:
        self._present = 0
        for index, sock in enumerate(sockets):
            if sock is not None:
                self._present |= 1 << index
                fd = layout.SOCKET.pack(sock.fileno())
                self._links.map("eno_listening").put(layout.WORD.pack(index), fd)
        self.exempt(os.getpid())
        self.set_rules(rules)

    def _note_listeners(self) -> None:
        noted = self._links.map("eno_listeners")
        with explaining("asking which sockets listen"):
            for place in self._listening.places():
                if noted.get(place) is None:
                    noted.put(place, layout.WORD.pack(1))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Detach at once, and unpin; programs connect directly from now on.

        Connections that stand are the relay's to end; held ones find nobody, and fail.
        """
        self._stack.close()

    def release(self) -> None:
        """Divert nothing any more, as after :meth:`close`; but connections that are held
        may still be admitted or refused, and those that stand keep their names."""
        self._links.release()

    @staticmethod
    def clean(pin: Path) -> bool:
        """Remove what an owner that died left pinned; whether there was anything.

        KernelError (EBUSY) while the owner lives.
        """
        return links.clean(pin)

    def set_rules(self, rules: Rules) -> None:
        """What is redirected from now on; connections that stand stay as they are."""
        skipped = self._links.map("eno_skipped")
        wanted = set(rules.prefixes())
        value = layout.RULES.pack(
            self._netns,
            self._places,
            self._links.pin is not None,
            rules.inbound_ports is None,
            self._present,
            layout.ports(rules.skip_ports),
            layout.ports(rules.inbound_ports or ()),
        )
        with ExitStack() as undo:
            for prefix in wanted - self._prefixes:
                skipped.put(prefix, layout.WORD.pack(1))
                undo.callback(skipped.drop, prefix)
            self._links.map("eno_rules").put(_FIRST, value)
            undo.pop_all()
        for prefix in self._prefixes - wanted:
            skipped.drop(prefix)
        self._prefixes = wanted

    def exempt(self, pid: int, on: bool = True) -> None:
        """Leave the connections of a process alone, as this one's are; off: no longer.

        For a relay's own processes, if their cgroup is redirected.  ProcessLookupError.
        """
        owners = self._links.map("eno_owners")
        if on:
            self._exempt[pid] = layout.WORD.pack(host_pid(pid))
            owners.put(self._exempt[pid], _FIRST)
        elif pid in self._exempt:
            owners.drop(self._exempt.pop(pid))

    # -- connections that programs make -------------------------------------------

    def fileno(self) -> int:
        """Readable when :meth:`held` has something to say."""
        return int(self._links.map("eno_events").fd)

    def held(self) -> list[Held]:
        """Connections that wait for :meth:`admit` or :meth:`refuse`; oldest first."""
        found: dict[int, Held] = {}
        for record in self._links.ring.read(_BATCH):
            event = layout.event(record)
            if event.kind == layout.HELD:
                found[event.cookie] = _held(event)
            elif event.kind == layout.AGAIN:
                self._refuse_again(event)
            elif not found.pop(event.cookie, None):
                self._gone.append(event.cookie)
        return list(found.values())

    def gave_up(self) -> list[int]:
        """Cookies of the connections that :meth:`held` gave before, and that their program
        closed, or its kernel gave up, before they stood; each is told once."""
        gone = list(self._gone)
        self._gone.clear()
        return gone

    def admit(self, held: Held, local: Address) -> None:
        """Let a held connection in: accept() on the near listener will return it.

        ``local``: the far connection's own address, which the program's getsockname() shows.
        """
        self._judge(held, layout.endpoint(local), 0)
        parts = packet.parse(held.packet)
        if parts:
            self._send(held, parts.version, packet.complete(parts))

    def refuse(self, held: Held, error: int) -> int:
        """Make the program's connect() fail; returns the errno it gets.

        Over IPv4 Linux can be told ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,
        ENONET, ENOPROTOOPT, EOPNOTSUPP and EPROTO; over IPv6 ECONNREFUSED, EHOSTUNREACH,
        ENETUNREACH, EACCES and EPROTO; the nearest is taken for others.  ETIMEDOUT is no
        answer: the program waits as long as its kernel does.
        """
        if error <= 0:
            raise ConfigError(f"error={error!r}: give a positive errno")
        told = packet.expressed(6 if len(held.source) > 2 else 4, error)
        self._judge(held, layout.NOWHERE, told)
        self._answer(held, told)
        return told

    def _judge(self, held: Held, local: bytes, error: int) -> None:
        remote = layout.endpoint(held.destination)
        verdict = layout.VERDICT.pack(held.cookie, remote, local, error)
        self._links.map("eno_verdicts").put(layout.endpoint(held.source), verdict)

    def _answer(self, held: Held, error: int) -> None:
        parts = packet.parse(held.packet)
        answer = packet.refusal(parts, error) if parts else None
        if parts and answer:
            self._send(held, parts.version, answer)

    def _refuse_again(self, event: Event) -> None:
        verdict = self._links.map("eno_verdicts").get(event.source)
        if verdict:
            self._answer(_held(event), layout.VERDICT.unpack(verdict)[3])

    def _send(self, held: Held, version: int, packet: bytes) -> None:
        # Lost (a full queue, a firewall), it is as if a network had lost it: the program's
        # kernel retransmits its SYN, which now meets the verdict.
        try:
            self._injector.send(version, packet, held.source)
        except OSError:
            return

    # -- connections to programs ----------------------------------------------------

    def reach(self, sock: socket.socket, client: Address, local: Address) -> Address:
        """Before ``sock`` connects to a program's listener at ``local``, for ``client``.

        Binds it, if it is not bound, and returns its address; the connection is not
        steered, and the program's accept() and getpeername() show ``client``.  OSError if
        it cannot be bound.
        """
        known = layout.endpoint(client)
        try:
            sock.bind(_own_address(local))
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is bound
                raise
        own: Address = sock.getsockname()
        self._links.map("eno_reached").put(layout.endpoint(own), known)
        return own

    def unreach(self, sock: socket.socket, local: Address | None = None) -> None:
        """Before closing a socket that could not connect after :meth:`reach`.

        With ``local``, what it was to reach: if no program listens there any more,
        connections to it are refused from now on.
        """
        self._links.map("eno_reached").drop(layout.endpoint(sock.getsockname()))
        if local is None:
            return
        wanted = layout.endpoint(local)
        known = self._listening.places(local[1])
        for place in (wanted, any_like(wanted)):
            if place not in known:
                self._links.map("eno_listeners").drop(place)


def _held(event: Event) -> Held:
    return Held(
        layout.address(event.remote),
        layout.address(event.source),
        event.cookie,
        event.pid,
        event.uid,
        event.packet,
    )


def _own_address(local: Address) -> Address:
    """Where to connect from: 16 million loopback addresses, or the IPv6 address itself.

    A connection the relay closed keeps its port for a minute; one address has 28,000.
    """
    if ":" not in local[0]:
        a, b, c = os.urandom(3)
        return f"127.{1 + a % 254}.{1 + b % 254}.{1 + c % 254}", 0
    return (local[0], 0, *local[2:])


def host_pid(pid: int) -> int:
    """A process's number in the outermost PID namespace that /proc shows."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, f"there is no process {pid}") from None
    return next((int(line.split()[1]) for line in lines if line.startswith("NSpid:")), pid)
