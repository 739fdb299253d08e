"""The rows of every comparison: each transport by name."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import pyeno
from pyeno._crypto import default_aeads
from pyeno.bench import loops, tls, transports
from pyeno.bench.machine import installed

FAMILIES = ("sockets", "asyncio", "uvloop")
# imported by the first connection; every run has one, in processes of its own
_LAZY = ("encodings.idna", "pyeno.aio", "pyeno.tcpcrypt.connection")


class Kind(NamedTuple):
    """One transport; ``make(resume)`` builds it in the process that uses it."""

    name: str
    family: str
    """``sockets`` (blocking), ``asyncio``, ``uvloop``"""
    make: Callable[[bool], Any]
    eno: bool = False

    @property
    def plain(self) -> str:
        """The name of plain TCP in the same family."""
        return _named(self.family, "plain")

    @property
    def tls(self) -> str:
        """The name of TLS 1.3 with its default suite in the same family."""
        return _named(self.family, "tls1.3")


def _named(family: str, what: str) -> str:
    return what if family == "sockets" else f"{family}-{what}"


def eno_name(family: str, aead: pyeno.Aead) -> str:
    """pyeno's row with that AEAD; on loops only the fastest one is run."""
    return f"pyeno-{_slug(aead)}" if family == "sockets" else _named(family, "pyeno")


def _slug(aead: pyeno.Aead) -> str:
    return aead.name.lower().replace("_", "-")


def preload() -> None:
    """Import what each run would import; and make the certificate that all share."""
    for name in (*_LAZY, *(family for family in FAMILIES if installed(family))):
        import_module(name)
    tls.certificate()


def kinds() -> list[Kind]:
    """All that can be run here, family by family."""
    rows = [
        Kind("plain", "sockets", lambda resume: transports.Plain()),
        Kind("tls1.3", "sockets", lambda resume: transports.Tls(None, resume)),
        Kind(
            "tls1.3-aes-128-gcm", "sockets", lambda resume: transports.Tls(tls.AES_128, resume)
        ),
        *(_sockets(aead) for aead in default_aeads()),
    ]
    for family in FAMILIES[1:]:
        if family == "asyncio" or installed(family):
            rows += _streams(family)
    return rows


def _sockets(aead: pyeno.Aead) -> Kind:
    def make(resume: bool) -> transports.Eno:
        return transports.Eno(aead, resume)

    return Kind(eno_name("sockets", aead), "sockets", make, eno=True)


def _streams(family: str) -> list[Kind]:
    aead = default_aeads()[0]
    return [
        Kind(_named(family, "plain"), family, lambda resume: loops.Plain()),
        Kind(_named(family, "tls1.3"), family, lambda resume: loops.Tls()),
        Kind(eno_name(family, aead), family, lambda resume: loops.Eno(aead), eno=True),
    ]
