"""With ``PYENO_WIRE=require`` (ci/test sets it) a skipped test is a failed one:
a suite that ran half proves nothing."""

import os
from collections.abc import Generator
from typing import Any

import hypothesis
import pytest

# a busy machine is no fault of the code's: no test asserts a time
hypothesis.settings.register_profile("pyeno", deadline=None)
hypothesis.settings.load_profile("pyeno")

REQUIRED = os.environ.get("PYENO_WIRE") == "require"


def _forbid(report: Any) -> None:
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"PYENO_WIRE=require forbids to skip: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, Any, Any]:
    report = yield
    _forbid(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _forbid(report)
    return report
