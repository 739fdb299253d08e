"""Every test that takes ``twin`` runs on the compiled core and on the pure one;
``negotiated`` plays the kernel's half for tests of sockets."""

import socket
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from unit.looped import FACTORIES, Drive
from unit.played import listening_port, verdict

from pyeno import Role, kernel
from pyeno.constants import State

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


@pytest.fixture(params=sorted(FACTORIES))
def drive(request: pytest.FixtureRequest) -> Iterator[Drive]:
    """Runs coroutines on the standard loop, and on uvloop."""
    driver = Drive(request.param)
    yield driver
    assert not driver.complaints, driver.complaints
