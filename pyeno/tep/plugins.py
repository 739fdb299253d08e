"""Plug-ins: TEPs of other packages, through the entry-point group ``pyeno.teps``.

An entry point names a :class:`pyeno.tep.Definition`, e.g. in pyproject.toml

    [project.entry-points."pyeno.teps"]
    example = "eno_tep_example:EXAMPLE"

One that cannot be used is refused, with its name and the reason, and harms
nobody else: it is an error for who asks for it, and ``pyeno doctor`` tells.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from pyeno.constants import ENO_GLT, ENO_TEP_MIN, ENO_TEP_RESERVED
from pyeno.errors import TepError
from pyeno.tep.definition import NAME, Definition, within
from pyeno.tep.guard import Guarded
from pyeno.tep.offer import table_entry

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "pyeno.teps"
_RESERVED_NAMES: Final = {"all"}


class Refusal(NamedTuple):
    """A plug-in that is installed and may not be used."""

    name: str
    """its entry point's"""
    package: str
    identifier: int | None
    """what it claims, if it came so far"""
    why: str

    def __str__(self) -> str:
        return f"plug-in {self.name!r} of {self.package} was refused: {self.why}"


class Plugins(NamedTuple):
    """What was found."""

    definitions: Mapping[int, Definition]
    refused: tuple[Refusal, ...]


class _Refused(Exception):
    """Why one cannot be used, and what it claims."""

    def __init__(self, why: str, identifier: int | None = None) -> None:
        super().__init__(why)
        self.identifier = identifier


@cache
def plugins() -> Plugins:
    """All that are installed, loaded once."""
    from importlib.metadata import entry_points

    from pyeno.tep.registry import BUILT_IN  # which asks for plug-ins

    found = entry_points(group=GROUP)
    return examine(sorted(found, key=lambda entry: (entry.name, package_of(entry))), BUILT_IN)


def package_of(entry: "EntryPoint") -> str:
    """Name and version of the distribution it came with."""
    return (
        "an unknown package"
        if entry.dist is None
        else f"{entry.dist.name} {entry.dist.version}"
    )


def examine(entries: "Iterable[EntryPoint]", built_in: Mapping[int, Definition]) -> Plugins:
    """Load each, and part those that may be used from those that may not."""
    loaded: list[tuple[EntryPoint, Guarded]] = []
    refused: list[Refusal] = []
    for entry in entries:
        try:
            loaded.append((entry, _load(entry, built_in)))
        except _Refused as why:
            refused.append(Refusal(entry.name, package_of(entry), why.identifier, str(why)))
    loaded, clashing = _part_clashing(loaded)
    refused += clashing
    return Plugins({each.identifier: each for _, each in loaded}, tuple(refused))


def _load(entry: "EntryPoint", built_in: Mapping[int, Definition]) -> Guarded:
    try:
        definition = entry.load()
    except (Exception, SystemExit) as error:
        raise _Refused(
            f"loading {entry.value} raised {type(error).__name__}: {error}"
        ) from None
    if not isinstance(definition, Definition):
        raise _Refused(
            f"{entry.value} is {type(definition).__name__}, not a pyeno.tep.Definition"
        )
    try:
        identifier, name = definition.identifier, definition.name
    except Exception as error:
        raise _Refused(f"its identifier or name raised {type(error).__name__}") from None
    _check_identifier(identifier)
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in _RESERVED_NAMES:
        raise _Refused(
            f"its name {name!r} is not of lower-case letters, digits and hyphens", identifier
        )
    for own in built_in.values():
        if own.identifier == identifier:
            raise _Refused(f"{identifier:#04x} is pyeno's own {own.name!r}", identifier)
        if own.name == name:
            raise _Refused(f"the name is that of pyeno's own {own.identifier:#04x}", identifier)
    try:
        guarded = Guarded(definition, f"plug-in {entry.name!r} of {package_of(entry)}")
    except Exception as error:
        why = f"its urgent or rekeys raised {type(error).__name__}"
        raise _Refused(why, identifier) from None
    _check_answers(guarded)
    return guarded


def _check_identifier(identifier: object) -> None:
    if not within(identifier, ENO_GLT):
        raise _Refused(
            f"its identifier {identifier!r} is none; allowed: an integer from "
            f"{ENO_TEP_MIN:#x} to {ENO_TEP_RESERVED - 1:#x} (RFC 8547 section 11)"
        )
    if not within(identifier, ENO_TEP_RESERVED - 1):
        raise _Refused(
            f"its identifier {identifier:#04x} is reserved for extended values (RFC 8547 "
            f"section 11, table 3); allowed: {ENO_TEP_MIN:#x} to {ENO_TEP_RESERVED - 1:#x}",
            identifier,  # type: ignore[arg-type]
        )


def _check_answers(definition: Guarded) -> None:
    """What it answers under the default policy; under another one it is asked again."""
    from pyeno.config import as_config

    try:
        table_entry(definition, as_config(None))
    except TepError as error:
        raise _Refused(str(error).partition(": ")[2], definition.identifier) from None


def _part_clashing(
    loaded: "list[tuple[EntryPoint, Guarded]]",
) -> tuple["list[tuple[EntryPoint, Guarded]]", list[Refusal]]:
    """Two that claim the same are both refused: neither is the one that was meant."""
    identifiers = Counter(each.identifier for _, each in loaded)
    named = Counter(each.name for _, each in loaded)
    kept, refused = [], []
    for entry, each in loaded:
        if identifiers[each.identifier] == named[each.name] == 1:
            kept.append((entry, each))
            continue
        others = ", ".join(
            f"{other.name!r} of {package_of(other)}"
            for other, rival in loaded
            if rival is not each
            and (rival.identifier == each.identifier or rival.name == each.name)
        )
        why = (
            f"its identifier {each.identifier:#04x} or its name {each.name!r} is claimed by "
            f"{others} too; uninstall one"
        )
        refused.append(Refusal(entry.name, package_of(entry), each.identifier, why))
    return kept, refused
