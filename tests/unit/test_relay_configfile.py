"""The relay's configuration file: what it means, and where its mistakes are."""

import tomllib
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyeno import Aead, Config, Tep, mounts
from pyeno.errors import ConfigError, KernelError
from pyeno.relay import configfile, configfile_lines
from pyeno.relay.configfile import KEYS, TABLES, Configuration, load, parse
from pyeno.relay.configfile_service import ServiceSettings
from pyeno.relay.settings import Settings

ROOT = Path("/cgroups")
HEAD = 'cgroups = ["web"]\n'
EXAMPLE = (Path(configfile.__file__).parent / "relay.toml").read_text("utf-8")


@pytest.fixture(autouse=True)
def _cgroups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any name but "missing" is a cgroup."""

    def directory(cgroup: str) -> Path:
        if cgroup.endswith("missing"):
            raise KernelError(2, f"{cgroup} is no cgroup2 directory: choose one below {ROOT}")
        return Path(cgroup)

    monkeypatch.setattr(mounts, "cgroup_root", lambda: ROOT)
    monkeypatch.setattr(mounts, "cgroup_directory", directory)


def read(text: str) -> Configuration:
    return parse(HEAD + text, "relay.toml")


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text, "relay.toml")
    return str(caught.value)


# -- what it means -------------------------------------------------------------------


def test_little_is_enough() -> None:
    settings, service = read("")
    assert settings == Settings(cgroups=(ROOT / "web",))
    assert service == ServiceSettings()


def test_everything() -> None:
    settings, service = parse(
        """
        cgroups = ["system.slice/web.service", "/cgroups/b"]
        fail = "closed"
        outbound.enabled = false
        inbound = { enabled = true, ports = [80] }
        [skip]
        ports = [
            22,   # ssh
        ]
        networks = ["10.0.0.0/8", "::1/128"]
        [require]
        networks = ["192.0.2.7"]
        ports = [25]
        [limits]
        connections_max = 5
        handshake_timeout = 2.5
        workers = 2
        drain_seconds = 0
        [encryption]
        teps = ["p256", 0x24]
        aeads = ["chacha20-poly1305"]
        keepalive = [30, 10]
        rekey_bytes = "never"
        [log]
        format = "json"
        connections = false
        errors_per_minute = 0
        [metrics]
        address = "[::1]:9469"
        """,
        "relay.toml",
    )
    config = Config(
        teps=(Tep.TCPCRYPT_ECDHE_P256, Tep.TCPCRYPT_ECDHE_Curve448),
        aeads=(Aead.CHACHA20_POLY1305,), keepalive=(30, 10), rekey_bytes=None,
        handshake_timeout=2.5,
    )  # fmt: skip
    assert settings == Settings(
        config=config, cgroups=(ROOT / "system.slice/web.service", ROOT / "b"), fail="closed",
        outbound=False, inbound_ports=frozenset({80}), skip_ports=frozenset({22}),
        skip_networks=(ip_network("10.0.0.0/8"), ip_network("::1/128")),
        require_networks=(ip_network("192.0.2.7/32"),), require_ports=frozenset({25}),
        connections_max=5, workers=2,
    )  # fmt: skip
    assert service == ServiceSettings(
        drain_seconds=0, log_format="json", log_connections=False, errors_per_minute=0,
        metrics="[::1]:9469",
    )  # fmt: skip


def test_words_for_none() -> None:
    assert read('inbound.ports = "all"').settings.inbound_ports is None
    config = read('encryption = { keepalive = "never", rekey_bytes = "never" }').settings.config
    assert (config.keepalive, config.rekey_bytes) == (None, None)


def test_only() -> None:
    """All but these are left alone; what is skipped stays so."""
    settings = read("only.ports = [80, 22]").settings
    assert set(range(1, 65536)) - settings.skip_ports == {80}
    settings = read("only.networks = ['10.0.0.0/8', '10.1.0.0/16', 'fd00::/8']").settings
    for address, alone in (
        ("10.1.2.3", False), ("10.255.0.1", False), ("11.0.0.0", True), ("9.255.255.255", True),
        ("0.0.0.1", True), ("127.0.0.1", True), ("fd12::1", False), ("fe00::", True),
        ("::1", True), ("2001:db8::1", True),
    ):  # fmt: skip
        here = ip_address(address)
        assert any(here in network for network in settings.skip_networks) is alone, address
    assert len(settings.skip_networks) == 2 + 8 + 8
    both = "only.networks = ['10.0.0.0/8']\nskip.networks = ['10.1.0.0/16']\n"
    networks = read(both).settings.skip_networks
    assert any(ip_address("10.1.0.1") in network for network in networks)
    assert read("only = { ports = 'all', networks = 'all' }") == read("")


# -- mistakes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1: cgroups: missing or empty; allowed: a list of cgroup2 directories"),
        ("cgroups = []", "1: cgroups: missing or empty; allowed: a list of cgroup2"),
        ("\ncgroups = 'web'", "2: cgroups: 'web'; allowed: a list of strings"),
        ("cgroups = ['a', 3]", "1: cgroups: ['a', 3]; allowed: a list of strings"),
        ("cgroups = ['missing']", "1: cgroups: /cgroups/missing is no cgroup2 directory: ch"),
    ],
)
def test_mistakes_about_cgroups(text: str, says: str) -> None:
    assert complaint(text).startswith(f"relay.toml:{says}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("fail = 'shut'", "2: fail: 'shut'; allowed: 'open', 'closed'"),
        ("outbound.enabled = 1", "2: outbound.enabled: 1; allowed: true, false"),
        ("[outbound]\n\nenabled = 'no'", "4: outbound.enabled: 'no'; allowed: true, false"),
        ("[skip]\nports = [1, 70000]", "3: skip.ports: 70000; allowed: ports, 1 to 65535"),
        ("skip = {\tports = 22}", "2: skip.ports: 22; allowed: a list of integers"),
        ("skip.ports = [true]", "2: skip.ports: [true]; allowed: a list of integers"),
        ("inbound.ports = 'any'", "2: inbound.ports: 'any'; allowed: a list of integers, or"),
        ("skip.networks = ['x']", "2: skip.networks: 'x' does not appear to be an IPv"),
        ("skip.networks = [1]", "2: skip.networks: [1]; allowed: a list of strings"),
        ("only.networks = [1]", "2: only.networks: [1]; allowed: a list of strings, or 'all'"),
        ("only.ports = [0]", "2: only.ports: 0; allowed: ports, 1 to 65535"),
        ("require.networks = ['10.0.0.1/8']", "2: require.networks: 10.0.0.1/8 has host bits"),
        ("limits.workers = 0", "2: limits.workers: 0; allowed: an integer, 1 to 64"),
        ("limits.connections_max = 1e3", "2: limits.connections_max: 1000.0; allowed: an int"),
        ("limits.drain_seconds = -1", "2: limits.drain_seconds: -1; allowed: a number, 0 to"),
        ("limits.drain_seconds = nan", "2: limits.drain_seconds: nan; allowed: a number, 0 to"),
        ("limits.handshake_timeout = 0", "2: limits.handshake_timeout: 0; allowed: seconds ab"),
        ("[encryption]\n#\nteps = ['rot13']", "4: encryption.teps: unknown 'rot13'; allowed: "),
        ("encryption.teps = ['p256', 'p256']", "2: encryption.teps: ('p256', 'p256') n"),
        ("encryption.aeads = 'x'", "2: encryption.aeads: 'x'; allowed: a list of strings and"),
        ("encryption.app_aware = 'x'", "2: encryption.app_aware: 'x'; allowed: false, true, '"),
        ("encryption.keepalive = [1]", "2: encryption.keepalive: (1,); allowed: 'never', sec"),
        ("log.format = 'xml'", "2: log.format: 'xml'; allowed: 'text', 'json'"),
        ("log.connections = 0", "2: log.connections: 0; allowed: true, false"),
        ("log.errors_per_minute = 1.5", "2: log.errors_per_minute: 1.5; allowed: an integ"),
        ("metrics.address = '9469'", "2: metrics.address: '9469'; allowed: a loopback address"),
        ("metrics.address = '0.0.0.0:9469'", "2: metrics.address: '0.0.0.0:9469'; allow"),
        ("metrics.address = '127.0.0.1:0'", "2: metrics.address: '127.0.0.1:0'; allowed: a lo"),
        ("metrics.address = 9469", "2: metrics.address: 9469; allowed: a loopback address and"),
        ("log = 'json'", "2: log: 'json'; allowed: a table, [log]"),
    ],
)  # fmt: skip
def test_mistakes(text: str, says: str) -> None:
    assert complaint(HEAD + text).startswith(f"relay.toml:{says}"), complaint(HEAD + text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[skip]\nport = [1]", "3: skip.port: unknown key; did you mean skip.ports?"),
        ("[skips]", "2: skips: unknown key; did you mean skip?"),
        (
            "connections_max = 1",
            "2: connections_max: unknown key; did you mean limits.connections_",
        ),
        (
            "[encryption]\nrole_b = true",
            "3: encryption.role_b: unknown key; allowed: aeads, ap",
        ),
        (
            "zzz = 1",
            "2: zzz: unknown key; allowed: cgroups, encryption, fail, inbound, limits, lo",
        ),
        ("skip.ports.list = [1]", "2: skip.ports: {'list': [1]}; allowed: a list of integers"),
    ],
)
def test_unknown_keys(text: str, says: str) -> None:
    assert complaint(HEAD + text).startswith(f"relay.toml:{says}"), complaint(HEAD + text)


def test_values_that_do_not_go_together() -> None:
    said = complaint(HEAD + "inbound.enabled = false\noutbound.enabled = false")
    assert said == "relay.toml:3: outbound.enabled: both are false; allow one of them"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("cgroups = [\n'a' 'b']", "2:5: Unclosed array; allowed: TOML 1.0"),
        ("a = 1\na = 2", "2:"),
        ("# \ncgroups = [", "2:"),
        ("fail = open", "1:8: Invalid value; allowed: TOML 1.0"),
    ],
)
def test_not_toml(text: str, says: str) -> None:
    assert complaint(text).startswith(f"relay.toml:{says}"), complaint(text)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    with pytest.raises(ConfigError, match=rf"^{path}: No such file or directory; allowed: a T"):
        load(path)
    path.write_bytes(HEAD.encode() + b"fail = 'open'\r\n# \xff")
    with pytest.raises(ConfigError, match=rf"^{path}:3: byte \d+ is not UTF-8"):
        load(path)
    path.write_bytes(HEAD.encode() + b"fail = 'open'\r\n\r\nlog.format = 3\r\n")
    with pytest.raises(ConfigError, match=rf"^{path}:4: log.format: 3; allowed: "):
        load(path)
    path.write_text(HEAD)
    assert load(path).settings == Settings(cgroups=(ROOT / "web",))


def test_metrics_need_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    said = complaint(HEAD + "[metrics]\naddress = '127.0.0.1:9469'")
    assert said.startswith("relay.toml:3: metrics.address: prometheus_client is not installed:")
    assert "pip install 'pyeno[metrics]'" in said


# -- the example ---------------------------------------------------------------------


def defaults(text: str) -> str:
    """The example with its defaults written out."""
    return "\n".join(
        line[1:] if line[:1] == "#" and line[1:2].isalpha() and "=" in line else line
        for line in text.splitlines()
    )


def test_the_example_is_good() -> None:
    assert parse(EXAMPLE, "relay.toml").settings == Settings(cgroups=(ROOT / "user.slice",))


def test_the_example_has_every_key_and_its_default() -> None:
    told = defaults(EXAMPLE)
    settings, service = parse(told, "relay.toml")
    plain = Settings(cgroups=(ROOT / "user.slice",))
    assert settings == plain
    assert service == ServiceSettings(metrics="127.0.0.1:9469")
    assert set(KEYS) <= set(configfile_lines.find(told))
    assert "10000" in told and str(plain.connections_max) == "10000"


# -- lines ---------------------------------------------------------------------------


def test_lines_of_keys() -> None:
    text = '''# c [x]
a = 1
b.c = """
d = 2
[no]
"""
"q.x" = [ # comment ]
  1,
  "]", {y = 2},
]

[t.u]
k = 'x # = y'   # z = 1
[[arr]]
v = { w = 1, z = "}" }
[ "s p" . r ]
e = \'\'\'
e2 = 3\'\'\'
f = 1.5e3
'''
    tomllib.loads(text)
    lines = configfile_lines.find(text)
    assert lines == {
        ("a",): 2, ("b",): 3, ("b", "c"): 3, ("q.x",): 7, ("t",): 12, ("t", "u"): 12,
        ("t", "u", "k"): 13, ("arr",): 14, ("arr", "v"): 15, ("s p",): 16, ("s p", "r"): 16,
        ("s p", "r", "e"): 17, ("s p", "r", "f"): 19,
    }  # fmt: skip
    assert configfile_lines.line_of(lines, ("arr", "v", "w")) == 15
    assert configfile_lines.line_of(lines, ("nowhere",)) == 1


VALUES = st.sampled_from(
    ["1", "'a # b'", '"""\n[x]\ny = 1\n"""', "[1,\n 2, # ]\n]", "{ k = 1 }", "'''\n'''", "true"]
)


@given(st.lists(st.tuples(st.sampled_from(sorted(KEYS)), VALUES), unique_by=lambda one: one[0]))
def test_lines_are_right_whatever_stands_between(pairs: list[tuple[Any, str]]) -> None:
    text, wanted = "", {}
    for path, value in pairs:
        wanted[path] = text.count("\n") + 1
        text += f"{'.'.join(path)} = {value}\n"
    tomllib.loads(text)
    lines = configfile_lines.find(text)
    assert {path: lines[path] for path in wanted} == wanted
    assert all(
        path in lines for path in TABLES if any(key[: len(path)] == path for key in wanted)
    )


@given(st.text())
def test_any_text_at_all(text: str) -> None:
    """Good, or a ConfigError: nothing else comes of it."""
    try:
        parse(text, "relay.toml")
    except ConfigError as error:
        assert str(error).startswith("relay.toml:")
