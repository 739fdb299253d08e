"""Keys of resumed sessions (RFC 8548 section 3.5), from the kernel to an engine; the
negotiation is played."""

import socket
from pathlib import Path

import pytest
from unit.played import TIMEOUT, verdict
from unit.relaying import TOKEN, Carried, engine_between, read, tcp_pair
from unit.test_connection import pair as agreed
from unit.test_resumption import following, outcomes

from pyeno import Config, Role
from pyeno.errors import LocalProtocolError
from pyeno.relay import resumed
from pyeno.relay.engine import Engine
from pyeno.relay.resumed import Far
from pyeno.tcpcrypt.connection import Connection


class Ends:
    """A relay's far socket, settled, and the peer's connection, played without I/O."""

    def __init__(self, config: Config | None = None) -> None:
        config = config or Config()
        one, two = agreed()
        a, b = following(one), following(two)
        outcome, of_peer = outcomes(a, b, (b"a", b"b"))
        result = verdict(Role.A)._replace(
            resumed=True, transcript=outcome.transcript, tep_byte=outcome.tep_byte,
            original_role=Role.A, tag=int(a.aead),
        )  # fmt: skip
        self.peer = Connection(of_peer, config)
        self.peer.resume(b)
        raw, self.peer_sock = tcp_pair()
        self.far = Far(socket.AF_INET, socket.SOCK_STREAM, fileno=raw.detach(), config=config)
        self.far._result = result
        self.far._adopt(result, a.ss)
        self.far._settled = True

    def close(self) -> None:
        self.far.close()
        self.peer_sock.close()

    def heard(self, size: int) -> bytes:
        """What the peer opens of what comes."""
        data = b""
        while len(data) < size:
            self.peer.receive_data(self.peer_sock.recv(1 << 16))
            while part := self.peer.read(size):
                data += part
            if owed := self.peer.data_to_send():
                self.peer_sock.sendall(owed)
        return data


@pytest.fixture
def ends(request: pytest.FixtureRequest) -> Ends:
    made = Ends(getattr(request, "param", None))
    request.addfinalizer(made.close)
    return made


@pytest.mark.rfc("8548:3.2-6", "8548:3.5-19")
@pytest.mark.parametrize("ends", [None, Config(rekey_bytes=1000)], indirect=True)
def test_the_engine_goes_on_with_the_keys(ends: Ends) -> None:
    program, near = tcp_pair()
    with program, engine_between(near, ends.far) as engine:
        carried = Carried(engine, program, ends.peer_sock)
        for text in (b"one", b"two" * 2000, b"three"):
            program.sendall(text)
            assert ends.heard(len(text)) == text
            ends.peer_sock.sendall(ends.peer.send(text))
            assert read(program, len(text)) == text
        program.shutdown(socket.SHUT_WR)
        ends.peer_sock.sendall(ends.peer.send(b"", fin=True))
        ends.peer_sock.shutdown(socket.SHUT_WR)
        end = carried.end()
        assert (end.end, end.bytes_out, end.bytes_in) == ("fin", 6008, 6008)


def test_what_is_known_of_it(ends: Ends) -> None:
    eno = ends.far.eno
    assert eno.encrypted and eno.resumed and eno.role is Role.A
    assert eno.session_id == ends.peer.session_id
    assert eno.as_dict()["session_id"] == ends.peer.session_id.hex()
    assert eno.aead == ends.peer.aead and eno.peer_key is None
    assert eno.generation == eno.remote_generation == 0


def test_the_socket_itself_passes_nothing(ends: Ends) -> None:
    for attempt in (
        lambda: ends.far.send(b"plain"), lambda: ends.far.recv(1), ends.far.do_handshake,
        lambda: ends.far.sendall(b"plain"), lambda: ends.far.shutdown(socket.SHUT_WR),
    ):  # fmt: skip
        with pytest.raises(LocalProtocolError, match="engine"):
            attempt()
    ends.far.abort()
    ends.peer_sock.settimeout(TIMEOUT)
    with pytest.raises(ConnectionResetError):
        ends.peer_sock.recv(1)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_keys_that_nobody_took_are_forgotten(ends: Ends, how: str) -> None:
    resumption = ends.far.resumed
    assert resumption is not None and resumption.keys is not None
    getattr(ends.far, how)()
    assert resumption.keys is None and resumption.next_session() is None


def test_keys_stay_with_the_process_that_made_them(ends: Ends) -> None:
    ends.far.disown(LocalProtocolError("fork"))
    assert ends.far.resumed is not None and ends.far.resumed.keys is None
    with pytest.raises(LocalProtocolError, match="fork"):
        ends.far.send(b"plain")
    with Engine() as engine, pytest.raises(LocalProtocolError, match="wiped"):
        engine.add(ends.peer_sock, ends.far, TOKEN)


def test_an_engine_that_is_full_leaves_the_keys(ends: Ends) -> None:
    assert ends.far.resumed is not None
    keys = ends.far.resumed.keys
    (program, near), (other, taken) = tcp_pair(), tcp_pair()
    with program, near, other, Engine(connections_max=1) as engine:
        peer, far = tcp_pair()
        engine.add(taken, far, TOKEN)
        with pytest.raises(BlockingIOError):
            engine.add(near, ends.far, TOKEN + 1)
        assert ends.far.resumed.keys is keys and ends.far.fileno() >= 0
        peer.close()


def test_key_log(tmp_path: Path) -> None:
    ends = Ends(Config(keylog=str(tmp_path / "keys")))
    ends.close()
    lines = (tmp_path / "keys").read_text().splitlines()
    assert len(lines) == 4 and sorted(lines[:2]) == sorted(lines[2:])  # the peer's, ours


def test_no_next_session_where_none_is_cached() -> None:
    ends = Ends(Config(cache=False))
    assert ends.far.resumed is not None and ends.far.resumed.next_session() is None
    ends.close()


def test_without_an_engine_it_has_a_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumed, "backend", "pure")
    ends = Ends()
    assert ends.far.resumed is None and ends.far.link() is not None
    ends.far.sendall(b"by the link")
    assert ends.heard(11) == b"by the link"
    ends.close()
