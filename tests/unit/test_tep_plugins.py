"""The registry and what enters it: plug-ins as pip installs them, good and bad."""

import subprocess
import sys
from typing import Any

import pytest
from unit.played import pair
from unit.plugged import Plugs

import pyeno
from pyeno import Config, ConfigError, Tep, doctor, kernel, tep
from pyeno.cli import parser
from pyeno.cli.options import config_from
from pyeno.constants import Reason, Role, State
from pyeno.policy import Policy, parse_teps
from pyeno.sockets import Info
from pyeno.tcpcrypt.connection import Connection
from pyeno.tep.plugins import plugins
from pyeno.tep.testing.ends import outcome_of

GOOD = """
from eno_tep_example import Example

class Good(Example):
    identifier, name = 0x40, "good"

class Second(Example):
    identifier, name = {identifier}, {name!r}

GOOD, SECOND = Good(), Second()
"""
ENTRY = "good = good:GOOD"


def bad(body: str, value: str = "BAD") -> str:
    """A module with one plug-in that does something wrong."""
    return (
        "from eno_tep_example import Example\n"
        "class Bad(Example):\n"
        "    identifier, name = 0x41, 'bad'\n"
        f"    {body}\n"
        f"{value} = Bad()\n"
    )


def check(name: str) -> doctor.Check:
    (found,) = (each for each in doctor.examine() if each.name == name)
    return found


# -- good ones -------------------------------------------------------------------------


def test_found_by_every_name(plugs: Plugs) -> None:
    plugs.example()
    registered = tep.registry()[Tep.EXPERIMENTAL]
    assert set(tep.registry()) == {*tep.BUILT_IN, 0x20} and not tep.refusals()
    for wish in ("example", " Example", "0x20", "32", 0x20, Tep.EXPERIMENTAL):
        assert tep.find(wish) is registered
    assert tep.names()["example"] == 0x20 and tep.name(0xA0) == tep.name(0x20) == "example"
    assert repr(registered) == "<TEP 0x20 example>"
    assert registered.whose == "plug-in 'example' of eno-tep-example 1.0"


def test_config_mixes_it_with_pyenos_own(plugs: Plugs) -> None:
    """Plug-ins' numbers are plain, those with a name are of ``Tep``."""
    plugs.install("good", GOOD.format(identifier=0x6F, name="second"), ENTRY, "b = good:SECOND")
    config = Config(teps="good,curve25519,second,0x21")
    assert config.teps == (0x40, 0x23, 0x6F, 0x21) and config.data_teps == (0x40, 0x6F)
    assert [type(each) for each in config.teps] == [int, Tep, int, Tep]
    assert Config().data_teps == ()
    assert config.session_token != Config(teps="curve25519,0x21").session_token


def test_named_wherever_teps_are(plugs: Plugs) -> None:
    """The host's policy, the command line, ``sock.eno``, JSON, doctor."""
    plugs.install("good", GOOD.format(identifier=0x6F, name="second"), ENTRY)
    assert parse_teps("good,curve25519") == (0x40, 0x23)
    assert "TEPs curve25519 good," in str(Policy(teps=(0x23, 0x40)))
    options = parser("connect").parse_args(["connect", "--tep", "good,p256", "a:1"])
    assert config_from(options).teps == (0x40, 0x21)
    result = kernel.Result(
        State.ENCRYPTED, Reason.NEGOTIATED, Role.A, 0xC0, False, 0, False, bytes(8)
    )
    registered, config = tep.registry()[0x40], Config(teps="good")
    outcome = outcome_of(registered, config, Role.A)
    made_by, connection = tep.create_connection(outcome, config)
    assert made_by is registered
    info = Info(result, connection)
    assert (info.tep, info.tep_name, info.aead) == (0x40, "good", None)
    told = info.as_dict()
    assert (told["tep"], told["tep_name"], told["aead"]) == ("0x40", "good", None)
    assert "good" in repr(info)
    assert "good (0x40) by good" in check("teps").detail
    assert check("tep plug-ins") == (
        "tep plug-ins", True, "plug-in 'good' of good 1.0", ""
    )  # fmt: skip


def test_nobody_pays_who_uses_none(plugs: Plugs) -> None:
    """pyeno's own TEPs are found without loading a plug-in, by number or by name."""
    plugs.install("good", "raise SystemExit(1)", ENTRY)
    Config(teps="p256,curve25519", keepalive=10)
    assert tep.name(0x23) == "curve25519" and parse_teps("p256,0x22") == (0x21, 0x22)
    assert plugins.cache_info().currsize == 0


