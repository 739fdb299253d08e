"""RFC 8547 section 4: the ENO option, and what two of them negotiate.

A SYN-form option is a row of suboptions.  Table 1 sorts the first byte of each by (glt, v):
global suboption, length byte, TEP identifier without data, TEP identifier with data.
The negotiated TEP is the last one in host B's option that is valid, that is, sent by both
hosts with acceptable suboption data (section 4.5).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import OracleError

KIND = 69
TCPCRYPT_TEPS = (0x21, 0x22, 0x23, 0x24)
HALF = 9  # bytes of the resumption identifier each host sends, RFC 8548 figures 2 and 3
NONCE_MAX = 8


@dataclass(frozen=True)
class Suboption:
    """A TEP identifier with its `v` bit and suboption data."""

    tep: int
    v: int = 0
    data: bytes = b""
    length_byte: bool = False

    @property
    def byte(self) -> int:
        return self.v << 7 | self.tep

    def encode(self) -> bytes:
        head = bytes([0x80 | len(self.data) - 1]) if self.length_byte else b""
        return head + bytes([self.byte]) + self.data


@dataclass(frozen=True)
class Option:
    """A well-formed SYN-form ENO option."""

    raw: bytes
    globals: tuple[int, ...]
    teps: tuple[Suboption, ...]

    @property
    def global_byte(self) -> int:
        """The first global suboption, or the implicit 0x00 (section 4.2)."""
        return self.globals[0] if self.globals else 0

    @property
    def b(self) -> int:
        return self.global_byte & 1

    @property
    def a(self) -> int:
        return self.global_byte >> 1 & 1

    @property
    def z(self) -> int:
        return self.global_byte & 0x1C

    @property
    def vacuous(self) -> bool:
        """No TEP identifier at all (section 4.6)."""
        return not self.teps

    def find(self, tep: int) -> tuple[Suboption, ...]:
        return tuple(sub for sub in self.teps if sub.tep == tep)


def encode(teps: Iterable[Suboption | int], global_byte: int | None = None) -> bytes:
    """The whole option, kind and length included."""
    contents = b"" if global_byte is None else bytes([global_byte])
    for sub in teps:
        contents += bytes([sub]) if isinstance(sub, int) else sub.encode()
    return bytes([KIND, len(contents) + 2]) + contents


def parse(raw: bytes) -> Option:
    """Section 4.1 to 4.4: a SYN-form option, from its kind byte to its end."""
    if len(raw) < 2 or raw[0] != KIND or raw[1] != len(raw):
        raise OracleError("not-an-option", raw.hex())
    globals_: list[int] = []
    teps: list[Suboption] = []
    at = 2
    while at < len(raw):
        byte, glt, v = raw[at], raw[at] & 0x7F, raw[at] >> 7
        at += 1
        if v == 0 and glt < 0x20:
            globals_.append(byte)
        elif v == 0:
            teps.append(Suboption(glt))
        elif glt >= 0x20:  # to the end of the TCP option
            teps.append(Suboption(glt, 1, raw[at:]))
            at = len(raw)
        else:
            length = glt + 1
            # Section 4.4, rule 1, wins when no byte follows at all: the data would lie
            # beyond the end.  With a byte there, both rules disable encryption alike.
            if at >= len(raw):
                raise OracleError("length-beyond-end", raw.hex())
            if raw[at] < 0xA0:  # rule 2
                raise OracleError("length-byte-not-before-tep", raw.hex())
            if at + 1 + length > len(raw):  # rule 1
                raise OracleError("length-beyond-end", raw.hex())
            data = raw[at + 1 : at + 1 + length]
            teps.append(Suboption(raw[at] & 0x7F, 1, data, True))
            at += 1 + length
    return Option(raw, tuple(globals_), tuple(teps))


def tcp_options(block: bytes) -> list[tuple[int, bytes]]:
    """(kind, whole option) for each option of a TCP header; stops where it makes no sense."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(block) and block[at] != 0:
        if block[at] == 1:
            found.append((1, b"\x01"))
            at += 1
            continue
        if at + 1 >= len(block) or block[at + 1] < 2 or at + block[at + 1] > len(block):
            break
        found.append((block[at], block[at : at + block[at + 1]]))
        at += block[at + 1]
    return found


def eno_options(block: bytes) -> list[bytes]:
    """Every ENO option in a TCP option block, whole."""
    return [raw for kind, raw in tcp_options(block) if kind == KIND]


