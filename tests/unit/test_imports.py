"""Data goes one way: the import graph, read from the source, never from a run.

SYN bytes -> option -> negotiation -> handshake -> key schedule -> frame ->
socket.  Stages never import each other, one connection joins them, and only a
few modules do I/O.  Modules are found by globbing, so a new one is checked too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pyeno"

STAGES = {"option", "negotiation", "handshake", "keyschedule", "framer"}
TWINS = ("pyeno._native", "pyeno._pure")
STAGE_PACKAGES = {"pyeno", "pyeno.tcpcrypt", *TWINS}
DOES_IO = {
    "doctor", "sockets", "aio", "auth.aio", "auth.known_hosts", "relay", "inprocess", "ss",
    "kernel", "cli", "demo", "bench", "redirect", "__main__",
}  # fmt: skip
IO_MODULES = {
    "asyncio", "fcntl", "http", "multiprocessing", "select", "selectors", "signal",
    "socket", "socketserver", "subprocess", "urllib",
}  # fmt: skip
# a module imports none of a higher layer; those not named here are only helpers
LAYERS: tuple[set[str], ...] = (
    {"_version", "_values", "constants", "errors", "_backend", "_wording", "_complaints"},
    STAGES,
    {"tep", "tcpcrypt", "tls", "config", "events"},
    {"connection"},
    {"kernel", "attach", "doctor", "loading", "mounts", "redirect", "sockets", "aio"},
    {"auth", "relay", "inprocess", "ss"},
    {"cli", "demo", "bench", "__main__"},
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {
    module_name(path): path
    for pattern in ("*.py", "*.pyi")
    for path in sorted(PACKAGE.rglob(pattern))
}


def imported(name: str, source: str, is_package: bool = False) -> Iterator[str]:
    """Absolute names of the modules a source imports, wherever the statement stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".")
                up = node.level - is_package
                base = ".".join([*parts[: len(parts) - up], *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                is_module = inner in SOURCES or (
                    base == "pyeno" and layer_of(inner) is not None
                )
                yield inner if is_module else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "load":
            for argument in node.args:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield f"pyeno._pure.{argument.value}"


def imports_of(name: str) -> set[str]:
    path = SOURCES[name]
    return set(imported(name, path.read_text(), path.stem == "__init__"))


def stage_of(name: str) -> str | None:
    """The stage a module belongs to: public, a twin, or of the TEP."""
    package, _, stem = name.rpartition(".")
    return stem if package in STAGE_PACKAGES and stem in STAGES else None


def layer_of(name: str) -> int | None:
    parts = name.split(".")
    if len(parts) < 2 or parts[0] != "pyeno":
        return None
    if stage_of(name) or name.startswith(TWINS):
        return 1
    if parts[1] == "tcpcrypt" and len(parts) > 2 and parts[2] != "connection":
        return None  # what the TEP's stage and its connection both build on
    return next((n for n, layer in enumerate(LAYERS) if parts[1] in layer), None)


def faults(name: str, imports: set[str]) -> list[str]:
    """Which rule an import breaks."""
    stage, layer = stage_of(name), layer_of(name)
    found = []
    for other in sorted(imports):
        above = layer_of(other)
        if stage and stage_of(other) not in (None, stage):
            found.append(f"{name}: a stage imports the stage {other}")
        if stage and above is not None and above > 1:
            found.append(f"{name}: a stage imports {other}, which is above it")
        if layer is not None and above is not None and above > layer:
            found.append(f"{name} (layer {layer}) imports {other} (layer {above})")
        if layer is not None and layer < len(LAYERS) - 1 and other == "pyeno":
            found.append(f"{name}: imports the package itself, which imports everything")
        below = name.split(".", 1)[-1]
        does_io = not DOES_IO.isdisjoint((below, below.split(".")[0]))
        if other.split(".")[0] in IO_MODULES and not does_io:
            found.append(f"{name}: imports {other}, but I/O is in {sorted(DOES_IO)} only")
    return found


@pytest.mark.parametrize("name", [n for n in SOURCES if n != "pyeno"])
def test_data_goes_one_way(name: str) -> None:
    """The layout's rules 2 and 3, for every module and stub that exists."""
    assert not faults(name, imports_of(name))


PYX = {path.stem: path for path in (ROOT / "ext/cython").glob("*.pyx")}


@pytest.mark.parametrize("stem", PYX)
def test_compiled_stages_too(stem: str) -> None:
    """Cython: no stage imports or cimports another."""
    text = PYX[stem].read_text()
    names = re.findall(r"^\s*(?:from\s+([\w.]+)\s+c?import|c?import\s+([\w.]+))", text, re.M)
    imports = {f"pyeno._native.{n}" if n in STAGES else n for pair in names for n in pair if n}
    assert imports, "the pattern finds nothing"
    assert not faults(f"pyeno._native.{stem}", imports)


@pytest.mark.parametrize(
    ("name", "source", "fault"),
    [
        ("pyeno.option", "from pyeno import negotiation", "imports the stage"),
        ("pyeno.option", "from . import negotiation", "imports the stage"),
        ("pyeno.option", "from .negotiation import offer", "imports the stage"),
        ("pyeno._pure.option", "import pyeno._pure.negotiation", "imports the stage"),
        ("pyeno.option", "x = load('negotiation')", "imports the stage"),
        ("pyeno.tcpcrypt.handshake", "import pyeno.framer", "imports the stage"),
        ("pyeno.negotiation", "def f():\n    import socket", "I/O is in"),
        ("pyeno.connection", "from asyncio import Queue", "I/O is in"),
        ("pyeno.tls", "import pyeno.sockets", "layer"),
        ("pyeno.tcpcrypt.handshake", "import pyeno.tcpcrypt.connection", "above it"),
        ("pyeno.tcpcrypt.handshake", "from pyeno.tcpcrypt import messages", None),
        ("pyeno.constants", "import pyeno.option", "layer"),
        ("pyeno.option", "import pyeno", "the package itself"),
        ("pyeno.sockets", "import pyeno.cli.main", "layer"),
        ("pyeno.aio", "from pyeno.auth import aio", "layer"),
        ("pyeno.auth.psk", "import socket", "I/O is in"),
        ("pyeno.auth.aio", "import asyncio, pyeno.sockets.info", None),
        ("pyeno.sockets", "import socket, pyeno.connection, pyeno.kernel", None),
        ("pyeno.connection", "from pyeno import option, negotiation", None),
        ("pyeno.option", "from pyeno._pure.option import parse", None),
        ("pyeno._pure.option", "from pyeno._pure.eno import walk", None),
        ("pyeno.cli.main", "import socket, pyeno, pyeno.relay", None),
    ],
)
def test_the_rules_themselves(name: str, source: str, fault: str | None) -> None:
    """Each rule catches what it is for, and nothing else."""
    found = faults(name, set(imported(name, source)))
    assert bool(found) == (fault is not None)
    assert fault is None or any(fault in line for line in found)
