"""`pyeno ss`: the kernel's tables, the processes, and what is made of them."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyeno import kernel, namespaces
from pyeno.addresses import peer_name
from pyeno.cli import main
from pyeno.cli.ss import HEAD, lines
from pyeno.constants import Reason, Role, State
from pyeno.errors import KernelError
from pyeno.relay import control
from pyeno.relay.control import Answer
from pyeno.ss import Connection, holders, listing, look, relays, table
from pyeno.ss.holders import Borrower, Holder
from pyeno.ss.table import Row

HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
REST = "00000000:00000000 00:00000000 00000000     0        0"
ESTABLISHED = kernel.NOT_CONFIGURED._replace(
    state=State.ENCRYPTED, reason=Reason.NEGOTIATED, role=Role.B, tep_byte=0xA3, resumed=True
)
READY = kernel.NOT_CONFIGURED._replace(state=State.READY, reason=Reason.NEGOTIATED)
STRIPPED = kernel.NOT_CONFIGURED._replace(
    state=State.DISABLED, reason=Reason.SYN_ACK_WITHOUT_ENO
)
SESSION_ID = bytes(range(33))


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    """(listener, opened, accepted) of this process."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as opened,
        listener.accept()[0] as accepted,
    ):
        yield listener, opened, accepted


def listed(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    assert main(["ss", "--json", *map(str, words)]) == 0
    connections: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["connections"]
    return connections


# -- the kernel's tables -----------------------------------------------------------


@pytest.mark.skipif(sys.byteorder != "little", reason="the samples are a little-endian host's")
def test_rows_of_a_table() -> None:
    text = (
        f"{HEADING}   0: 0100007F:1B58 00000000:0000 0A {REST} 4711 1 ffff 100\n"
        f"   1: 0200000A:9C41 0100000A:01BB 08 {REST} 0 1 ffff\n"
    )
    assert list(table.parse(text, socket.AF_INET)) == [
        Row(socket.AF_INET, "LISTEN", ("127.0.0.1", 7000), ("0.0.0.0", 0), 4711),
        Row(socket.AF_INET, "CLOSE-WAIT", ("10.0.0.2", 40001), ("10.0.0.1", 443), 0),
    ]


@pytest.mark.skipif(sys.byteorder != "little", reason="the samples are a little-endian host's")
def test_rows_of_ipv6() -> None:
    """An IPv4 peer of a dual-stack socket is shown as what it is."""
    text = (
        f"{HEADING}   0: B80D0120000000000000000001000000:1B58 "
        f"0000000000000000FFFF00000100000A:9C41 63 {REST} 5 1 ffff\n"
    )
    (row,) = table.parse(text, socket.AF_INET6)
    assert (row.local, row.peer) == (("2001:db8::1", 7000), ("10.0.0.1", 40001))
    assert row.state == "63"  # a state that this version has no name for


def test_the_kernels_own_tables(
    ends: tuple[socket.socket, socket.socket, socket.socket],
) -> None:
    """As getsockname() and getpeername() say."""
    by_inode = {row.inode: row for row in table.rows()}
    for sock, state in zip(ends, ("LISTEN", "ESTAB", "ESTAB"), strict=True):
        row = by_inode[os.fstat(sock.fileno()).st_ino]
        assert (row.state, row.local, row.family) == (state, sock.getsockname(), sock.family)
        if state == "ESTAB":
            assert row.peer == sock.getpeername()


# -- processes -----------------------------------------------------------------------


def test_who_holds_a_socket(ends: tuple[socket.socket, socket.socket, socket.socket]) -> None:
    """Also a child that inherited it."""
    opened = ends[1]
    inode = os.fstat(opened.fileno()).st_ino
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, pass_fds=[opened.fileno()])
    try:
        found = holders.find({inode, 1 << 62})
        assert found[1 << 62] == []
        assert {holder.pid for holder in found[inode]} >= {os.getpid(), child.pid}
        assert holders.program(child.pid) == "cat"
        with Borrower() as borrower:
            for holder in found[inode]:
                fd = borrower.borrow(holder)
                assert os.fstat(fd).st_ino == inode and not os.get_inheritable(fd)
                os.close(fd)
    finally:
        child.communicate()
    with Borrower() as borrower, pytest.raises(ProcessLookupError):
        borrower.borrow(Holder(child.pid, 0))
    with Borrower() as borrower, pytest.raises(OSError, match="Bad file descriptor"):
        borrower.borrow(Holder(os.getpid(), 1 << 20))


