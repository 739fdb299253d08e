"""Who computes what: libsodium (in PyNaCl), libcrypto, ``cryptography``.

The one table of providers.  Curve25519 is libsodium's in the compiled core;
every other curve is ``cryptography``'s.  AES-128-GCM is REQUIRED (RFC 8548 table 3)
and libsodium lacks it, so it comes from the libcrypto that Python itself has
loaded, or else from ``cryptography``.

A provider that is called straight from C wins on short frames; the OpenSSL in
``cryptography``'s wheels, newer and with wider AES instructions, costs a
Python call and wins on long ones.  So the compiled core may hold a key in two
of them.  ``PYENO_AES128``, ``PYENO_AES256`` and ``PYENO_CHACHA20`` force one
provider by name.  The pure twin uses ``cryptography`` for all.
"""

import ctypes
import os
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple

from pyeno.constants import ECDHE, Aead, Tep


def _find_sodium() -> str:
    try:
        return str(import_module("nacl._sodium").__file__)
    except ImportError as error:
        raise ImportError(
            "pyeno needs libsodium from PyNaCl >= 1.6.2, which cannot be imported; "
            "pip install 'PyNaCl>=1.6.2'"
        ) from error


SODIUM: Final = _find_sodium()
"""The shared object in which dlsym() finds libsodium."""

LIBSODIUM: Final = "libsodium"
LIBCRYPTO: Final = "libcrypto"
CRYPTOGRAPHY: Final = "cryptography"
PROVIDERS: Final = (LIBSODIUM, LIBCRYPTO, CRYPTOGRAPHY)

_ENVIRONMENT: Final = {
    Aead.AES_128_GCM: "PYENO_AES128",
    Aead.AES_256_GCM: "PYENO_AES256",
    Aead.CHACHA20_POLY1305: "PYENO_CHACHA20",
}

# Fastest first for short frames, when called from C.
_DIRECT: Final = {
    Aead.AES_128_GCM: (LIBCRYPTO,),
    Aead.AES_256_GCM: (LIBSODIUM, LIBCRYPTO),
    Aead.CHACHA20_POLY1305: (LIBSODIUM,),
}

# Plaintext bytes from which ``cryptography`` takes over.  Sealing 64, 1400, 16384
# and 65518 bytes took so many ns (AMD EPYC with VAES, OpenSSL 3.0 as libcrypto,
# cryptography 50):
#   AES-128-GCM        libcrypto  358  739  4184 16049   cryptography 1065 1362 3167  8555
#   AES-256-GCM        libsodium  181  609  4541 17208   cryptography 1086 1414 3370 10018
#   ChaCha20-Poly1305  libsodium  505 1543 11983 46391   cryptography 1494 2018 7494 23605
CUT: Final = {
    Aead.AES_128_GCM: 6144,
    Aead.AES_256_GCM: 6144,
    Aead.CHACHA20_POLY1305: 3072,
}


class Plan(NamedTuple):
    """Providers of one AEAD: of texts below ``cut`` bytes, and from ``cut``."""

    small: str
    large: str
    cut: int

    def __str__(self) -> str:
        if self.small == self.large:
            return self.small
        return f"{self.small} ({self.large} from {self.cut} bytes)"


@cache
def loaded_libcrypto() -> str | None:
    """The name of the libcrypto this process has loaded already, or None.

    Python built with a static OpenSSL has none.  A second copy is never
    loaded.
    """
    import _hashlib  # noqa: F401  # loads libcrypto

    for name in ("libcrypto.so.3", "libcrypto.so.1.1"):
        try:
            ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        except OSError:
            continue
        return name
    return None


@cache
def sodium_has_aes() -> bool:
    """Whether libsodium can compute AES-256-GCM on this processor."""
    sodium = ctypes.CDLL(SODIUM)
    sodium.sodium_init()
    return bool(sodium.crypto_aead_aes256gcm_is_available())


@cache
def has_aes_instructions() -> bool:
    """Whether AES is fast here; without, ChaCha20-Poly1305 is faster."""
    if sodium_has_aes():
        return True
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "aes" in words


