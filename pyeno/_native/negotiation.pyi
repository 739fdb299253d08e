from collections.abc import Iterable

from pyeno._values import Buffer, Outcome, TepData
from pyeno.constants import Reason

def offer(
    teps: Iterable[int],
    *,
    role_b: bool = False,
    aware: bool = False,
    rules: Iterable[TepData] = (),
    room: int = 40,
) -> bytes: ...
def choose(
    received: Buffer,
    teps: Iterable[int],
    *,
    aware: bool = False,
    mandatory: bool = False,
    rules: Iterable[TepData] = (),
    room: int = 40,
) -> tuple[bytes, Reason]: ...
def negotiate(
    sent: Buffer,
    received: Buffer,
    *,
    mandatory: bool = False,
    remote_half: Buffer | None = None,
    rules: Iterable[TepData] = (),
) -> Outcome: ...
