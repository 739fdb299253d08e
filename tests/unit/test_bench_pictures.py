"""Pictures of a benchmark: well-formed, complete, legible on any page."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"
NAMES = {"plain": "plain", "tls": "tls1.3", "pyeno": "pyeno-aes-128-gcm"}


def row(family: str, scale: float) -> dict[str, Any]:
    """Any figures."""
    names = ("per_second", "cpu_ns", "p50_us", "p99_us", "bytes")
    return {"family": family, "summary": {
        name: {"median": scale, "min": scale / 2, "max": scale * 2, "rounds": 3}
        for name in names
    }}  # fmt: skip


def block(scale: float, *families: str) -> dict[str, Any]:
    found = {}
    for family in families:
        before = "" if family == "sockets" else f"{family}-"
        for i, what in enumerate(NAMES.values()):
            name = (
                f"{before}{what if family == 'sockets' else what.removesuffix('-aes-128-gcm')}"
            )
            found[name] = row(family, scale * (i + 1))
    return {"transports": found}


def stage(**times: float) -> dict[str, Any]:
    return {
        name: {"summary": {"median": value}, "against_native": value / times["native"]}
        for name, value in times.items()
    }


@pytest.fixture
def document() -> dict[str, Any]:
    levels = (1, 100, 10000)
    return {
        "machine": {"cpu": "A <fast> & new CPU", "kernel": "6", "python": "3", "pyeno": "0",
                    "aead": "AES_128_GCM"},
        "settings": {"place": "loopback", "rounds": 3},
        "compared": {
            "sockets": NAMES,
            "asyncio": {what: f"asyncio-{what}" for what in ("plain", "pyeno")}
            | {"tls": "asyncio-tls1.3"},
        },
        "scenarios": {
            **{name: block(2e9, "sockets", "asyncio")
               for name in ("bulk-1m", "bulk-256k", "pipelined")},
            **{name: block(30, "sockets", "asyncio")
               for name in ("ping-pong-1cpu", "ping-pong-2cpu", "fresh", "resumed", "idle")},
            **{f"crowd-{level}": block(level**0.1, "asyncio") for level in levels},
        },
        "stages": {
            "option: parse": stage(native=100, pure=3000),
            "option: find in a SYN's TCP options": stage(native=100, pure=900, dpkt=2000),
            **{f"frame: seal and open {size} bytes, {aead}": stage(native=size, pure=9 * size)
               for size in (64, 1400, 16384, 65518) for aead in ("AES_128_GCM", "AES_256_GCM")},
        },
    }  # fmt: skip


def drawn(document: dict[str, Any], where: Path) -> dict[str, ET.Element]:
    """By name; what `python bench/plot.py` makes of it."""
    result = where / "result.json"
    result.write_text(json.dumps(document))
    # a script finds its neighbour as people run it
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONSAFEPATH"}
    subprocess.run(
        [sys.executable, ROOT / "bench/plot.py", result, "--to", where / "pictures"],
        check=True, capture_output=True, env=environment,
    )  # fmt: skip
    return {path.stem: ET.parse(path).getroot()  # noqa: S314
            for path in (where / "pictures").glob("*.svg")}  # fmt: skip


def words(picture: ET.Element) -> list[str]:
    return [element.text or "" for element in picture.iter(f"{SVG}text")]


def test_every_picture(document: dict[str, Any], tmp_path: Path) -> None:
    pictures = drawn(document, tmp_path)
    assert set(pictures) == {"throughput", "latency", "connections", "concurrency", "frames"}
    for picture in pictures.values():
        width, height = (float(picture.attrib[name]) for name in ("width", "height"))
        card = picture.find(f"{SVG}rect")
        # opaque, and under everything: whatever page it is on
        assert card is not None and card.attrib["fill"] == "#fcfcfd"
        assert float(card.attrib["width"]) >= width - 1
        assert float(card.attrib["height"]) >= height - 1
        assert any("A <fast> & new CPU" in word for word in words(picture))
    for name in ("throughput", "latency", "connections", "concurrency"):
        assert {"plain TCP", "TLS 1.3", "pyeno"} <= set(words(pictures[name]))
    assert {"asyncio, 16 KiB messages", "1", "100", "10,000"} <= set(
        words(pictures["concurrency"])
    )
    assert "find, dpkt" in words(pictures["frames"])
    assert "AES-256-GCM, native" in words(pictures["frames"])
    # nothing of uvloop was measured
    assert not any("uvloop" in word for picture in pictures.values() for word in words(picture))


def test_bars_are_as_long_as_their_numbers(document: dict[str, Any], tmp_path: Path) -> None:
    first = next(drawn(document, tmp_path)["throughput"].iter(f"{SVG}g"))
    lengths = [float(rect.attrib["width"]) for rect in first.iter(f"{SVG}rect")]
    assert lengths[1] / lengths[0] == pytest.approx(2, rel=0.01)
    assert lengths[2] / lengths[0] == pytest.approx(3, rel=0.01)
    assert words(first)[-5::2] == ["2.00", "4.00", "6.00"]


def test_what_was_not_measured_is_not_drawn(document: dict[str, Any], tmp_path: Path) -> None:
    document["scenarios"] = {"fresh": document["scenarios"]["fresh"]}
    document["stages"] = {}
    assert set(drawn(document, tmp_path)) == {"connections"}
