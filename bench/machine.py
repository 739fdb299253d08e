"""What was measured on, and how figures are reduced and kept."""

import json
import os
import platform
import ssl
import statistics
import sys
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyeno

RESULTS = Path(__file__).parent / "results"


def describe() -> dict[str, Any]:
    """Machine and versions, for every result file."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": model,
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": sys.version.split()[0],
        "openssl": ssl.OPENSSL_VERSION,
        "pyeno": pyeno.__version__,
        "backend": pyeno.backend,
        **{name: version(name) for name in ("PyNaCl", "cryptography")},
    }


def summary(values: Iterable[float]) -> dict[str, float]:
    """Median, least and greatest of the rounds."""
    rounds = sorted(values)
    return {
        "median": statistics.median(rounds),
        "min": rounds[0],
        "max": rounds[-1],
        "rounds": len(rounds),
    }


def keep(name: str, figures: dict[str, Any]) -> Path:
    """Write ``results/<name>.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": describe(), **figures}, indent=1) + "\n")
    return path