def of_syn(block: bytes) -> Option:
    """The option of a SYN segment: exactly one, well-formed (end of section 4.1)."""
    found = eno_options(block)
    if not found:
        raise OracleError("missing")
    if len(found) > 1:
        raise OracleError("multiple")
    return parse(found[0])


@dataclass(frozen=True)
class Negotiated:
    """What section 4 yields when it succeeds; `roles` are those of hosts 1 and 2."""

    tep: int
    tep_byte: int
    roles: tuple[str, str]
    transcript: bytes
    a_bits: tuple[int, int]
    mode: str  # "fresh", "resume", or "other" for TEPs that are not tcpcrypt's


def _resumable(a: Suboption, b: Suboption, sessions: Sequence[bytes] | None) -> bool:
    """RFC 8548 section 3.5: two matching halves, each with a nonce of 0 to 8 bytes."""
    if not (a.v and b.v):
        return False
    if not all(HALF <= len(sub.data) <= HALF + NONCE_MAX for sub in (a, b)):
        return False
    if sessions is None:
        return True
    halves = a.data[:HALF], b.data[:HALF]
    return any(halves in ((s[:HALF], s[HALF:]), (s[HALF:], s[:HALF])) for s in sessions)


# by TEP: how many bytes of data are valid from host A, and from host B (section 4.5, rule 2)
Sizes = Mapping[int, tuple[range, range]]


def _sized(sub: Suboption, valid: range | None) -> bool:
    return not sub.v if valid is None else len(sub.data) in valid


def validity(
    tep: int,
    a: Option,
    b: Option,
    b_passive: bool,
    sessions: Sequence[bytes] | None,
    sizes: Sizes | None = None,
) -> str | None:
    """Section 4.5: the mode in which `tep` is valid for the connection, or None."""
    found_a, found_b = a.find(tep), b.find(tep)
    if len(found_a) != 1 or len(found_b) != 1:
        return None
    if tep not in TCPCRYPT_TEPS:
        rule = (sizes or {}).get(tep, (None, None))
        fits = sizes is None or (_sized(found_a[0], rule[0]) and _sized(found_b[0], rule[1]))
        return "other" if fits else None
    sub_a, sub_b = found_a[0], found_b[0]
    size = len(sub_a.data)
    if sub_a.v and size > HALF + NONCE_MAX:
        return None
    if sub_a.v and size < HALF and not b_passive:
        return None  # "as if v = 0" is said of passive openers only (RFC 8548 section 3.5)
    if not sub_b.v:
        return "fresh"
    return "resume" if _resumable(sub_a, sub_b, sessions) else None


def _read(raw: bytes | None, host: int) -> Option:
    if raw is None:
        raise OracleError(f"missing-{host}")
    try:
        return parse(raw)
    except OracleError as error:
        raise OracleError(f"{error.reason}-{host}") from None


def negotiate(
    option_1: bytes | None,
    option_2: bytes | None,
    *,
    mandatory_aware: tuple[bool, bool] = (False, False),
    passive: int | None = 2,
    sessions: Sequence[bytes] | None = None,
    sizes: Sizes | None = None,
) -> Negotiated:
    """Sections 4.2 to 4.6, as seen by someone who has both options.

    Host 1 is the active opener and host 2 the passive one, or both are active openers when
    `passive` is None.  `sessions` are the resumption identifiers (18 bytes) both hosts know;
    None means any well-sized pair of halves is taken to match.  `sizes` are both hosts'
    definitions of TEPs that are not tcpcrypt's: of those not among them no data are valid;
    None means that of all of them any are.  Raises OracleError with the reason why
    encryption is disabled.
    """
    options = _read(option_1, 1), _read(option_2, 2)
    if options[0].b == options[1].b:
        raise OracleError(f"same-b-{options[0].b}")
    for host, remote in ((1, options[1]), (2, options[0])):
        if mandatory_aware[host - 1] and not remote.a:
            raise OracleError(f"not-aware-{3 - host}")
    one_is_b = options[0].b == 1
    a, b = (options[1], options[0]) if one_is_b else options
    b_passive = passive == (1 if one_is_b else 2)
    for sub in reversed(b.teps):
        mode = validity(sub.tep, a, b, b_passive, sessions, sizes)
        if mode is not None:
            return Negotiated(
                sub.tep,
                sub.byte,
                ("B", "A") if one_is_b else ("A", "B"),
                a.raw + b.raw,
                (options[0].a, options[1].a),
                mode,
            )
    raise OracleError("no-valid-tep")
