"""The example plug-in, installed by pip as a user would; who has it, and who has not."""

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from pyeno.tep.plugins import plugins

EXAMPLE = Path(__file__).parents[2] / "docs/examples/tep"


def pip_install(where: Path, work: Path) -> None:
    """Into a directory of its own, from a copy, so that the build leaves nothing behind."""
    source = work / "source"
    shutil.copytree(EXAMPLE, source)
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-index",
            "--no-deps", "--no-build-isolation", "--disable-pip-version-check",
            "--root-user-action", "ignore", "--target", str(where), str(source),
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip


@contextlib.contextmanager
def having(where: Path) -> Iterator[None]:
    """This process, and those it starts meanwhile, have what is installed there."""
    path, before = list(sys.path), os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(where))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(where), before]))
    forget()
    try:
        yield
    finally:
        sys.path[:] = path
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
        forget()


def forget() -> None:
    """Look again for what is installed."""
    importlib.invalidate_caches()
    plugins.cache_clear()
