"""Where the cryptography comes from: which library computes which AEAD.

libsodium comes with PyNaCl, whose shared object exports it whole; libcrypto
is the one this interpreter's ``_hashlib`` already loaded.  Where there is
none (OpenSSL linked into the interpreter), ``cryptography`` serves.  Never
code of our own.
"""

import os
import platform
from functools import cache
from importlib import import_module
from pathlib import Path

from pyeno._backend import backend
from pyeno.constants import Aead
from pyeno.errors import ConfigError

PROVIDERS = ("libsodium", "libcrypto", "cryptography")


@cache
def sodium_path() -> str:
    """The shared object to look libsodium's functions up in."""
    return str(import_module("nacl._sodium").__file__)


def _aes_instructions() -> bool:
    """Whether AES is fast here: x86 AES-NI, ARMv8 cryptography extension."""
    if platform.machine() not in ("x86_64", "AMD64", "aarch64", "arm64"):
        return False
    try:
        return " aes" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return True


def _wished(aead: Aead) -> str | None:
    """``PYENO_AEAD_PROVIDER`` forces one library, to compare and to test."""
    wish = os.environ.get("PYENO_AEAD_PROVIDER")
    if wish is not None and wish not in PROVIDERS:
        raise ConfigError(f"PYENO_AEAD_PROVIDER={wish!r}; allowed: {', '.join(PROVIDERS)}")
    return wish if wish != "libsodium" or aead is not Aead.AES_128_GCM else None


@cache
def providers() -> dict[Aead, str]:
    """The library that computes each AEAD here."""
    if backend == "pure":
        return dict.fromkeys(Aead, "cryptography")
    from pyeno._native.framer import offers

    # The first that works.  libsodium's AES-256-GCM beats libcrypto 3.0 up to
    # about 4 KiB and loses beyond; see bench/results/first-micro.json.
    order = {
        Aead.AES_128_GCM: ("libcrypto", "cryptography"),
        Aead.AES_256_GCM: ("libsodium", "libcrypto", "cryptography"),
        Aead.CHACHA20_POLY1305: ("libsodium", "libcrypto", "cryptography"),
    }
    chosen = {}
    for aead, names in order.items():
        wish = _wished(aead)
        chosen[aead] = next(name for name in (wish, *names) if name and offers(aead, name))
    return chosen


def default_aeads() -> tuple[Aead, ...]:
    """All of them, the fastest here first."""
    gcm = (Aead.AES_256_GCM, Aead.AES_128_GCM)
    if providers()[Aead.AES_256_GCM] == "cryptography":
        gcm = (Aead.AES_128_GCM, Aead.AES_256_GCM)
    if _aes_instructions():
        return (*gcm, Aead.CHACHA20_POLY1305)
    return (Aead.CHACHA20_POLY1305, *gcm)
