"""The one place that chooses between the compiled core and its pure twin.

``PYENO_BACKEND=native`` demands the compiled modules, ``pure`` refuses them,
``auto`` (the default) prefers them and falls back only when they are absent:
a compiled module that is there but broken raises.
"""

import os
import sys
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Literal

Backend = Literal["native", "pure"]


def _in_command() -> bool:
    """The ``pyeno`` command imports this before any line of its own could catch an error."""
    program = sys.argv[0] if sys.argv else ""
    return Path(program).name == "pyeno" or (program == "-m" and "pyeno" in sys.orig_argv)


def _choose(wish: str) -> Backend:
    if wish == "pure":
        return "pure"
    if wish not in ("auto", "native"):
        message = f"PYENO_BACKEND={wish!r}: set it to 'native', 'pure' or 'auto', or unset it"
        if _in_command():
            sys.exit(f"pyeno: {message}")
        raise ImportError(message)
    if wish == "native" or find_spec("pyeno._native.framer") is not None:
        return "native"
    warnings.warn(
        "pyeno: the compiled core is absent, using the slow pure-Python twin; "
        "reinstall with a C compiler, or set PYENO_BACKEND=pure to accept this",
        RuntimeWarning,
        stacklevel=2,
    )
    return "pure"


backend: Backend = _choose(os.environ.get("PYENO_BACKEND", "auto"))


def load(stem: str) -> ModuleType:
    """The chosen twin of one stage, e.g. ``load("framer")``."""
    return import_module(f"pyeno._{backend}.{stem}")
