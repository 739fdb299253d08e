"""A man in the middle of ENO connections: unnoticed, and noticed by each helper."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scramp
from unit.proving import IDENTITIES, PSK, STRANGER, both_known
from unit.test_auth_docs import WORDS, defined, lookup
from wire.conftest import Attached
from wire.looping import Driver
from wire.mallory import Mallory
from wire.netns import Wire
from wire.pairs import MARKER, TIMEOUT, dialled, plain_listener, served
from wire.rfcpeer_packet import RST

import pyeno
from pyeno import Config, EncryptionRequiredError, NotEncryptedError, Reason, Role
from pyeno.aio.stream import connect_eno
from pyeno.auth import (
    ChangedKeyError,
    ProofError,
    ReflectionError,
    RefusedByPeerError,
    UnknownKeyError,
    WhyNot,
    aio,
    authenticate_ed25519,
    authenticate_psk,
    if_aware,
)

pytestmark = pytest.mark.wire

Call = Callable[[pyeno.Socket], Any]


class Helper:
    """One way to authenticate: what each host calls."""

    def __init__(self, known: Path) -> None:
        self.known = known

    def psk(self, role: Role) -> Call:
        return lambda sock: authenticate_psk(sock, PSK)

    def ed25519(self, role: Role) -> Call:
        name = f"{role.opposite.value}.example" if role is Role.A else None
        return lambda sock: authenticate_ed25519(
            sock, IDENTITIES[role], known_hosts=self.known, name=name
        )

    def aware(self, role: Role) -> Call:
        return lambda sock: if_aware(sock, authenticate_psk, PSK)

    def scram(self, role: Role) -> Call:
        """docs/authentication.md's; its messages are lines."""
        examples = defined()

        def call(sock: pyeno.Socket) -> bool:
            with sock.makefile("rw") as file:
                if role is Role.A:
                    examples["log_in"](sock, file, "joe", WORDS)
                else:
                    examples["check_log_in"](sock, file, lookup)
            return True

        return call


HELPERS = ("psk", "ed25519", "aware", "scram")
AWARE = Config(app_aware=True)


@pytest.fixture(params=HELPERS)
def helper(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Role], Call]:
    call: Callable[[Role], Call] = getattr(
        Helper(both_known(tmp_path / "known_hosts")), request.param
    )
    return call


@pytest.fixture
def mallory(attached: Attached) -> Iterator[Mallory]:
    with Mallory() as mallory:
        yield mallory


