"""A second reading of RFC 8547 and RFC 8548, to judge the implementation by.

It is written from the two RFCs alone, with `hashlib`, `hmac` and `cryptography`, and imports
nothing from pyeno: where the two disagree, one of them misread a sentence.  It is plain rather
than fast, and keeps every intermediate value in sight.

`eno`      RFC 8547 section 4: the option and the negotiation
`scheme`   RFC 8548 section 5: key agreement per TEP
`init`     section 4.1: Init1 and Init2
`keys`     sections 3.3 to 3.5: PRK, ss, mk, traffic keys, session ID, resumption
`frames`   sections 3.6 to 3.8 and 4.2: sealing, opening, generations
`vectors`  the test vectors of tests/vectors
"""


class OracleError(Exception):
    """The bytes break a rule of the RFCs; `reason` is a short stable name for which."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


class Incomplete(Exception):
    """A message is well-formed so far but not all of it is there."""
