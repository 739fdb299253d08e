"""The suite of RFC 8547 section 5 on every TEP of pyeno and on the example; and that
it catches every TEP that breaks a rule."""

from typing import Any

import pytest
from unit.broken_teps import BROKEN
from unit.example_tep import EXAMPLE

import pyeno
from pyeno import Config, tep
from pyeno.tep.testing import Broken, Conformance, check, clauses

TEPS = [*tep.BUILT_IN.values(), EXAMPLE]


@pytest.mark.rfc(
    "8547:5-2", "8547:5-3", "8547:5-5", "8547:5-10", "8547:5-11", "8547:5-14", "8547:5-15",
    "8547:5.1-1", "8547:5.1-3", "8547:5.1-5", "8547:5.1-8", "8547:5.1-9", "8547:5.1-13",
    "8547:5.1-16", "8547:5.1-18", "8547:5.1-19",
)  # fmt: skip
@pytest.mark.parametrize("clause", clauses())
@pytest.mark.parametrize("definition", TEPS, ids=lambda definition: definition.name)
def test_every_tep_conforms(definition: tep.Definition, clause: str) -> None:
    """The suite as its users run it, one clause at a time."""
    suite = Conformance()
    suite.definition = definition
    getattr(suite, clause)()


@pytest.mark.parametrize("size", [300, "auto"])
def test_under_other_policies(size: Any) -> None:
    """Short frames, and those that take more than the peer's suboption data allow."""
    for definition in (EXAMPLE, tep.BUILT_IN[0x23]):
        assert check(definition, Config(frame_size=size, cache=False), samples=8) == {}


@pytest.mark.parametrize(
    ("clause", "definition"),
    [(clause, each) for clause, found in BROKEN.items() for each in found],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_broken_ones_are_caught(clause: str, definition: tep.Definition) -> None:
    """By the clause that is about what they break; one that cannot do what its definition
    says may raise by itself."""
    suite = Conformance()
    suite.definition = definition
    claims = definition.urgent or definition.rekeys or clause == "test_end_of_stream"
    with pytest.raises(pyeno.LocalProtocolError if claims else Broken):
        getattr(suite, clause)()


def test_no_clause_is_idle() -> None:
    assert set(BROKEN) == set(clauses())


def test_all_at_once() -> None:
    """check() goes on after a fault, and after a TEP that raises anything."""
    (found,) = BROKEN["test_wipe"]
    assert list(check(found, samples=2)) == ["test_wipe"]
    (without,) = BROKEN["test_interface"]
    broken = check(without, samples=2)
    assert broken["test_interface"].startswith("missing: aead, arm,")
    assert "AttributeError" in broken["test_events"]
    assert "test_identifier" not in broken


class TestExample(Conformance):
    """As docs/teps.md shows it: pytest finds the clauses by itself."""

    definition = EXAMPLE
    samples = 16
