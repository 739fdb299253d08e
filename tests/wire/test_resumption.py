"""Sessions resumed between two pyeno hosts (RFC 8548 section 3.5)."""

import os
import time

import pytest
from wire.netns import Wire
from wire.pairs import dialled
from wire.resuming import Server, call, flush

from pyeno import Aead, Config, Role, tep
from pyeno.option import parse

pytestmark = pytest.mark.wire

OFFER, ANSWER = bytes.fromhex("450323"), bytes.fromhex("45040123")
HALF = 9


def proposal(transcript: bytes) -> bytes:
    """The data of the resumption suboption in host A's option; empty if there is none."""
    return parse(transcript[: transcript[1]]).teps[-1].data


@pytest.mark.parametrize("family", "46")
def test_the_second_connection_resumes(wire: Wire, family: str) -> None:
    with Server(wire.b, family=family) as server:
        first, second = call(wire.a, server), call(wire.a, server)
    assert not first.resumed and first.opened.transcript == OFFER + ANSWER
    assert second.resumed and second.session_id != first.session_id
    assert second.opened.role is Role.A and second.opened.aead is first.opened.aead
    size = second.opened.transcript[1]
    of_a, of_b = (
        parse(o) for o in (second.opened.transcript[:size], second.opened.transcript[size:])
    )
    assert not of_a.explicit_global and of_b.b
    assert [len(option.teps) for option in (of_a, of_b)] == [1, 1]
    assert len(of_a.teps[0].data) == HALF + 8


@pytest.mark.rfc("8548:3.5-26", "8548:3.5-27", "8548:3.5-29")
def test_a_chain(wire: Wire) -> None:
    """Each session leaves the next; its data is intact and its session ID new."""
    data = os.urandom(300_000)
    with Server(wire.b) as server:
        met = [call(wire.a, server, data=data) for _ in range(6)]
    assert [each.resumed for each in met] == [False] + 5 * [True]
    assert len({each.session_id for each in met}) == 6
    halves = {proposal(each.opened.transcript)[:HALF] for each in met}
    assert len(halves) == 6, "each names another secret"


@pytest.mark.rfc("8548:3.5-33")
def test_roles_swapped(wire: Wire) -> None:
    """The former passive side opens, to any port; and back again."""
    with Server(wire.b) as in_b, Server(wire.a) as in_a:
        first, *later = (
            call(wire.a, in_b), call(wire.b, in_a), call(wire.b, in_a), call(wire.a, in_b),
        )  # fmt: skip
    assert not first.resumed and all(each.resumed for each in later)
    assert [each.opened.role for each in later] == 3 * [Role.A]
    assert len({each.session_id for each in (first, *later)}) == 4


@pytest.mark.parametrize("aead", list(Aead))
def test_each_aead(wire: Wire, aead: Aead) -> None:
    """That of the original session, whatever the order of preference is now."""
    config = Config(aeads=[aead])
    with Server(wire.b, config) as server:
        met = [call(wire.a, server, config, os.urandom(70_000)) for _ in range(3)]
    assert [each.resumed for each in met] == [False, True, True]
    assert {each.opened.aead for each in met} == {aead}


@pytest.mark.rfc("8548:3.5-23", "8548:3.5-24", "8548:3.5-25", "8548:3.5-21")
@pytest.mark.parametrize("name", [e.name for e in tep.BUILT_IN.values() if e.resumes])
def test_each_tep(wire: Wire, name: str) -> None:
    """Resumed with the TEP of the original session, and offered beside all others."""
    number = tep.names()[name]
    theirs = Config(teps=[number], session_scope=name)
    ours = Config(teps=list(tep.names().values()), session_scope=name)
    with Server(wire.b, theirs) as server:
        first, second = call(wire.a, server, ours), call(wire.a, server, ours)
    assert not first.resumed and second.resumed
    assert second.opened.tep == number and second.session_id[0] == 0x80 | number
    offered = parse(second.opened.transcript[: second.opened.transcript[1]]).teps
    assert {sub.tep for sub in offered} == set(tep.names().values())
    assert [sub.v for sub in offered] == [False] * (len(offered) - 1) + [True]


@pytest.mark.rfc("8548:3.5-1", "8548:3.5-3")
@pytest.mark.parametrize("size", [0, 1, 4, 7, 8])
def test_nonce_lengths(wire: Wire, size: int) -> None:
    """Section 3.5: an API to set the length; B's 8 bytes and A's own."""
    config = Config(resumption_nonce_len=size)
    with Server(wire.b) as server:
        call(wire.a, server, config)
        second, third = call(wire.a, server, config), call(wire.a, server, config)
    assert second.resumed and third.resumed
    assert len(proposal(second.opened.transcript)) == HALF + size
    assert second.session_id != third.session_id


@pytest.mark.parametrize("size", [0, 3, 7])
def test_nonce_lengths_of_the_passive_opener(wire: Wire, size: int) -> None:
    config = Config(resumption_nonce_len=size)
    with Server(wire.b, config) as server:
        call(wire.a, server)
        second = call(wire.a, server)
    assert second.resumed
    of_b = second.opened.transcript[second.opened.transcript[1] :]
    assert len(parse(of_b).teps[-1].data) == HALF + size


