"""Pinned keys: the file's format, first use, changed keys, and many writers."""

import multiprocessing
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit.proving import PUBLIC, STRANGER, written

from pyeno import ConfigError, Role
from pyeno.auth import (
    ChangedKeyError,
    KnownHosts,
    KnownHostsError,
    Pins,
    UnknownKeyError,
    fingerprint,
)
from pyeno.auth.keys import encode_public, raw_public

KEY, OTHER = PUBLIC[Role.A], PUBLIC[Role.B]
THIRD = raw_public(STRANGER.public_key())
LINE, OTHER_LINE = encode_public(KEY), encode_public(OTHER)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def test_the_format(path: Path) -> None:
    """Names, ports, algorithm, base64 key, comments."""
    hosts = written(
        path,
        f"# a comment\n\n  \t\nHost.Example,10.69.0.2 {LINE} joe's laptop, since May\n"
        f"[host.example]:7000,[fd69::1]:65535\t{OTHER_LINE}\r\n  fd69::1 {LINE}",
    )
    assert [(entry.name, entry.line, entry.key) for entry in hosts.entries()] == [
        ("host.example", 4, KEY),
        ("10.69.0.2", 4, KEY),
        ("[host.example]:7000", 5, OTHER),
        ("[fd69::1]:65535", 5, OTHER),
        ("fd69::1", 6, KEY),
    ]
    assert hosts.name_of(OTHER) == "[host.example]:7000"
    assert str(path) in repr(hosts)


def test_a_name_with_a_port_takes_the_place_of_the_one_without(path: Path) -> None:
    hosts = written(path, f"host {LINE}\n[host]:7000 {OTHER_LINE}\n")
    for port in None, 7001:
        hosts.check(KEY, "HOST", port)
        with pytest.raises(ChangedKeyError) as caught:
            hosts.check(OTHER, "host", port)
        assert caught.value.line == 1
    hosts.check(OTHER, "host", 7000)
    with pytest.raises(ChangedKeyError) as caught:
        hosts.check(KEY, "host", 7000)
    assert caught.value.line == 2


def test_several_keys_for_a_name(path: Path) -> None:
    """While a key is being replaced, both are pinned."""
    hosts = written(path, f"host {LINE}\nhost {OTHER_LINE}\n")
    hosts.check(KEY, "host")
    hosts.check(OTHER, "host")
    with pytest.raises(ChangedKeyError):
        hosts.check(THIRD, "host")


def test_a_changed_key(path: Path) -> None:
    """Says which line of which file, both fingerprints, and what to do."""
    hosts = written(path, f"# first\nother {OTHER_LINE}\nhost {LINE}\n")
    with pytest.raises(ChangedKeyError) as caught:
        hosts.check(THIRD, "host", 7000)
    error = caught.value
    assert (error.path, error.line) == (os.path.realpath(path), 3)
    assert error.fingerprint == fingerprint(THIRD)
    said = str(error)
    assert said.startswith(f"{error.path}, line 3: the key pinned for host is")
    assert (
        fingerprint(KEY) in said and fingerprint(THIRD) in said and "change that line" in said
    )


def test_an_unknown_key_comes_with_the_line_to_add(path: Path) -> None:
    hosts = KnownHosts(path)
    with pytest.raises(UnknownKeyError) as caught:
        hosts.check(KEY, "host", 7000)
    line = str(caught.value).partition("add the line '")[2].partition("'")[0]
    written(path, line + "\n").check(KEY, "host", 7000)
    with pytest.raises(UnknownKeyError, match="pinned to no name; if it may connect") as caught:
        hosts.name_of(OTHER)
    assert caught.value.fingerprint == fingerprint(OTHER)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("host", 1, "1 fields; write: NAMES ssh-ed25519 KEY"),
        (f"\n#\nhost {LINE.split()[0]}", 3, "2 fields"),
        (f"host {LINE}\n@revoked host {LINE}", 2, "the marker @revoked means nothing here"),
        ("host ssh-rsa AAAA", 1, "field 2 is 'ssh-rsa'; allowed: ssh-ed25519"),
        ("host ssh-ed25519 AAAA", 1, "field 3 is no ssh-ed25519 public key in base64"),
        ("host ssh-ed25519 !", 1, "field 3 is no"),
        ("host ssh-ed25519 \N{SNOWMAN}", 1, "field 3 is no"),
        (f"host ssh-ed25519 {LINE.split()[1][:-4]}", 1, "field 3 is no"),
        (f"host,, {LINE}", 1, r"field 1: ''; write NAME or \[NAME\]:PORT"),
        (f"*.example {LINE}", 1, r"field 1: '\*.example'; .*no patterns"),
        (f"|1|abc=|def= {LINE}", 1, r"field 1: '\|1\|abc"),
        (f"!host {LINE}", 1, "field 1"),
        (f"[host]:0 {LINE}", 1, "field 1"),
        (f"[host]:65536 {LINE}", 1, "field 1"),
        (f"[host] {LINE}", 1, "field 1"),
        (f"[host]:x {LINE}", 1, "field 1"),
        (b"\xff\xfe", 1, "not UTF-8"),
        (b"# \xff", 1, "not UTF-8"),
    ],
)
def test_lines_that_cannot_be_meant(
    path: Path, text: str | bytes, line: int, says: str
) -> None:
    """Refused, never skipped; with file and line."""
    hosts = written(path, text)
    with pytest.raises(KnownHostsError, match=says) as caught:
        hosts.check(KEY, "host")
    assert (caught.value.path, caught.value.line) == (os.path.realpath(path), line)
    assert str(caught.value).startswith(f"{os.path.realpath(path)}, line {line}: ")
    assert isinstance(caught.value, ConfigError)


