"""Becoming a Python program whose sockets are ENO's."""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from pyeno import kernel
from pyeno.config import Config
from pyeno.errors import ConfigError, KernelError
from pyeno.inprocess.rules import Rules
from pyeno.inprocess.settings import PATIENCE, VARIABLE, Settings

SITE = Path(__file__).with_name("site")
_PYTHON = re.compile(r"python(\d+(\.\d+)*)?t?")
_WITH_VALUE, _LAST = "WX", "cm"
_UNHEARD = "EIS"
"""options under which Python looks at no PYTHONPATH, or runs no sitecustomize"""
_PROBE = "import pyeno.inprocess.install"


def launch(argv: Sequence[str], config: Config, rules: Rules | None = None) -> NoReturn:
    """Replace this process by a Python program, ``argv`` as for execvp().

    ``config``: the policy of all its connections, of the key exchange's time limit too
    unless that is the default one, which programs that accept late would break.
    Raises ConfigError where the program is not one of Python, or cannot be reached;
    KernelError where encryption is required and this host has no ENO; OSError.
    """
    path = _found(argv)
    _check_python(path, argv)
    if config.handshake_timeout == Config().handshake_timeout:
        config = config.but(handshake_timeout=PATIENCE)
    _check_kernel(config)
    settings = Settings(config, rules or Rules())
    os.execve(path, list(argv), os.environ | _environment(settings))  # noqa: S606


def _environment(settings: Settings) -> dict[str, str]:
    before = os.environ.get("PYTHONPATH")
    entries = [str(SITE), *([before] if before else [])]
    return {"PYTHONPATH": os.pathsep.join(entries), VARIABLE: settings.encode()}


def _found(argv: Sequence[str]) -> str:
    if not argv:
        raise ConfigError("no program: write it after --, as in `-- python app.py`")
    path = shutil.which(argv[0])
    if path is None:
        raise ConfigError(f"{argv[0]}: no such program")
    return path


def _check_python(path: str, argv: Sequence[str]) -> None:
    found = _interpreter(path)
    if found is None:
        raise ConfigError(
            f"{argv[0]}: not a Python program; run it without --in-process, which works for "
            "every program"
        )
    interpreter, *given = found
    unheard = _unheard(argv[1:] if interpreter == path else given)
    if unheard:
        raise ConfigError(
            f"{argv[0]}: under -{unheard} Python does not look for what prepares its sockets; "
            f"leave -{unheard} out, or run it without --in-process"
        )
    done = subprocess.run([interpreter, "-c", _PROBE], capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ConfigError(
            f"{interpreter} cannot import pyeno ({said}); install pyeno for it: "
            f"{interpreter} -m pip install pyeno"
        )


def _interpreter(path: str) -> list[str] | None:
    """The Python that runs it, and the options it is given; None: it is none."""
    if _PYTHON.fullmatch(Path(path).name) or _PYTHON.fullmatch(Path(path).resolve().name):
        return [path]
    with Path(path).open("rb") as file:
        line = file.readline(256)
    if not line.startswith(b"#!"):
        return None
    words = line[2:].decode(errors="replace").split()
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if word != "-S"]
    found = shutil.which(words[0]) if words else None
    if found is None or not _PYTHON.fullmatch(Path(found).name):
        return None
    return [found, *words[1:]]


def _unheard(words: Sequence[str]) -> str:
    """The option that is in the way, or nothing; ``words`` follow the interpreter's name."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--"):
            if word == "--check-hash-based-pycs":
                next(rest, None)
            continue
        if not word.startswith("-") or word == "-":
            return ""
        for at, letter in enumerate(word[1:], 2):
            if letter in _UNHEARD:
                return letter
            if letter in _LAST:
                return ""
            if letter in _WITH_VALUE:
                if at == len(word):
                    next(rest, None)
                break
    return ""


def _check_kernel(config: Config) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        if kernel.version(sock) is not None:
            return
    told = "ENO is not attached for this process: run 'pyeno attach' as root"
    if config.require:
        raise KernelError(None, told)
    print(f"pyeno: {told}; until then nothing is encrypted", file=sys.stderr)
