"""docs/tls.md says what is built."""

import inspect

from unit.test_docs import quoted, rows, text
from unit.tls_ends import NAME, TRANSCRIPT

from pyeno import Config, errors
from pyeno.tls import context, profile
from pyeno.tls import errors as tls_errors
from pyeno.tls.binding import EXPORTER_LABEL


def test_every_failure_is_named() -> None:
    table = {quoted(name).pop() for name, _ in rows("docs/tls.md", "Failures")}
    defined = {
        name
        for name, kind in inspect.getmembers(tls_errors, inspect.isclass)
        if kind.__module__ == tls_errors.__name__
    }
    others = {name.removeprefix("pyeno.errors.") for name in table if "." in name}
    assert {name for name in table if "." not in name} == defined
    assert all(hasattr(errors, name) for name in others)


def test_the_profile() -> None:
    table = {name: said for name, said in rows("docs/tls.md", "The profile") if name}
    suites = {word for word in quoted(table["suites"]) if word.startswith("TLS_")}
    assert suites == set(profile.SUITES.values())
    assert table["suites"].index("AES_128") < table["suites"].index("AES_256")


def test_names_and_numbers() -> None:
    manual = text("docs/tls.md")
    assert f"    {NAME.decode()} " in manual and TRANSCRIPT.hex() in manual
    assert EXPORTER_LABEL.decode() in manual
    assert f"replaced after {context.USES} connections" in manual
    assert Config(teps=["tls"], frame_size=100).frame_data == 100
