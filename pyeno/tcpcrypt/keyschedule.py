"""The key schedule (RFC 8548 sections 3.3 to 3.5): ES to traffic keys.

PRK = Extract(N_A, eno_transcript | Init1 | Init2 | ES)
ss[0] = PRK                  ss[i] = CPRF(ss[i-1], CONST_NEXTK, K_LEN)
mk[0] = CPRF(ss[i], CONST_REKEY | sn[i], K_LEN)
mk[j] = CPRF(mk[j-1], CONST_REKEY, K_LEN)
k_ab[j] = CPRF(mk[j], CONST_KEY_A, ae_key_len + ae_nonce_len), k_ba[j] likewise
"""

from typing import TYPE_CHECKING

from pyeno._backend import load

if TYPE_CHECKING:
    from pyeno._native.keyschedule import Generations, KeySchedule
else:
    Generations = load("keyschedule").Generations
    KeySchedule = load("keyschedule").KeySchedule

__all__ = ["Generations", "KeySchedule"]