def result(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (OSError, pyeno.PyenoError, scramp.ScramException) as error:
        return error


class Ends:
    """What hosts a and b got of their helpers, then of each other."""

    def __init__(
        self, dial: Callable[[], pyeno.Socket], listener: pyeno.Socket, near: Call, far: Call
    ) -> None:
        self.done: list[Any] = [None, None]
        self.got: list[Any] = [None, None]
        self.session_ids = [b"", b""]
        self.resumed = False
        thread = threading.Thread(target=self._serve, args=(listener, far))
        thread.start()
        try:
            with dial() as sock:
                self.resumed = sock.eno.resumed
                self._use(0, sock, near)
        finally:
            thread.join()

    def _serve(self, listener: pyeno.Socket, far: Call) -> None:
        sock, _ = listener.accept()
        sock.settimeout(TIMEOUT)
        with sock:
            sock.do_handshake()
            self._use(1, sock, far)

    def _use(self, place: int, sock: pyeno.Socket, authenticate: Call) -> None:
        if sock.eno.encrypted:
            self.session_ids[place] = sock.eno.session_id
        self.done[place] = result(lambda: authenticate(sock))
        if not isinstance(self.done[place], Exception):
            self.got[place] = result(lambda: self._talk(sock))

    @staticmethod
    def _talk(sock: pyeno.Socket) -> bytes:
        sock.sendall(MARKER)
        got = b""
        while len(got) < len(MARKER) and (data := sock.recv(100)):
            got += data
        return got


def between(mallory: Mallory, near: Call, far: Call, config: Config | None = None) -> Ends:
    """Both hosts, with Mallory between."""
    with mallory.server(config) as listener:
        return Ends(lambda: mallory.dialled(listener, config), listener, near, far)


def straight(
    wire: Wire,
    near: Call,
    far: Call,
    active: Config | None = None,
    passive: Config | None = None,
) -> Ends:
    """Both hosts, with nobody between."""
    with served(wire, passive) as listener:
        address = listener.getsockname()[:2]
        return Ends(lambda: dialled(wire, address, active), listener, near, far)


def test_nobody_in_the_middle(wire: Wire, helper: Callable[[Role], Call]) -> None:
    ends = straight(wire, helper(Role.A), helper(Role.B), AWARE, AWARE)
    assert all(ends.done) and ends.got == [MARKER, MARKER]
    assert ends.session_ids[0] == ends.session_ids[1]


def test_he_succeeds_where_nobody_looks(mallory: Mallory) -> None:
    """Both connections are encrypted, nothing fails, and he reads everything: what RFC 8547
    section 10 says of opportunistic encryption."""
    ends = between(mallory, lambda _: True, lambda _: True)
    assert ends.got == [MARKER, MARKER]
    assert mallory.read == {"a": MARKER, "b": MARKER}
    assert all(ends.session_ids) and ends.session_ids[0] != ends.session_ids[1]


def found_out(done: list[Any]) -> None:
    """Each was sent a proof that does not verify; one of them may only see the reset."""
    if any(isinstance(each, scramp.ScramException) for each in done):
        assert "The channel bindings don't match" in str(done[1])
        return
    kinds = [type(each) for each in done]
    assert ProofError in kinds and set(kinds) <= {ProofError, RefusedByPeerError}, done


@pytest.mark.rfc("8547:5.1-4", "8547:10-1")
def test_each_helper_finds_him_out(mallory: Mallory, helper: Callable[[Role], Call]) -> None:
    """He relays each message of the authentication unchanged; no application byte follows."""
    mallory.config = AWARE
    with mallory.near.capture() as near, mallory.far.capture(mallory.far.b) as far:
        ends = between(mallory, helper(Role.A), helper(Role.B), AWARE)
    found_out(ends.done)
    assert ends.got == [None, None]
    assert MARKER not in mallory.read["a"] + mallory.read["b"]
    assert mallory.read["a"][:4] in (b"ENOa", b"p=tc")
    for seen in near, far:
        assert any(segment.flags & RST for segment in seen.segments)


@pytest.mark.parametrize("kind", ["streams", "EnoStream"])
def test_asyncio_finds_him_out(mallory: Mallory, kind: str) -> None:
    done: list[Any] = [None, None]

    async def authenticate(place: int, connection: Any) -> None:
        try:
            done[place] = await aio.authenticate_psk(connection, PSK)
        except OSError as error:
            done[place] = error

    async def main() -> None:
        served = asyncio.Event()

        async def handler(*streams: Any) -> None:
            await authenticate(1, streams)
            streams[1].transport.abort()
            served.set()

        with mallory.server() as listener:
            address = listener.getsockname()[:2]
            server = await pyeno.start_server(handler, sock=listener)
            if kind == "streams":
                streams = await pyeno.open_connection(*address)
                await authenticate(0, streams)
                streams[1].transport.abort()
            else:
                stream = await connect_eno(*address)
                await authenticate(0, stream)
                await stream.aclose()
            await served.wait()
            server.close()
            await server.wait_closed()

    driver = Driver("asyncio", mallory.near)
    driver(main)
    found_out(done)
    assert not driver.complaints


def test_keys_of_his_own(mallory: Mallory, tmp_path: Path) -> None:
    """He authenticates to both as himself: flawless proofs by keys that nobody pinned."""
    helper = Helper(both_known(tmp_path / "known_hosts"))
    open_to_all = tmp_path / "mallory"
    told: list[Any] = []

    def meet(a: pyeno.Socket, b: pyeno.Socket) -> None:
        for sock in a, b:
            call = lambda sock=sock: authenticate_ed25519(  # noqa: E731
                sock, STRANGER, known_hosts=open_to_all, name="anybody", trust_on_first_use=True
            )
            told.append(result(call))
            open_to_all.unlink(missing_ok=True)

    mallory.meet = meet
    ends = between(mallory, helper.ed25519(Role.A), helper.ed25519(Role.B))
    assert isinstance(ends.done[0], ChangedKeyError) and ends.done[0].line == 2
    assert isinstance(ends.done[1], UnknownKeyError)
    assert ends.got == [None, None] and MARKER not in mallory.read["a"] + mallory.read["b"]
    assert all(isinstance(each, RefusedByPeerError) for each in told)


@pytest.mark.parametrize("way", ["messages", "proofs"])
def test_he_sends_back_what_they_send(mallory: Mallory, way: str) -> None:
    """Reflection of everything, or of the proofs alone behind honest HELLOs."""
    hello = 8 + 34

    def meet(a: pyeno.Socket, b: pyeno.Socket) -> None:
        mine = a.recv(hello), b.recv(hello)
        if way == "messages":
            a.sendall(mine[0])
            b.sendall(mine[1])
            return
        a.sendall(mine[1])
        b.sendall(mine[0])
        for sock in a, b:
            sock.sendall(sock.recv(100))

    mallory.meet = meet
    helper = Helper(Path())
    ends = between(mallory, helper.psk(Role.A), helper.psk(Role.B))
    assert [type(each) for each in ends.done] == [ReflectionError, ReflectionError]
    assert ends.got == [None, None]


def test_trust_on_first_use_trusts_him_once(mallory: Mallory, tmp_path: Path) -> None:
    """The price of that option: who is there first is believed.  Found out afterwards."""
    pins = tmp_path / "pins"
    everybody = both_known(tmp_path / "known_hosts")

    def near(sock: pyeno.Socket) -> Any:
        return authenticate_ed25519(
            sock, IDENTITIES[Role.A], known_hosts=pins, name="b", trust_on_first_use=True
        )

    def meet(a: pyeno.Socket, b: pyeno.Socket) -> None:
        authenticate_ed25519(a, STRANGER, known_hosts=everybody)

    mallory.meet = meet
    ends = between(mallory, near, lambda sock: True)
    assert ends.done[0].first_use and ends.got == [MARKER, MARKER]
    assert mallory.read["a"] == MARKER
    helper = Helper(everybody)
    ends = straight(mallory.far, near, helper.ed25519(Role.B))
    assert isinstance(ends.done[0], ChangedKeyError) and ends.done[0].line == 1
    assert isinstance(ends.done[1], RefusedByPeerError)


# -- the application-aware bit --------------------------------------------------------------


def told(wire: Wire, active: Config, passive: Config) -> list[Any]:
    """What if_aware() gives at both ends."""
    helper = Helper(Path())
    ends = straight(wire, helper.aware(Role.A), helper.aware(Role.B), active, passive)
    assert ends.got == [MARKER, MARKER]
    return ends.done


@pytest.mark.rfc("8547:10-2")
@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("passive", [False, True])
def test_only_where_both_ends_are_aware(wire: Wire, active: bool, passive: bool) -> None:
    """RFC 8547 section 8.4, by the bits on the wire; the application goes on either way."""
    done = told(wire, Config(app_aware=active), Config(app_aware=passive))
    assert all(done) is (active and passive)
    if not all(done):
        assert [each.why for each in done] == [
            WhyNot.PEER_NOT_AWARE if aware else WhyNot.SELF_NOT_AWARE
            for aware in (active, passive)
        ]


def test_mandatory(wire: Wire) -> None:
    """ "TCP-ENO is automatically disabled if the remote host does not set a = 1"; with
    require there is no connection then."""
    mandatory = Config(app_aware="mandatory")
    done = told(wire, mandatory, Config())
    assert done[0].why is WhyNot.NOT_ENCRYPTED and done[0].reason is Reason.PEER_NOT_AWARE
    assert all(told(wire, mandatory, mandatory))
    with served(wire, Config()) as listener, pytest.raises(EncryptionRequiredError):
        dialled(wire, listener.getsockname()[:2], mandatory.but(require=True))


def test_he_clears_the_bit(mallory: Mallory) -> None:
    """Then nobody authenticates, and he succeeds, unless the bit is mandatory."""
    helper = Helper(Path())
    ends = between(mallory, helper.aware(Role.A), helper.aware(Role.B), AWARE)
    assert [each.why for each in ends.done] == [WhyNot.PEER_NOT_AWARE] * 2
    assert mallory.read == {"a": MARKER, "b": MARKER}


def test_he_clears_a_mandatory_bit(mallory: Mallory) -> None:
    strict = Config(app_aware="mandatory", require=True)
    with mallory.server(strict) as listener, pytest.raises(EncryptionRequiredError) as caught:
        mallory.dialled(listener, strict)
    assert caught.value.reason is Reason.PEER_NOT_AWARE
    assert not mallory.read["a"] + mallory.read["b"]


def test_a_peer_without_eno(wire: Wire) -> None:
    with plain_listener(wire) as listener:
        sock = dialled(wire, listener.getsockname())
        with sock, pytest.raises(NotEncryptedError, match="syn-ack-without-eno"):
            authenticate_psk(sock, PSK)


# -- resumed sessions -------------------------------------------------------------------------


def test_resumed_sessions_are_authenticated_anew(
    wire: Wire, helper: Callable[[Role], Call]
) -> None:
    """A resumed connection has a session ID of its own (RFC 8548 section 3.5)."""
    ids = set()
    with served(wire, AWARE) as listener:
        address = listener.getsockname()[:2]
        for resumed in False, True:
            dial = lambda: dialled(wire, address, AWARE)  # noqa: E731
            ends = Ends(dial, listener, helper(Role.A), helper(Role.B))
            assert all(ends.done) and ends.got == [MARKER, MARKER]
            assert ends.resumed is resumed
            ids |= {*ends.session_ids}
    assert len(ids) == 2