@cache
def cryptography_opens_in_place() -> bool:
    """Whether ``cryptography`` has encrypt_into and decrypt_into."""
    from cryptography.hazmat.primitives.ciphers import aead

    return hasattr(aead.AESGCM, "decrypt_into") and hasattr(
        aead.ChaCha20Poly1305, "decrypt_into"
    )


def _can(provider: str, aead: Aead) -> bool:
    if provider == LIBCRYPTO:
        return aead is not Aead.CHACHA20_POLY1305 and loaded_libcrypto() is not None
    if provider == LIBSODIUM:
        if aead is Aead.AES_256_GCM:
            return sodium_has_aes()
        return aead is Aead.CHACHA20_POLY1305
    return provider == CRYPTOGRAPHY


def _forced(aead: Aead) -> Plan | None:
    variable = _ENVIRONMENT[aead]
    provider = os.environ.get(variable)
    if not provider:
        return None
    if not _can(provider, aead):
        able = ", ".join(name for name in PROVIDERS if _can(name, aead))
        raise ImportError(f"{variable}={provider!r}: {aead.name} can be had here from {able}")
    return Plan(provider, provider, 0)


def plan(aead: Aead) -> Plan:
    """The compiled core's providers of one AEAD.

    :raises ImportError: an environment variable names one that cannot serve
    """
    forced = _forced(aead)
    if forced:
        return forced
    for provider in _DIRECT[aead]:
        if _can(provider, aead):
            large = CRYPTOGRAPHY if cryptography_opens_in_place() else provider
            return Plan(provider, large, CUT[aead])
    return Plan(CRYPTOGRAPHY, CRYPTOGRAPHY, 0)


def direct_plan(aead: Aead) -> Plan:
    """The same for threads that hold no GIL: ``cryptography``, which needs it, only where
    nothing else can serve, or is wished for."""
    chosen = plan(aead)
    if chosen.small == CRYPTOGRAPHY or _forced(aead):
        return chosen
    large = LIBCRYPTO if _can(LIBCRYPTO, aead) else chosen.small
    return Plan(chosen.small, large, CUT[aead])


def providers() -> dict[Aead, str]:
    """Who computes each AEAD under the chosen backend, for people to read."""
    from pyeno._backend import backend

    if backend == "pure":
        return dict.fromkeys(Aead, CRYPTOGRAPHY)
    return {aead: str(plan(aead)) for aead in Aead}


@cache
def has_curve(tep: int) -> bool:
    """Whether keys can be agreed by this TEP (RFC 8548 section 5)."""
    if agreement_provider(tep) == LIBSODIUM:
        return True
    from cryptography.exceptions import UnsupportedAlgorithm

    from pyeno._curves import CURVES

    curve, size = CURVES[tep], ECDHE[tep].secret_len
    try:
        curve.load(bytearray(curve.head + (1).to_bytes(size, "big") + curve.tail))
    except UnsupportedAlgorithm:  # what OpenSSL's relatives say of Curve448
        return False
    return True


def agreement_provider(tep: int) -> str:
    """Who agrees keys by this TEP, under the chosen backend."""
    from pyeno._backend import backend

    curve25519 = tep == Tep.TCPCRYPT_ECDHE_Curve25519
    return LIBSODIUM if curve25519 and backend == "native" else CRYPTOGRAPHY


def default_aeads() -> tuple[Aead, ...]:
    """All AEADs, fastest first on this processor (RFC 8548 section 3.3). [8548:3.6-1, 6-1]

    By the times beside ``CUT``: the two AES-GCM differ by a sixth on frames of
    64 KiB, but libsodium's calls for short frames of AES-256-GCM cost half of
    libcrypto's for AES-128-GCM, and a round trip of one byte has four of them.
    Without AES instructions ChaCha20-Poly1305 comes first.
    """
    if sodium_has_aes():
        return (Aead.AES_256_GCM, Aead.AES_128_GCM, Aead.CHACHA20_POLY1305)
    if has_aes_instructions():
        return (Aead.AES_128_GCM, Aead.AES_256_GCM, Aead.CHACHA20_POLY1305)
    return (Aead.CHACHA20_POLY1305, Aead.AES_128_GCM, Aead.AES_256_GCM)
