"""What became of each connection's negotiation, asked of the sockets themselves."""

import errno
import os
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from pyeno import kernel
from pyeno.constants import ENO_GLT, Reason, State
from pyeno.ss import holders, relays, table
from pyeno.ss.holders import Borrower, Holder
from pyeno.ss.table import Row


class Connection(NamedTuple):
    """One TCP socket of this network namespace, and what TCP-ENO made of it."""

    row: Row
    result: kernel.Result
    session_id: bytes | None
    """None: not encrypted, or the key exchange is not complete"""
    teps: tuple[int, ...]
    """what a listener answers, most preferred first (section 4.5)"""
    holders: tuple[Holder, ...]
    """the processes that have it open"""
    serves: tuple[Holder, ...] = ()
    """a relay's connection: the processes of the program it is for"""

    @property
    def encrypted(self) -> bool:
        """Encryption is enabled (RFC 8547 section 4.6)."""
        return self.result.state is State.ENCRYPTED

    @property
    def tried(self) -> bool:
        """ENO was asked for: the connection is encrypted, or a reason says why not."""
        return self.result.state is not State.OFF

    @property
    def reason(self) -> Reason | None:
        """Why it is not encrypted; None: it is, or that is not decided yet."""
        return None if self.result.reason is Reason.NEGOTIATED else self.result.reason

    def as_dict(self) -> dict[str, Any]:
        """For JSON, but the addresses; null where there is no such thing."""
        result = self.result
        return {
            "state": self.row.state,
            "encrypted": self.encrypted,
            "reason": self.reason.slug if self.reason is not None else None,
            "tep": f"0x{result.tep_byte & ENO_GLT:02x}" if self.encrypted else None,
            "role": result.role.value if self.encrypted else None,
            "session_id": self.session_id.hex() if self.session_id else None,
            "resumed": self.encrypted and result.resumed,
            "processes": _named(self.holders),
            "serves": _named(self.serves),
        }


def _named(holding: tuple[Holder, ...]) -> list[dict[str, Any]]:
    return [{"pid": one.pid, "program": holders.program(one.pid)} for one in holding]


class Listing(NamedTuple):
    """What was found, and how much was not."""

    connections: list[Connection]
    unseen: int
    """sockets that could not be looked at: other users' processes"""


def look(*, ports: Sequence[int] = ()) -> Listing:
    """Every TCP socket that a process of this thread's network namespace has open.

    ``ports``: only those with one of these ports, at either end.  Unprivileged
    users can look at their own processes' sockets only.
    """
    rows = [row for row in table.rows() if row.inode]
    found = [row for row in rows if _has_port(row, ports)]
    serving = relays.serving(rows)
    held = holders.find({row.inode for row in (*found, *serving.values())})
    connections, unseen = [], []
    with Borrower() as borrower:
        for row in found:
            connection = _ask(borrower, row, tuple(held[row.inode]))
            if connection is None:
                unseen.append(row.inode)
                continue
            program = serving.get((row.local, row.peer))
            if program is not None:
                connection = connection._replace(serves=tuple(held[program.inode]))
            connections.append(connection)
    return Listing(connections, _still_there(unseen))


def _has_port(row: Row, ports: Sequence[int]) -> bool:
    return not ports or row.local[1] in ports or row.peer[1] in ports


def _ask(borrower: Borrower, row: Row, holding: tuple[Holder, ...]) -> Connection | None:
    """None if nobody lets us have the descriptor."""
    for holder in holding:
        try:
            fd = borrower.borrow(holder)
        except OSError:  # refused, or gone
            continue
        with socket.socket(row.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fd) as sock:
            if os.fstat(fd).st_ino == row.inode:  # not another, opened meanwhile
                return Connection(row, *_told(sock), holding)
    return None


def _told(sock: socket.socket) -> tuple[kernel.Result, bytes | None, tuple[int, ...]]:
    result = kernel.result(sock)
    if result.state is State.READY:
        teps = sock.getsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_TEPS, kernel.OPTION_ROOM)
        return result, None, tuple(reversed(teps))
    return result, _session_id(sock) if result.state is State.ENCRYPTED else None, ()


def _session_id(sock: socket.socket) -> bytes | None:
    try:
        return kernel.session_id(sock)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return None


def _still_there(inodes: list[int]) -> int:
    """How many of them were not merely closed while we looked."""
    if not inodes:
        return 0
    now = {row.inode for row in table.rows()}
    return sum(inode in now for inode in inodes)
