"""The example plug-in of docs/examples/tep, as its source stands there."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "docs/examples/tep"


def load(path: Path = EXAMPLES / "eno_tep_example.py") -> ModuleType:
    """A module by its file, once."""
    if path.stem not in sys.modules:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[path.stem]


example = load()
Example, ExampleConnection, EXAMPLE = (
    example.Example, example.ExampleConnection, example.EXAMPLE
)  # fmt: skip
