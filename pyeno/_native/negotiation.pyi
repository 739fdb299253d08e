from collections.abc import Iterable

from pyeno._values import Buffer, Outcome
from pyeno.constants import Reason

def offer(teps: Iterable[int], *, role_b: bool = False, aware: bool = False) -> bytes: ...
def choose(
    received: Buffer, teps: Iterable[int], *, aware: bool = False, mandatory: bool = False
) -> tuple[bytes, Reason]: ...
def negotiate(
    sent: Buffer,
    received: Buffer,
    *,
    mandatory: bool = False,
    remote_half: Buffer | None = None,
) -> Outcome: ...
