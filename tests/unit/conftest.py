"""Every test that takes ``twin`` runs on the compiled core and on the pure one;
``negotiated`` plays the kernel's half for tests of sockets."""

import socket
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from unit.looped import FACTORIES, Drive
from unit.played import listening_port, verdict
from unit.plugged import Plugs, plugging

from pyeno import Config, Role, kernel, tep
from pyeno.constants import State
from pyeno.tep.testing.ends import outcome_of

STEMS = {"option", "negotiation", "agreement", "keyschedule", "framer"}


class Twin:
    """One of the two cores; ``twin.framer`` is its framer, and so on."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.Secret: Any = self.load("secret").Secret

    def load(self, stem: str) -> ModuleType:
        return import_module(f"pyeno._{self.backend}.{stem}")

    def __getattr__(self, stem: str) -> Any:
        if stem not in STEMS:
            raise AttributeError(stem)
        return self.load(stem)

    def __repr__(self) -> str:
        return self.backend


@pytest.fixture(scope="session", params=["native", "pure"])
def twin(request: pytest.FixtureRequest) -> Twin:
    return Twin(request.param)


@pytest.fixture(scope="session")
def twins() -> tuple[Twin, Twin]:
    """Both, to be compared."""
    return Twin("native"), Twin("pure")


@pytest.fixture
def negotiated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The port that is lower than the peer's is the listener's: host B."""

    def result(sock: socket.socket) -> kernel.Result:
        try:
            peer = sock.getpeername()
        except OSError:
            return kernel.NOT_CONFIGURED._replace(state=State.READY)
        listening = getattr(sock, "family", None) and sock.getsockname()[1] == listening_port[0]
        return verdict(Role.B if listening else Role.A) if peer else kernel.NOT_CONFIGURED

    monkeypatch.setattr(kernel, "configure", lambda *a, **k: True)
    monkeypatch.setattr(kernel, "result", result)
    monkeypatch.setattr(kernel, "set_session_id", lambda *a: None)


@pytest.fixture
def plugs(tmp_path: Path) -> Iterator[Plugs]:
    """Where a test installs plug-ins."""
    where = tmp_path / "site"
    where.mkdir()
    with plugging(where) as installed:
        yield installed


@pytest.fixture
def example(plugs: Plugs, negotiated: None, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A policy of the example plug-in alone, under which the kernel's half is played."""
    plugs.example()
    config = Config(teps="example")
    playing(config, monkeypatch)
    return config


@pytest.fixture(params=["example", "tls"])
def other(
    request: pytest.FixtureRequest, plugs: Plugs, negotiated: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Config:  # fmt: skip
    """The same for each TEP that is not tcpcrypt's."""
    plugs.example()
    config = Config(teps=request.param)
    playing(config, monkeypatch)
    return config


def playing(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``negotiated`` plays, with the first TEP of this policy instead of 0x23."""
    definition = tep.get(config.teps[0])
    assert definition is not None
    outcome, before = outcome_of(definition, config, Role.A), kernel.result

    def result(sock: socket.socket) -> kernel.Result:
        found = before(sock)
        if found.state is not State.ENCRYPTED:
            return found
        return found._replace(tep_byte=outcome.tep_byte, transcript=outcome.transcript)

    monkeypatch.setattr(kernel, "result", result)


@pytest.fixture(params=sorted(FACTORIES))
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Runs coroutines on the standard loop, and on uvloop."""
    driver = Drive(request.param)
    yield driver
    assert not driver.complaints, driver.complaints
