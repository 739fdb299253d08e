"""The key schedule, pure twin (RFC 8548 sections 3.1, 3.3, 3.4, 3.5)."""

import hmac
from typing import Any, final

from pyeno._complaints import schedule_wiped, unknown_aead
from pyeno._pure.secret import Secret
from pyeno._values import Buffer
from pyeno.constants import (
    CONST_KEY_A,
    CONST_KEY_B,
    CONST_NEXTK,
    CONST_REKEY,
    CONST_RESUME,
    CONST_SESSID,
    K_LEN,
    Aead,
    Role,
)

RESUME_LEN = 18


def cprf(key: bytes, constant: bytes, size: int) -> bytes:
    """CPRF(K, CONST, L): HKDF-Expand of figure 1."""
    made, t = b"", b""
    for counter in range(1, -(-size // 32) + 1):
        t = hmac.digest(key, t + constant + bytes([counter]), "sha256")
        made += t
    return made[:size]


def _known(aead: int) -> Aead:
    try:
        return Aead(aead)
    except ValueError:
        raise unknown_aead(aead) from None


@final
class Generations:
    """mk[j] of one direction and the traffic keys made from it."""

    __slots__ = ("_aead", "_constant", "_mk", "generation")

    _aead: Aead
    _constant: bytes
    _mk: Secret
    generation: int

    def __init__(self) -> None:
        raise TypeError("Generations come from KeySchedule.outgoing() and incoming()")

    def __repr__(self) -> str:
        return f"<Generations: generation {self.generation}>"

    def _now(self) -> bytes:
        if self._mk.wiped:
            raise schedule_wiped()
        return self._mk.export()

    def traffic_key(self) -> Secret:
        """k_ab[j] or k_ba[j] = CPRF(mk[j], CONST_KEY_x, ae_key_len + ae_nonce_len)"""
        size = self._aead.key_len + self._aead.nonce_len
        return Secret(cprf(self._now(), self._constant, size))

    def advance(self) -> None:
        """mk[j] = CPRF(mk[j-1], CONST_REKEY, K_LEN); mk[j-1] is gone."""
        following = Secret(cprf(self._now(), CONST_REKEY, K_LEN))
        self._mk.wipe()
        self._mk = following
        self.generation += 1

    def wipe(self) -> None:
        self._mk.wipe()


@final
class KeySchedule:
    """Session i of a session chain: ss[i] and sn[i], and what follows from them."""

    __slots__ = ("_mk", "_ss", "aead", "original_role", "session_id")

    _mk: Secret
    _ss: Secret
    aead: int
    original_role: Role
    session_id: bytes

    def __init__(self) -> None:
        raise TypeError("KeySchedule: use KeySchedule.extract() or KeySchedule.resume()")

    def __repr__(self) -> str:
        return f"<KeySchedule: original role {self.original_role.value}>"

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
    ) -> "KeySchedule":
        """PRK = Extract(N_A, eno_transcript | Init1 | Init2 | ES); ss[0] = PRK"""
        made = _new(aead, original_role)
        material = b"".join((transcript, init1, init2, es.export()))
        made._ss = Secret(hmac.digest(bytes(n_a), material, "sha256"))
        es.wipe()
        _derive(made, tep_byte, b"")
        return made

    @staticmethod
    def resume(
        ss: Secret, *, sn: bytes, tep_byte: int, aead: int, original_role: Role
    ) -> "KeySchedule":
        """Session i > 0 from the cached ss[i] and sn[i] = nonce_a | nonce_b; wipes ``ss``."""
        made = _new(aead, original_role)
        secret = ss.export()
        if len(secret) != K_LEN:
            raise ValueError(f"resume: ss is {len(secret)} bytes, K_LEN is {K_LEN}")
        made._ss = Secret(secret)
        ss.wipe()
        _derive(made, tep_byte, sn)
        return made

    def outgoing(self) -> Generations:
        """What this host encrypts with, by its original role (section 3.5)."""
        return self._generations(CONST_KEY_A if self.original_role is Role.A else CONST_KEY_B)

    def incoming(self) -> Generations:
        """What this host decrypts with."""
        return self._generations(CONST_KEY_B if self.original_role is Role.A else CONST_KEY_A)

    def next_secret(self) -> Secret:
        """ss[i+1] = CPRF(ss[i], CONST_NEXTK, K_LEN)"""
        if self._ss.wiped:
            raise schedule_wiped()
        return Secret(cprf(self._ss.export(), CONST_NEXTK, K_LEN))

    def resumption_id(self) -> bytes:
        """resume[i+1] = CPRF(ss[i+1], CONST_RESUME, 18): names the next session."""
        return cprf(self.next_secret().export(), CONST_RESUME, RESUME_LEN)

    def wipe(self) -> None:
        self._ss.wipe()
        self._mk.wipe()

    def _generations(self, constant: bytes) -> Generations:
        if self._mk.wiped:
            raise schedule_wiped()
        made = Generations.__new__(Generations)
        made._aead, made._constant = Aead(self.aead), constant
        made._mk = Secret(self._mk.export())
        made.generation = 0
        return made


def _new(aead: int, original_role: Any) -> KeySchedule:
    _known(aead)
    if not isinstance(original_role, Role):
        raise TypeError(f"original_role: expected Role, not {type(original_role).__name__}")
    made = KeySchedule.__new__(KeySchedule)
    made.aead, made.original_role = aead, original_role
    return made


def _derive(made: KeySchedule, tep_byte: int, sn: bytes) -> None:
    """mk[0] and the session ID of section 3.4."""
    ss = made._ss.export()
    made._mk = Secret(cprf(ss, CONST_REKEY + sn, K_LEN))
    made.session_id = bytes([tep_byte]) + cprf(ss, CONST_SESSID + sn, K_LEN)
