"""With ``PYENO_WIRE=require`` (ci/test sets it) a skipped test is a failed one:
a suite that ran half proves nothing.

``--rfc-results FILE`` records which tests marked ``rfc`` passed, for ci/compliance."""

import json
import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# a busy machine is no fault of the code's: no test asserts a time
hypothesis.settings.register_profile("pyeno", deadline=None)
hypothesis.settings.load_profile("pyeno")

REQUIRED = os.environ.get("PYENO_WIRE") == "require"
MARKED = pytest.StashKey[dict[str, bool]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rfc-results", type=Path, metavar="FILE", help="for ci/compliance")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[MARKED] = {}


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("--rfc-results")
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(session.config.stash[MARKED], indent=1), "utf-8")


def _record(item: pytest.Item, passed: bool) -> None:
    """A test has passed if every phase of its every case has."""
    if item.get_closest_marker("rfc"):
        name = item.nodeid.partition("[")[0]
        marked = item.config.stash[MARKED]
        marked[name] = marked.get(name, True) and passed


def _forbid(report: Any) -> None:
    if REQUIRED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"PYENO_WIRE=require forbids to skip: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    report = yield
    _forbid(report)
    _record(item, report.passed)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    report = yield
    _forbid(report)
    return report
