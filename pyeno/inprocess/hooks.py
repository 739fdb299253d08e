"""Something to be done as soon as a module has been imported, if ever it is.

Loaded from its file at the start of every Python: it imports nothing of pyeno.
"""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

Action = Callable[[str, ModuleType], None]
MODULES = (
    "socket", "select", "selectors", "ssl", "multiprocessing.reduction", "asyncio.base_events",
    "uvloop", "pyeno.aio.transport",
)  # fmt: skip
"""what :mod:`pyeno.inprocess.install` amends"""


def watch(action: Action) -> None:
    """Call it with the name of each of them and the module, once it has been imported."""
    sys.meta_path.insert(0, _Finder(action))


class _Finder(MetaPathFinder):
    """Finds each module once, where the others would."""

    def __init__(self, action: Action) -> None:
        self._wanted, self._action = set(MODULES), action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._wanted:
            return None
        self._wanted.discard(fullname)
        spec = importlib.util.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._action)
        return spec


class _Loader(Loader):
    """The module's own loader, and then the action."""

    def __init__(self, inner: Loader, action: Action) -> None:
        self._inner, self._action = inner, action

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._inner
        self._inner.exec_module(module)
        self._action(module.__name__, module)
