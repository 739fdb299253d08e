"""What the ENO option's bytes cost, compiled and pure (RFC 8547 sections 4.1, 4.4).

``pytest bench/test_option.py --benchmark-group-by=param:case`` prints the twins
side by side; ``--benchmark-json=FILE`` keeps machine and numbers.
"""

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest

from pyeno._values import Suboption

TWINS = ("native", "pure")
OPTIONS = {
    "SYN-ACK": bytes.fromhex("45040123"),
    "SYN, four TEPs": bytes.fromhex("450621222423"),
    "SYN, resumption": bytes.fromhex("4514a3") + bytes(17),
    "SYN, four TEPs and resumption": bytes.fromhex("451720212224a3") + bytes(16),
    "SYN, 38 TEPs": bytes.fromhex("4528") + bytes(range(0x20, 0x46)),
}
# MSS, SACK, timestamps, NOP, window scale, as Linux sends them, then ENO
HEADER = bytes.fromhex("020405b40402080a000000010000000001030307") + OPTIONS["SYN, four TEPs"]


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(f"pyeno._{request.param}.option")


@pytest.mark.parametrize("case", OPTIONS)
def test_parse(benchmark: Any, twin: ModuleType, case: str) -> None:
    option = benchmark(twin.parse, OPTIONS[case])
    assert option.raw == OPTIONS[case]


@pytest.mark.parametrize("case", OPTIONS)
def test_parse_and_read(benchmark: Any, twin: ModuleType, case: str) -> None:
    """With the Python values of every suboption."""
    teps = benchmark(lambda: twin.parse(OPTIONS[case]).teps)
    assert twin.encode(teps, global_suboption=1 if case == "SYN-ACK" else None) == OPTIONS[case]


def test_find(benchmark: Any, twin: ModuleType) -> None:
    assert benchmark(twin.find, HEADER) == (OPTIONS["SYN, four TEPs"],)


def test_encode(benchmark: Any, twin: ModuleType) -> None:
    suboptions = [0x21, 0x22, 0x24, Suboption(0x23, True, bytes(17))]
    raw = benchmark(twin.encode, suboptions)
    assert twin.parse(raw).teps[-1].data == bytes(17)
