"""Session secrets, master keys, traffic keys: the pure twin of
``pyeno._native.keyschedule``.

The equations of RFC 8548 sections 3.3 to 3.5 stand beside the lines that
compute them.
"""

import hmac
from typing import Final, final

import pyeno._complaints as say
from pyeno._pure.secret import Secret, octets
from pyeno._values import Buffer
from pyeno.constants import (
    CONST_KEY_A,
    CONST_KEY_B,
    CONST_NEXTK,
    CONST_REKEY,
    CONST_RESUME,
    CONST_SESSID,
    K_LEN,
    N_A_LEN,
    Aead,
    Role,
)

RESUME_LEN: Final = 18
SN_MAX: Final = 16


def _cprf(key: bytes | bytearray, constant: bytes, length: int) -> bytearray:
    """HKDF-Expand (figure 1)."""
    okm = bytearray()
    block = b""
    counter = 1
    while len(okm) < length:
        # T(n) = HMAC-Hash(PRK, T(n-1) | CONST | n)
        block = hmac.digest(key, block + constant + bytes([counter]), "sha256")
        okm += block
        counter += 1
    del okm[length:]
    return okm


def _known(aead: int) -> Aead:
    try:
        return Aead(aead)
    except ValueError:
        raise say.unknown_aead(aead) from None


def _check_identity(tep_byte: int, aead: int, original_role: Role) -> None:
    if not 0 <= tep_byte <= 0xFF:
        raise say.out_of_range("tep_byte", tep_byte, 0, 0xFF)
    _known(aead)
    if original_role is not Role.A and original_role is not Role.B:
        raise say.role(original_role)


@final
class Generations:
    __slots__ = ("_constant", "_generation", "_length", "_live", "_mk")

    _mk: bytearray
    _constant: bytes
    _length: int
    _generation: int
    _live: bool

    def __init__(self) -> None:
        raise TypeError("Generations come from KeySchedule.outgoing() and incoming()")

    def __repr__(self) -> str:
        state = f"generation {self._generation}" if self._live else "wiped"
        return f"<Generations: {state}>"

    def _check(self) -> None:
        if not self._live:
            raise say.wiped("Generations")

    @property
    def generation(self) -> int:
        return self._generation

    def traffic_key(self) -> Secret:
        self._check()
        # k_ab[j] = CPRF(mk[j], CONST_KEY_A, ae_key_len + ae_nonce_len)
        return Secret(_cprf(self._mk, self._constant, self._length))

    def advance(self) -> None:
        self._check()
        # mk[j] = CPRF(mk[j-1], CONST_REKEY, K_LEN)
        self._mk[:] = _cprf(self._mk, CONST_REKEY, K_LEN)
        self._generation += 1

    def wipe(self) -> None:
        self._mk[:] = bytes(K_LEN)
        self._live = False


@final
class KeySchedule:
    __slots__ = ("_aead", "_live", "_mk", "_next_ss", "_original_role", "_session_id")

    _mk: bytearray
    _next_ss: bytearray
    _session_id: bytes
    _aead: Aead
    _original_role: Role
    _live: bool

    def __init__(self) -> None:
        raise TypeError("a KeySchedule comes from KeySchedule.extract() or resume()")

    def __repr__(self) -> str:
        state = f"original role {self._original_role.value}" if self._live else "wiped"
        return f"<KeySchedule: {state}>"

    def _check(self) -> None:
        if not self._live:
            raise say.wiped("KeySchedule")

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
        _check_identity(tep_byte, aead, original_role)
        secret = es.data("es")
        salt, *parts = (octets(part) for part in (n_a, transcript, init1, init2))
        if len(salt) != N_A_LEN:
            raise say.length("n_a", len(salt), N_A_LEN)
        # PRK = Extract(N_A, eno_transcript | Init1 | Init2 | ES)
        prk = bytearray(hmac.digest(bytes(salt), b"".join([*parts, secret]), "sha256"))
        schedule = _derive(prk, b"", tep_byte, aead, original_role)
        es.wipe()
        return schedule

    @staticmethod
    def resume(
        ss: Secret, *, sn: Buffer, tep_byte: int, aead: int, original_role: Role
    ) -> "KeySchedule":
        key = ss.data("ss", K_LEN)
        _check_identity(tep_byte, aead, original_role)
        nonce = octets(sn)
        if len(nonce) > SN_MAX:
            raise say.at_most("sn", len(nonce), SN_MAX)
        schedule = _derive(key, bytes(nonce), tep_byte, aead, original_role)
        ss.wipe()
        return schedule

    @property
    def session_id(self) -> bytes:
        return self._session_id

    @property
    def aead(self) -> int:
        return int(self._aead)

    @property
    def original_role(self) -> Role:
        return self._original_role

    def _direction(self, role: Role) -> Generations:
        self._check()
        generations = object.__new__(Generations)
        generations._mk = bytearray(self._mk)
        generations._constant = CONST_KEY_A if role is Role.A else CONST_KEY_B
        generations._length = self._aead.key_len + self._aead.nonce_len
        generations._generation = 0
        generations._live = True
        return generations

    def outgoing(self) -> Generations:
        return self._direction(self._original_role)

    def incoming(self) -> Generations:
        return self._direction(self._original_role.opposite)

    def directions(self) -> tuple[Generations, Secret, Generations, Secret]:
        sending, receiving = self.outgoing(), self.incoming()
        return sending, sending.traffic_key(), receiving, receiving.traffic_key()

    def next_secret(self) -> Secret:
        self._check()
        return Secret(self._next_ss)

    def resumption_id(self) -> bytes:
        self._check()
        # resume[i] = CPRF(ss[i], CONST_RESUME, 18)
        return bytes(_cprf(self._next_ss, CONST_RESUME, RESUME_LEN))

    def wipe(self) -> None:
        self._mk[:] = bytes(K_LEN)
        self._next_ss[:] = bytes(K_LEN)
        self._live = False


def _derive(ss: bytearray, sn: bytes, tep_byte: int, aead: int, role: Role) -> KeySchedule:
    schedule = object.__new__(KeySchedule)
    # mk[0] = CPRF(ss[i], CONST_REKEY | sn[i], K_LEN)
    schedule._mk = _cprf(ss, CONST_REKEY + sn, K_LEN)
    # session_id[i] = TEP-byte | CPRF(ss[i], CONST_SESSID | sn[i], K_LEN)
    schedule._session_id = bytes([tep_byte]) + _cprf(ss, CONST_SESSID + sn, K_LEN)
    # ss[i] = CPRF(ss[i-1], CONST_NEXTK, K_LEN)
    schedule._next_ss = _cprf(ss, CONST_NEXTK, K_LEN)
    schedule._aead = Aead(aead)
    schedule._original_role = role
    schedule._live = True
    return schedule
