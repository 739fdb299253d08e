"""Found first on PYTHONPATH by every Python that ``pyeno run --in-process`` starts.

Runs the sitecustomize that would have been found otherwise, and has this
process prepared as soon as it imports ``socket``; until then it costs nothing.
With TEPs that import much themselves it is prepared at once.
"""

import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from types import ModuleType

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to load


def run_next() -> None:
    """The next sitecustomize on the path takes this one's place."""
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != HERE]  # noqa: PTH100
    spec = PathFinder.find_spec("sitecustomize")
    if spec is None or spec.loader is None:
        return
    module = sys.modules["sitecustomize"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


loaded: dict[str, ModuleType] = {}
"""what is to be amended, once pyeno is there"""


def prepare(name: str, module: ModuleType) -> None:
    """A module has been imported; pyeno comes with ``socket``."""
    loaded[name] = module
    if name == "socket":
        try:
            from pyeno.inprocess.install import install_from_environment
        except ImportError as error:
            complain(error)
            return
        install_from_environment()
    install = sys.modules.get("pyeno.inprocess.install")
    while install is not None and loaded:
        install.amend(*loaded.popitem())


def complain(error: ImportError) -> None:
    """This interpreter is another one than the launcher's."""
    told = f"pyeno run --in-process: {sys.executable} cannot import pyeno ({error})"
    if '"require": true' in os.environ["PYENO_IN_PROCESS"]:
        raise SystemExit(f"{told}; install it there, since encryption is required")
    print(f"{told}: its connections are not encrypted", file=sys.stderr)


def main() -> None:
    """Hooks come from their file: importing pyeno would import ``socket``."""
    path = os.path.join(os.path.dirname(HERE), "hooks.py")  # noqa: PTH118, PTH120
    spec = importlib.util.spec_from_file_location("_pyeno_hooks", path)
    assert spec is not None and spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    hooks.watch(prepare)
    if '"early": true' in os.environ["PYENO_IN_PROCESS"]:
        importlib.import_module("socket")


if "PYENO_IN_PROCESS" in os.environ:
    main()
run_next()
