"""Two socket options that each do the work of two: TCP_ENO_RESULT_TAKE and
TCP_ENO_ESTABLISHED."""

import errno
import os
import socket
import threading
from collections.abc import Callable

import pytest
from oracle import keys
from wire.conftest import Attached
from wire.connect import refused
from wire.netns import Wire
from wire.pairs import dialled, served
from wire.sessions import (
    Keeper,
    assert_nothing_to_take,
    assert_resumed,
    cached,
    entry,
    fresh,
    opposite,
    put,
    take,
)

import pyeno
from pyeno import kernel

pytestmark = pytest.mark.wire
TCP = socket.IPPROTO_TCP
SESSION_ID = bytes([0x23]) + bytes(range(32))


def result_take(sock: socket.socket, room: int = 128) -> bytes:
    return sock.getsockopt(TCP, kernel.TCP_ENO_RESULT_TAKE, room)


def established(session: keys.Session, session_id: bytes = SESSION_ID) -> bytes:
    head = bytes([len(session_id)]) + bytes(7) + session_id.ljust(64, b"\0")
    return head + entry(session)


def establish(sock: socket.socket, value: bytes) -> None:
    sock.setsockopt(TCP, kernel.TCP_ENO_ESTABLISHED, value)


@pytest.mark.rfc("8548:3.5-30")
def test_the_verdict_with_the_secret_once(keeper: Keeper) -> None:
    session = keeper.prime()
    with keeper.met() as ends:
        for sock, told in ((ends.a, ends.active), (ends.b, ends.passive)):
            value = result_take(sock)
            assert len(value) == 128 and value[96:] == session.ss
            assert kernel.parse_result(value[:96]) == told._replace(given=True)
            assert_nothing_to_take(sock)
            again = result_take(sock)
            assert again[96:] == bytes(32)
            assert kernel.parse_result(again[:96]) == told


def test_what_another_took_is_not_given(keeper: Keeper) -> None:
    session = keeper.prime()
    with keeper.met() as ends:
        assert take(ends.a) == session.ss
        assert result_take(ends.a)[96:] == bytes(32)


def test_no_secret_where_none_is_resumed(keeper: Keeper, wire: Wire) -> None:
    with keeper.met() as ends:
        for sock, told in ((ends.a, ends.active), (ends.b, ends.passive)):
            value = result_take(sock)
            assert kernel.parse_result(value[:96]) == told and value[96:] == bytes(32)
    with wire.a.socket() as sock:
        assert kernel.parse_result(result_take(sock)[:96]) == kernel.NOT_CONFIGURED


def test_too_little_room_takes_nothing(keeper: Keeper) -> None:
    session = keeper.prime()
    with keeper.met() as ends:
        for room in (96, 127):
            assert refused(lambda room=room: result_take(ends.a, room)) == errno.EINVAL
        assert_resumed(ends, session)


@pytest.mark.rfc("8547:5.1-2", "8548:3.5-26")
def test_the_session_id_and_the_next_session_at_once(keeper: Keeper) -> None:
    session = fresh()
    with keeper.met() as ends:
        establish(ends.a, established(session))
        establish(ends.b, established(opposite(session), SESSION_ID + bytes(31)))
        assert kernel.session_id(ends.a) == SESSION_ID
        assert kernel.session_id(ends.b) == SESSION_ID + bytes(31)
    with keeper.met() as ends:
        assert_resumed(ends, session)


ILL_FORMED: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda good: b"",
    "short": lambda good: good[:-1],
    "long": lambda good: good + b"\0",
    "a session ID of 32 bytes": lambda good: b"\x20" + good[1:],
    "a session ID of 65 bytes": lambda good: b"\x41" + good[1:],
    "padding": lambda good: good[:7] + b"\1" + good[8:],
    "another TEP": lambda good: good[:72] + b"\x24" + good[73:],
    "no lifetime": lambda good: good[:76] + bytes(4) + good[80:],
}


@pytest.mark.parametrize("spoil", ILL_FORMED.values(), ids=ILL_FORMED)
def test_both_or_neither(
    keeper: Keeper, attached: Attached, spoil: Callable[[bytes], bytes]
) -> None:
    good = established(fresh())
    before = cached(attached.pin)
    with keeper.met() as ends:
        assert refused(lambda: establish(ends.a, spoil(good))) == errno.EINVAL
        assert refused(lambda: kernel.session_id(ends.a)) == errno.ENOTCONN
        assert cached(attached.pin) == before
        establish(ends.a, good)


def test_both_or_neither_where_one_is_there_already(keeper: Keeper) -> None:
    with keeper.met() as ends:
        kernel.set_session_id(ends.a, SESSION_ID)
        assert refused(lambda: establish(ends.a, established(fresh()))) == errno.EEXIST
        put(ends.a, fresh())  # so nothing was put
        put(ends.b, fresh())
        assert refused(lambda: establish(ends.b, established(fresh()))) == errno.EEXIST
        assert refused(lambda: kernel.session_id(ends.b)) == errno.ENOTCONN


def test_it_wants_an_encrypted_connection(wire: Wire, keeper: Keeper) -> None:
    value = established(fresh())
    with wire.a.socket() as sock:
        assert refused(lambda: establish(sock, value)) == errno.ENOTCONN
    with keeper.met(lambda sock: None) as ends:
        assert refused(lambda: establish(ends.a, value)) == errno.ENOTCONN
    listener = keeper.listener
    write_only = refused(lambda: listener.getsockopt(TCP, kernel.TCP_ENO_ESTABLISHED, 144))
    read_only = refused(lambda: listener.setsockopt(TCP, kernel.TCP_ENO_RESULT_TAKE, value))
    assert write_only == read_only == errno.EINVAL


def test_an_opener_forked_before_it_sent_keeps_its_keys(wire: Wire) -> None:
    """The secret comes with the verdict, so the keys are the connecting process's."""
    with served(wire) as listener:
        address = listener.getsockname()[:2]
        for resumed in (False, True):
            accepted: list[pyeno.Socket] = []

            def accept(accepted: list[pyeno.Socket] = accepted) -> None:
                accepted.append(listener.accept()[0])
                accepted[0].do_handshake()

            thread = threading.Thread(target=accept)
            thread.start()
            with dialled(wire, address) as a:
                a.fileno()  # lets the ACK go, and so the other host accept
                thread.join()
                (b,) = accepted
                child = os.fork()
                if child == 0:
                    try:
                        a.send(b"x")
                    except pyeno.LocalProtocolError:
                        os._exit(7)
                    os._exit(1)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                a.sendall(b"from the parent")
                assert b.recv(99) == b"from the parent" and b.eno.resumed is resumed
                b.close()
