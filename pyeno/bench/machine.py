"""What was measured on: machine and versions."""

import os
import platform
import ssl
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyeno
from pyeno._crypto import default_aeads, providers

PACKAGES = ("PyNaCl", "cryptography", "uvloop", "dpkt", "scapy")


def installed(package: str) -> str | None:
    """Its version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def describe() -> dict[str, Any]:
    """For every result; lasts no time and changes nothing."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": next(models, platform.processor() or platform.machine()),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "openssl": ssl.OPENSSL_VERSION,
        "pyeno": pyeno.__version__,
        "backend": pyeno.backend,
        "aead": default_aeads()[0].name,
        "providers": {aead.name: str(plan) for aead, plan in providers().items()},
        **{package: installed(package) for package in PACKAGES},
    }