@given(st.binary(max_size=300))
def test_any_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any_known_hosts"
    hosts = written(path, data)
    try:
        entries = hosts.entries()
    except KnownHostsError:
        return
    assert not entries  # no key comes about by chance


def test_written_by_others(path: Path) -> None:
    hosts = written(path, f"host {LINE}\n")
    path.chmod(0o620)
    with pytest.raises(
        KnownHostsError, match=r"others may write to it \(mode 0620\): chmod 600"
    ):
        hosts.entries()
    path.chmod(0o644)
    hosts.check(KEY, "host")


# -- first use -------------------------------------------------------------------------


def test_pinned_on_first_use(path: Path) -> None:
    pins = Pins(path, "Host.Example", 7000, trust_on_first_use=True)
    assert pins.judge(KEY) == ("[host.example]:7000", True)
    assert not path.exists()
    pins.pin(KEY)
    assert path.read_text() == f"[host.example]:7000 {LINE}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pins.judge(KEY) == ("[host.example]:7000", False)
    with pytest.raises(ChangedKeyError, match="line 1"):
        pins.judge(OTHER)
    pins.pin(KEY)
    assert path.read_text().count("\n") == 1
    assert {each.name for each in path.parent.iterdir()} == {path.name, f"{path.name}.lock"}


def test_a_line_without_an_end_is_ended(path: Path) -> None:
    hosts = written(path, f"# mine\nhost {LINE}")
    hosts.add(OTHER, "other")
    assert path.read_text() == f"# mine\nhost {LINE}\nother {OTHER_LINE}\n"


def test_pinned_by_somebody_else_meanwhile(path: Path) -> None:
    """Between the judgement and the pin, another process pinned another key."""
    pins = Pins(path, "host", trust_on_first_use=True)
    assert pins.judge(KEY) == ("host", True)
    written(path, f"host {OTHER_LINE}\n")
    with pytest.raises(ChangedKeyError):
        pins.pin(KEY)
    assert path.read_text() == f"host {OTHER_LINE}\n"


def test_only_on_first_use_if_asked_for(path: Path) -> None:
    with pytest.raises(UnknownKeyError):
        Pins(path, "host").judge(KEY)


def test_a_symbolic_link_stays_one(path: Path) -> None:
    target = path.with_name("target")
    target.touch(0o600)
    path.symlink_to(target)
    KnownHosts(path).add(KEY, "host")
    assert path.is_symlink() and target.read_text() == f"host {LINE}\n"


def _add(path: Path, number: int) -> None:
    for each in range(5):
        KnownHosts(path).add(KEY, f"host{number}-{each}")


def test_many_writers(path: Path) -> None:
    """No line is lost, and no reader meets half a file."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add, args=(path, number)) for number in range(6)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        KnownHosts(path).entries()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    names = {entry.name for entry in KnownHosts(path).entries()}
    assert names == {f"host{number}-{each}" for number in range(6) for each in range(5)}


def test_a_full_disk_costs_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = written(path, f"host {LINE}\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        hosts.add(OTHER, "other")
    assert path.read_text() == f"host {LINE}\n"
    assert len(list(path.parent.iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": "a b"}, "name: 'a b'; allowed: a host's name or address"),
        ({"name": ""}, "name: ''"),
        ({"name": "*"}, "name: '\\*'"),
        ({"name": "host", "port": 0}, "port: 0; allowed: 1 to 65535"),
        ({"port": 7000}, "name: None; trust_on_first_use and port need a name"),
        ({"trust_on_first_use": True}, "name: None"),
    ],
)
def test_pins_that_cannot_be_meant(path: Path, arguments: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Pins(path, **arguments)


def test_nowhere_to_write(tmp_path: Path) -> None:
    with pytest.raises(KnownHostsError, match=r"cannot write to .*missing: make"):
        Pins(tmp_path / "missing" / "known_hosts", "host", trust_on_first_use=True)
    Pins(tmp_path / "missing" / "known_hosts", "host")


def test_a_bad_file_is_told_before_anything_is_sent(path: Path) -> None:
    written(path, "nonsense\n")
    with pytest.raises(KnownHostsError, match="line 1"):
        Pins(path, "host")
