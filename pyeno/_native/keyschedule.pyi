from typing import final

from pyeno._native.secret import Secret
from pyeno._values import Buffer
from pyeno.constants import Role

@final
class Generations:
    """One direction's master keys mk[0], mk[1], … (RFC 8548 section 3.3)."""

    @property
    def generation(self) -> int:
        """j, from 0."""
    def traffic_key(self) -> Secret:
        """k_ab[j] or k_ba[j]: ae_key_len + ae_nonce_len bytes."""
    def advance(self) -> None:
        """mk[j+1] in the place of mk[j], which is gone (section 3.8)."""
    def wipe(self) -> None: ...

@final
class KeySchedule:
    """One session's secrets; wipe it when both directions have been taken."""

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
    ) -> KeySchedule:
        """From a fresh key exchange (RFC 8548 section 3.3); wipes ``es``.

        ``transcript``, ``init1`` and ``init2`` are the bytes exactly as sent,
        ``tep_byte`` is host B's. Raises ``ValueError`` for an unknown AEAD or
        ``n_a`` of another length than 32.
        """
    @staticmethod
    def resume(
        ss: Secret, *, sn: Buffer, tep_byte: int, aead: int, original_role: Role
    ) -> KeySchedule:
        """From a cached session secret ss[i] (section 3.5); wipes ``ss``.

        ``sn``: nonce_a | nonce_b, at most 16 bytes, where A and B are the roles
        in the original session (figures 2 and 3); ``aead`` and
        ``original_role`` are that session's too.
        """
    @property
    def session_id(self) -> bytes:
        """TEP-byte and 32 bytes (section 3.4); stays after ``wipe()``."""
    @property
    def aead(self) -> int: ...
    @property
    def original_role(self) -> Role: ...
    def outgoing(self) -> Generations:
        """What this host seals with: k_ab if its original role is A, else k_ba."""
    def incoming(self) -> Generations:
        """What this host opens with: the other one."""
    def directions(self) -> tuple[Generations, Secret, Generations, Secret]:
        """What this host seals with and its first traffic key, then the same of
        what it opens with: all at once, which saves half of the time."""
    def next_secret(self) -> Secret:
        """ss[i+1], for one later session (section 3.5)."""
    def resumption_id(self) -> bytes:
        """resume[i+1], the name of that session: 18 bytes, the half that the
        original host A sends first (section 3.5)."""
    def wipe(self) -> None:
        """Forget mk[0] and ss[i+1]; generations already taken live on."""
