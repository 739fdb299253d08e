from typing import final

from pyeno._native.secret import Secret
from pyeno._values import Buffer
from pyeno.constants import Role

@final
class Generations:
    @property
    def generation(self) -> int: ...
    def traffic_key(self) -> Secret: ...
    def advance(self) -> None: ...
    def wipe(self) -> None: ...

@final
class KeySchedule:
    @staticmethod
    def extract(
        es: Secret,
        *,
        n_a: Buffer,
        transcript: Buffer,
        init1: Buffer,
        init2: Buffer,
        tep_byte: int,
        aead: int,
        original_role: Role,
    ) -> KeySchedule: ...
    @property
    def session_id(self) -> bytes: ...
    @property
    def aead(self) -> int: ...
    @property
    def original_role(self) -> Role: ...
    def outgoing(self) -> Generations: ...
    def incoming(self) -> Generations: ...
    def wipe(self) -> None: ...
