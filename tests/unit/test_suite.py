"""The suite's own rule: with PYENO_WIRE=require nothing is skipped in silence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SKIPPING = """
import pytest

def test_runs(): pass

def test_skips(): pytest.skip("no such thing here")

@pytest.mark.xfail(strict=True)
def test_is_known_to_fail(): assert False
"""


@pytest.mark.parametrize(
    ("wish", "text", "status", "says"),
    [
        ("require", SKIPPING, 1, "forbids to skip"),
        ("", SKIPPING, 0, "1 skipped"),
        ("require", "import pytest\npytest.skip('x', allow_module_level=True)", 1, "error"),
    ],
)
def test_skips_fail_where_required(
    tmp_path: Path, wish: str, text: str, status: int, says: str
) -> None:
    shutil.copy(Path(__file__).parents[1] / "conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", str(tmp_path)],
        env=os.environ | {"PYENO_WIRE": wish},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode != 0) == bool(status), done.stdout
    assert says in done.stdout