@pytest.mark.rfc("8548:3.2-7", "8548:3.5-11", "8548:3.5-12")
def test_the_passive_side_lost_it(wire: Wire) -> None:
    """Fresh keys, and the next connection resumes those."""
    with Server(wire.b) as server:
        call(wire.a, server)
        flush(wire.b)
        second, third = call(wire.a, server), call(wire.a, server)
    assert not second.resumed and proposal(second.opened.transcript)
    assert third.resumed


def test_the_active_side_lost_it(wire: Wire) -> None:
    with Server(wire.b) as server:
        call(wire.a, server)
        flush(wire.a)
        second, third = call(wire.a, server), call(wire.a, server)
    assert not second.resumed and second.opened.transcript == OFFER + ANSWER
    assert third.resumed


@pytest.mark.rfc("8548:3.5-35", "8548:3.5-36", "8548:3.5-37")
def test_the_passive_side_refuses(wire: Wire) -> None:
    """Policy 1: "resumption requests will be ignored"."""
    with Server(wire.b, Config(resume=False)) as server:
        met = [call(wire.a, server) for _ in range(3)]
    assert not any(each.resumed for each in met)
    assert proposal(met[2].opened.transcript), "the opener proposed one"


def test_the_active_side_refuses(wire: Wire) -> None:
    """It proposes nothing, and what it cached is there for those who do."""
    with Server(wire.b) as server:
        call(wire.a, server)
        second = call(wire.a, server, Config(resume=False))
        third = call(wire.a, server)
    assert not second.resumed and second.opened.transcript == OFFER + ANSWER
    assert third.resumed


@pytest.mark.rfc("8548:3.5-35", "8548:3.5-36", "8548:3.5-38")
@pytest.mark.parametrize("active", [True, False])
def test_cache_nothing(wire: Wire, active: bool) -> None:
    """Policy 2: "no session secrets will be cached", at either end."""
    configs = (Config(cache=False), None)
    ours, theirs = configs if active else configs[::-1]
    with Server(wire.b, theirs) as server:
        met = [call(wire.a, server, ours) for _ in range(3)]
    assert not any(each.resumed for each in met)
    assert bool(proposal(met[1].opened.transcript)) is not active


def test_the_policies_are_independent(wire: Wire) -> None:
    """Resumed, but nothing kept after it."""
    with Server(wire.b) as server:
        call(wire.a, server)
        second = call(wire.a, server, Config(cache=False))
        third = call(wire.a, server)
    assert second.resumed and not third.resumed
    assert third.opened.transcript == OFFER + ANSWER


@pytest.mark.rfc("8548:3.5-39")
def test_flushing_one_connection(wire: Wire) -> None:
    """ "any cache state that was used in or resulted from establishing the connection"."""
    with Server(wire.b) as server:
        call(wire.a, server)
        with dialled(wire, server.address) as sock:
            assert sock.eno.resumed
            sock.flush_session()
            sock.sendall(b"goes on")
            assert sock.recv(7) == b"goes on"
        server.info()
        third = call(wire.a, server)
    assert not third.resumed and third.opened.transcript == OFFER + ANSWER


def test_scopes_are_kept_apart(wire: Wire) -> None:
    """A session is proposed, and agreed to, under the policy it was made under only."""
    mail, news = Config(session_scope="mail"), Config(session_scope="news")
    with Server(wire.b, mail) as in_mail, Server(wire.b, news) as in_news:
        call(wire.a, in_mail, mail)
        other = call(wire.a, in_mail, news)
        assert not other.resumed and other.opened.transcript == OFFER + ANSWER
        # the peer's scopes are its own business: the session of another is not found
        crossed = call(wire.a, in_news, news)
        assert not crossed.resumed
        assert call(wire.a, in_mail, mail).resumed


@pytest.mark.parametrize("change", [{"require": True}, {"app_aware": True}, {"aeads": [1]}])
def test_policies_are_kept_apart(wire: Wire, change: dict[str, object]) -> None:
    """What was agreed under a weaker policy is not resumed under a stronger one."""
    config = Config().but(**change)
    with Server(wire.b) as server:
        call(wire.a, server)
        met = call(wire.a, server, config)
        assert not met.resumed and not proposal(met.opened.transcript)
        assert call(wire.a, server, config).resumed


def test_expiry(wire: Wire) -> None:
    """A session that waited too long is as good as none, at the end that says so."""
    with Server(wire.b, Config(session_lifetime=1)) as server:
        call(wire.a, server)
        assert call(wire.a, server).resumed
        time.sleep(1.1)
        late = call(wire.a, server)
        assert not late.resumed and proposal(late.opened.transcript)
    with Server(wire.b) as server:
        short = Config(session_lifetime=1)
        call(wire.a, server, short)
        time.sleep(1.1)
        assert not proposal(call(wire.a, server, short).opened.transcript)


def test_another_host_and_another_port(wire: Wire) -> None:
    """What an active opener made goes to the same port only; what a passive one, to any."""
    with Server(wire.b) as one, Server(wire.b) as other, Server(wire.a) as back:
        call(wire.a, one)
        assert not proposal(call(wire.a, other).opened.transcript)
        assert call(wire.a, one).resumed and call(wire.a, other).resumed
        assert call(wire.b, back).resumed


def test_rekeying(wire: Wire) -> None:
    """Section 3.8 in a resumed session, roles swapped."""
    config = Config(rekey_bytes=50_000)
    with Server(wire.b, config) as in_b, Server(wire.a, config) as in_a:
        call(wire.a, in_b, config)
        met = call(wire.b, in_a, config, os.urandom(1 << 20))
    assert met.resumed and met.opened.generation > 3
