"""Plug-ins as pip leaves them: a module and its package's entry points, on sys.path."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from unit.example_tep import EXAMPLES

from pyeno.tep.plugins import GROUP, plugins


class Plugs:
    """Installs into one directory."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.modules: list[str] = []

    def install(self, module: str, source: str, *entries: str, version: str = "1.0") -> None:
        """A package of one module, whose entry points are ``name = module:object``."""
        (self.where / f"{module}.py").write_text(source)
        self.register(module, *entries, version=version)

    def register(self, module: str, *entries: str, version: str = "1.0") -> None:
        info = self.where / f"{module}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Name: {module.replace('_', '-')}\nVersion: {version}\n"
        )
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n" + "\n".join(entries) + "\n")
        self.modules.append(module)
        forget()

    def example(self) -> None:
        """The example plug-in."""
        self.register("eno_tep_example", "example = eno_tep_example:EXAMPLE")


def forget() -> None:
    """As a new process would find it."""
    importlib.invalidate_caches()
    plugins.cache_clear()


@contextmanager
def plugging(where: Path) -> Iterator[Plugs]:
    """What is installed there may be imported meanwhile."""
    before = list(sys.path)
    sys.path[:0] = [str(where), str(EXAMPLES)]
    plugs = Plugs(where)
    forget()
    try:
        yield plugs
    finally:
        sys.path[:] = before
        for module in plugs.modules:
            if module != "eno_tep_example":
                sys.modules.pop(module, None)
        forget()