def test_a_descriptor_that_is_another_by_now(
    ends: tuple[socket.socket, socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Closed and opened again between the walk and the question: not mistaken."""
    listener, opened, accepted = ends
    here = os.getpid()
    wrong = {os.fstat(opened.fileno()).st_ino: [Holder(here, accepted.fileno())]}
    monkeypatch.setattr(holders, "find", lambda inodes: {one: [] for one in inodes} | wrong)
    found, unseen = look(ports=[listener.getsockname()[1]])
    assert (found, unseen) == ([], 3)


def test_closed_while_looking(
    ends: tuple[socket.socket, socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is gone is not said to be hidden."""
    listener, opened, accepted = ends

    def find(inodes: set[int]) -> dict[int, list[Holder]]:
        opened.close()
        accepted.close()
        return {one: [] for one in inodes}

    monkeypatch.setattr(holders, "find", find)
    assert look(ports=[listener.getsockname()[1]]) == ([], 1)  # the listener


def test_where_nothing_is_attached(
    ends: tuple[socket.socket, socket.socket, socket.socket],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Plain TCP, shown only if asked for."""
    monkeypatch.setattr(kernel, "result", lambda _: kernel.UNAVAILABLE)
    port = ends[0].getsockname()[1]
    assert listed(capsys, port) == []
    one, two = listed(capsys, "--all", port)
    assert {one["local"], two["local"]} == {one["peer"], two["peer"]}
    for connection in one, two:
        assert (connection["encrypted"], connection["reason"]) == (False, "unavailable")
        assert connection["processes"][0]["pid"] == os.getpid()
    assert listed(capsys, "-al", port)[0]["peer"] is None
    assert listed(capsys, "-a", ends[1].getsockname()[1]) == [one, two]  # either end's port


def test_session_id_comes_with_the_keys(
    ends: tuple[socket.socket, socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_yet(_: socket.socket) -> bytes:
        raise OSError(107, "not connected")

    monkeypatch.setattr(kernel, "result", lambda _: ESTABLISHED)
    monkeypatch.setattr(kernel, "session_id", none_yet)
    found, _ = look(ports=[ends[0].getsockname()[1]])
    assert {(one.encrypted, one.session_id) for one in found} == {(True, None)}
    monkeypatch.setattr(kernel, "session_id", lambda _: SESSION_ID)
    found, _ = look(ports=[ends[0].getsockname()[1]])
    assert {one.session_id for one in found} == {SESSION_ID}


# -- relays ------------------------------------------------------------------------


def test_whom_a_relay_serves(
    ends: tuple[socket.socket, socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Outbound by the program's own address; inbound, where programs share one, by both
    ends; not in another network namespace."""
    listener, opened, accepted = ends
    here, one, two = namespaces.identity(), opened.getsockname(), listener.getsockname()
    inodes = {sock: os.fstat(sock.fileno()).st_ino for sock in ends}
    far = ("192.0.2.1", 40001), ("192.0.2.2", 7000)
    for program, near, wanted in (
        (one, None, opened),
        (two, one, accepted),
        (("192.0.2.9", 9), None, None),
        (two, ("192.0.2.9", 9), None),
    ):
        told = {"netns": here, "ends": [(*far, program, near)]}
        answers = [
            Answer("one", json.loads(json.dumps(told))),
            Answer("two", json.loads(json.dumps(told | {"netns": (0, 0)}))),
            Answer("three", None, "Permission denied"),
        ]
        monkeypatch.setattr(control, "ask", lambda _, answers=answers: answers)
        found = relays.serving(table.rows())
        assert {key: row.inode for key, row in found.items()} == (
            {far: inodes[wanted]} if wanted else {}
        )


def test_a_relays_connection_names_the_program(
    ends: tuple[socket.socket, socket.socket, socket.socket],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the opened socket plays the relay's, and the accepted one the program's."""
    listener, opened, accepted = ends
    rows = {(row.local, row.peer): row for row in table.rows()}
    behind = rows[accepted.getsockname(), accepted.getpeername()]
    serving = {(opened.getsockname(), opened.getpeername()): behind}
    monkeypatch.setattr(relays, "serving", lambda _: serving)
    monkeypatch.setattr(kernel, "result", lambda _: STRIPPED)
    port = listener.getsockname()[1]
    served = {one["local"]: one["serves"] for one in listed(capsys, port)}
    me = {"pid": os.getpid(), "program": holders.program(os.getpid())}
    assert served[peer_name(opened.getsockname())] == [me]
    assert served[peer_name(accepted.getsockname())] == []
    assert main(["ss", str(port)]) == 0
    assert f"{me['program']} ({me['pid']}) by {me['program']} (" in capsys.readouterr().out


# -- what is shown -------------------------------------------------------------------


def connection(result: kernel.Result, **more: Any) -> Connection:
    row = Row(socket.AF_INET, "ESTAB", ("10.0.0.1", 40001), ("10.0.0.2", 7000), 1)
    fields: dict[str, Any] = {"row": row, "session_id": None, "teps": (), "holders": ()} | more
    return Connection(result=result, **fields)


def test_as_a_table() -> None:
    listener = Row(socket.AF_INET6, "LISTEN", ("::", 7000), ("::", 0), 2)
    heading, *rest = lines(
        [
            connection(ESTABLISHED, session_id=SESSION_ID, holders=(Holder(os.getpid(), 3),)),
            connection(STRIPPED),
            connection(READY, row=listener, teps=(0x23, 0x21)),
            connection(READY._replace(state=State.OFFERED)),
        ]
    )
    assert tuple(heading.replace("SESSION ID", "SESSION").split()) == tuple(
        name.replace("SESSION ID", "SESSION") for name in HEAD
    )
    program = holders.program(os.getpid())
    assert " ".join(rest[0].split()) == (
        "ESTAB 10.0.0.1:40001 10.0.0.2:7000 curve25519 B 0001020304050607 yes "
        f"{program} ({os.getpid()})"
    )
    assert "plain: syn-ack-without-eno" in rest[1]
    assert " ".join(rest[2].split()) == "LISTEN [::]:7000 - curve25519,p256 - - -"
    assert " ".join(rest[3].split()) == "ESTAB 10.0.0.1:40001 10.0.0.2:7000 - - - -"
    assert rest[1].index("10.0.0.2") == rest[3].index("10.0.0.2") == heading.index("PEER")


def test_as_json() -> None:
    told = connection(ESTABLISHED, session_id=SESSION_ID).as_dict()
    assert told == {
        "state": "ESTAB", "encrypted": True, "reason": None, "tep": "0x23", "role": "B",
        "session_id": SESSION_ID.hex(), "resumed": True, "processes": [], "serves": [],
    }  # fmt: skip
    told = connection(STRIPPED).as_dict()
    assert (told["reason"], told["tep"], told["role"]) == ("syn-ack-without-eno", None, None)


def test_how_many_could_not_be_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyeno.cli.ss.look", lambda **_: listing.Listing([], 3))
    assert main(["ss"]) == 0
    said = capsys.readouterr()
    assert said.out.split() == " ".join(HEAD).split()
    assert said.err.startswith("pyeno ss: 3 more could not be looked at: ")


# -- network namespaces --------------------------------------------------------------


def test_no_such_namespace() -> None:
    for wanted in ("no-such-namespace", "../net", "4294967295"):
        with pytest.raises(KernelError, match=f"no network namespace {wanted}: give a name"):
            namespaces.find(wanted)


def test_this_namespace() -> None:
    path = namespaces.find(str(os.getpid()))
    assert path == Path(f"/proc/{os.getpid()}/ns/net")
    assert namespaces.identity(path) == namespaces.identity()