@pytest.mark.usefixtures("negotiated")
def test_no_guard_before_pyenos_own() -> None:
    """tcpcrypt's connection itself, and its pump where there is one."""
    with pair() as (a, b):
        a.sendall(b"x")
        assert b.recv(1) == b"x"
        link = a.link()
        assert link is not None and type(link.connection) is Connection
        assert (link.pump is None) is (pyeno.backend == "pure")
        assert a._pump is link.pump and link.tep is tep.BUILT_IN[0x23]


def test_import_loads_none(plugs: Plugs) -> None:
    plugs.install("good", "print('loaded'); raise ValueError", ENTRY)
    script = (
        f"import sys; sys.path.insert(0, {str(plugs.where)!r}); import pyeno; pyeno.Config()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_it_claimed_stays(plugs: Plugs) -> None:
    """A plug-in that becomes another one later has no say any more."""
    plugs.install("good", GOOD.format(identifier=0x6F, name="second"), ENTRY)
    registered = tep.registry()[0x40]
    registered.plugin.identifier, registered.plugin.name = 0x23, "curve25519"  # type: ignore[attr-defined]
    assert (registered.identifier, registered.name) == (0x40, "good")
    assert tep.find("curve25519") is tep.BUILT_IN[0x23]


# -- bad ones: refused with their name, and no harm done --------------------------------

REFUSED: dict[str, tuple[str, str]] = {
    "raises when loaded": ("raise ValueError('no such thing')", "raised ValueError: no such"),
    "leaves when loaded": ("raise SystemExit(3)", "raised SystemExit: 3"),
    "has no such object": ("OTHER = 1", "raised AttributeError"),
    "is a class": ("from eno_tep_example import Example as BAD", "not a pyeno.tep.Definition"),
    "is none": ("BAD = object()", "is object, not a pyeno.tep.Definition"),
    "reserved": (bad("identifier = 0x70"), "0x70 is reserved for extended values (RFC 8547"),
    "the last reserved": (bad("identifier = 0x7f"), "0x7f is reserved"),
    "no identifier": (bad("identifier = 0x1f"), "its identifier 31 is none"),
    "v set": (bad("identifier = 0xa0"), "its identifier 160 is none"),
    "text": (bad("identifier = '0x41'"), "its identifier '0x41' is none"),
    "a truth": (bad("identifier = True"), "its identifier True is none"),
    "raises when asked": (
        bad("identifier = property(lambda self: 1 // 0)"),
        "its identifier or name raised ZeroDivisionError",
    ),
    "raises for urgent": (
        bad("urgent = property(lambda self: 1 // 0)"),
        "its urgent or rekeys raised ZeroDivisionError",
    ),
    "tcpcrypt's": (bad("identifier = 0x23"), "0x23 is pyeno's own 'curve25519'"),
    "tcpcrypt's name": (bad("name = 'p256'"), "the name is that of pyeno's own 0x21"),
    "TLS's": (bad("identifier = 0x30"), "0x30 is pyeno's own 'tls'"),
    "TLS's name": (bad("name = 'tls'"), "the name is that of pyeno's own 0x30"),
    "a number for a name": (bad("name = '0x41'"), "its name '0x41' is not of"),
    "all": (bad("name = 'all'"), "its name 'all' is not of"),
    "too much data": (
        bad("suboption = lambda self, config, role: bytes(17)"),
        "suboption() gave 17 bytes; allowed: None, or 1 to 16 bytes (RFC 8547",
    ),
    "no bytes": (bad("suboption = lambda self, config, role: 'x'"), "suboption() gave str"),
    "raises for data": (
        bad("suboption = lambda self, config, role: {}['x']"),
        "raised KeyError",
    ),
    "takes not what it sends": (
        bad("lengths = lambda self, role: range(1)"),
        "as host A it would send 1 bytes of data, of which its lengths() allows range(0, 1)",
    ),
    "no range": (bad("lengths = lambda self, role: 1"), "lengths() gave 1; allowed: range("),
}  # fmt: skip


@pytest.mark.parametrize(("source", "why"), REFUSED.values(), ids=REFUSED)
def test_refused_with_its_name(plugs: Plugs, source: str, why: str) -> None:
    plugs.install("badly", source, "first = badly:BAD")
    plugs.install("good", GOOD.format(identifier=0x6F, name="second"), ENTRY)
    (refusal,) = tep.refusals()
    assert refusal.name == "first" and refusal.package == "badly 1.0" and why in refusal.why
    # nobody else is harmed
    assert set(tep.registry()) == {*tep.BUILT_IN, 0x40}
    assert Config(teps="good,curve25519").teps == (0x40, 0x23)
    # who asks for it is told
    asked: list[Any] = ["first"]
    if refusal.identifier is not None and refusal.identifier not in tep.BUILT_IN:
        asked += [refusal.identifier, f"{refusal.identifier:#04x}"]
    for wish in asked:
        with pytest.raises(ConfigError) as caught:
            Config(teps=["curve25519", wish])
        assert "plug-in 'first' of badly 1.0 was refused: " in str(caught.value)
        assert why in str(caught.value)
    found = check("tep plug-ins")
    assert not found.ok and str(refusal) in found.detail
    assert found.remedy == "pip uninstall badly"


@pytest.mark.parametrize(
    ("identifier", "name"), [(0x40, "second"), (0x41, "good"), (0x40, "good")]
)
def test_two_that_clash(plugs: Plugs, identifier: int, name: str) -> None:
    """Both are refused, each naming the other: neither can be the one that was meant."""
    plugs.install("good", GOOD.format(identifier=0x6F, name="third"), ENTRY)
    other = GOOD.format(identifier=identifier, name=name)
    plugs.install("other", other, "mine = other:SECOND", version="2.1")
    assert set(tep.registry()) == set(tep.BUILT_IN)
    refused = {refusal.name: refusal.why for refusal in tep.refusals()}
    assert "claimed by 'mine' of other 2.1 too" in refused["good"]
    assert "claimed by 'good' of good 1.0 too" in refused["mine"]
    with pytest.raises(ConfigError, match=r"'mine' of other 2\.1"):
        Config(teps="good")


def test_not_installed(plugs: Plugs) -> None:
    """What is allowed is listed, plug-ins included."""
    plugs.install("good", GOOD.format(identifier=0x6F, name="second"), ENTRY)
    for wish in ("example", 0x20, "0x70", -1, None, 1.5):
        with pytest.raises(ConfigError, match=r"^teps: unknown .* allowed: .*\bgood\b"):
            Config(teps=[wish])
    with pytest.raises(ConfigError, match="names one twice"):
        Config(teps="good,0x40")


# -- under a policy that it was not asked about at first -----------------------------------

CHANGING = """
from eno_tep_example import Example

def defined(number):
    class Changing(Example):
        identifier, name = 0x40 + number, f"changing-{number}"
        def suboption(self, config, role):
            return bytes(17) if config.app_aware else bytes(16)
        def lengths(self, role):
            return range(0, 38)
    return Changing()

A, B, C, D, E = map(defined, range(5))
"""


def test_too_much_under_one_policy(plugs: Plugs) -> None:
    entries = [f"{name.lower()} = changing:{name}" for name in "ABCDE"]
    plugs.install("changing", CHANGING, *entries)
    assert not tep.refusals()
    assert Config(teps="changing-0,changing-1").data_teps == (0x40, 0x41)
    with pytest.raises(ConfigError, match=r"teps: plug-in 'a' of changing 1.0: suboption\(\)"):
        Config(teps="changing-0", app_aware=True)
    with pytest.raises(ConfigError, match="3 TEPs take 54 bytes, which do not fit one option"):
        Config(teps="changing-0,changing-1,changing-2")


def test_more_than_the_kernel_half_knows(plugs: Plugs) -> None:
    source = CHANGING.replace("bytes(16)", "b'x'")
    plugs.install("changing", source, *(f"{n.lower()} = changing:{n}" for n in "ABCDE"))
    four = "changing-0,changing-1,changing-2,changing-3"
    assert len(Config(teps=four + ",curve25519").data_teps) == 4
    with pytest.raises(ConfigError, match="teps: 5 have suboption data; at most 4 at once"):
        Config(teps=four + ",changing-4")


def test_what_it_lacks(plugs: Plugs) -> None:
    plugs.install(
        "badly", bad("lack = lambda self: 'no libthing: apt install it'"), "x = badly:BAD"
    )
    with pytest.raises(ConfigError, match=r"^teps: no libthing: apt install it"):
        Config(teps="bad")
    assert "; no bad: no libthing: apt install it" in check("teps").detail


def test_what_it_lacks_cannot_be_told(plugs: Plugs) -> None:
    """Then that is what it lacks: neither doctor nor other TEPs are harmed."""
    source = bad("lack = provider = lambda self: 1 // 0")
    plugs.install("badly", source, "x = badly:BAD")
    with pytest.raises(
        ConfigError, match=r"teps: plug-in 'x' of badly 1\.0: <lambda>\(\) raised"
    ):
        Config(teps="bad")
    found = check("teps")
    assert not found.ok and "; no bad: plug-in 'x'" in found.detail
    assert "curve25519 (0x23) by" in found.detail
    assert tep.registry()[0x41].provider() == "an unknown library"


def test_keepalive_needs_rekeying(plugs: Plugs) -> None:
    plugs.example()
    with pytest.raises(ConfigError, match=r"^keepalive: example has no rekeying .* leave out"):
        Config(teps="curve25519,example", keepalive=5)
