"""Every test that takes ``twin`` runs on the compiled core and on the pure one."""

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

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
