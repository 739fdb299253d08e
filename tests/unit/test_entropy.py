"""No ENO without randomness (RFC 8547 section 10), with a generator that is not ready yet."""

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from unit.played import listening

import pyeno
from pyeno import attach, cli, doctor, entropy, kernel
from pyeno.constants import Reason, State
from pyeno.errors import EncryptionRequiredError


class Generator:
    """getrandom() of a host that has just booted."""

    def __init__(self) -> None:
        self.ready = False
        self.calls: list[int] = []

    def __call__(self, size: int, flags: int = 0) -> bytes:
        self.calls.append(flags)
        if self.ready or not flags & os.GRND_NONBLOCK:
            self.ready = True
            return bytes(size)
        raise BlockingIOError


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Generator]:
    made = Generator()
    monkeypatch.setattr(os, "getrandom", made)
    entropy._seeded.cache_clear()
    yield made
    entropy._seeded.cache_clear()


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sockets for which the kernel was asked to send ENO."""
    made: list[Any] = []

    def configure(sock: Any, **_: Any) -> bool:
        made.append(sock)
        return False

    monkeypatch.setattr(kernel, "configure", configure)
    return made


def test_asked_until_it_is_ready_and_never_again(generator: Generator) -> None:
    assert not entropy.ready() and not entropy.ready()
    generator.ready = True
    assert entropy.ready() and entropy.ready()
    assert generator.calls == [os.GRND_NONBLOCK] * 3


def test_waiting(generator: Generator) -> None:
    entropy.wait()
    assert generator.calls == [os.GRND_NONBLOCK, 0] and entropy.ready()


@pytest.mark.rfc("8547:10-4", "8548:8-4", "8548:8-6")
def test_sockets_are_not_configured(generator: Generator, configured: list[Any]) -> None:
    with listening() as listener:
        with pyeno.create_connection(listener.getsockname()) as a, listener.accept()[0] as b:
            assert a.eno.reason is b.eno.reason is Reason.NO_ENTROPY
            assert not a.eno.encrypted and "no-entropy" in repr(a.eno)
            a.sendall(b"plain")
            assert b.recv(10) == b"plain"
        assert not configured
        generator.ready = True
        with pyeno.Socket(socket.AF_INET, socket.SOCK_STREAM) as later:
            assert configured == [later]


def test_required_encryption_refuses(generator: Generator, configured: list[Any]) -> None:
    config = pyeno.Config(require=True)
    with listening() as listener:
        with pytest.raises(EncryptionRequiredError, match="no-entropy") as caught:
            pyeno.create_connection(listener.getsockname(), config=config)
        assert caught.value.reason is Reason.NO_ENTROPY


@pytest.mark.rfc("8548:8-4")
@pytest.mark.parametrize("ready", [False, True])
def test_attach_waits_and_says_so(
    generator: Generator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ready: bool,
) -> None:
    """It runs at boot: nothing is loaded before the generator is ready."""
    generator.ready = ready

    def loaded(*_: Any) -> Any:
        assert generator.ready
        raise attach.KernelError(1, "played")

    monkeypatch.setattr(attach, "_loaded", loaded)
    monkeypatch.setattr(attach.mounts, "cgroup_directory", lambda _: "/")
    monkeypatch.setattr(attach.mounts, "ensure_bpffs", lambda _: None)
    assert cli.main(["attach"]) == 1
    waiting = "pyeno attach: waiting for the kernel's random generator"
    assert (waiting in capsys.readouterr().err) is not ready


def test_doctor_tells(generator: Generator) -> None:
    def check() -> doctor.Check:
        return next(c for c in doctor.examine() if c.name == "entropy")

    assert not check().ok and check().remedy
    generator.ready = True
    assert check().ok


def test_state_is_off() -> None:
    assert kernel.NO_ENTROPY.state is State.OFF
