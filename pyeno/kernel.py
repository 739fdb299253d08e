"""TCP-ENO's socket options (ext/wire/eno_abi.h) for any TCP socket.

Plain setsockopt and getsockopt: no privilege and no compiled code, in any
process of the cgroup that ``pyeno attach`` named.  Where nothing is attached,
the kernel answers ENOPROTOOPT and the connection is ordinary TCP.

Two system calls a connection: :func:`configure` before connect() or listen(),
:func:`result` after connect() or accept().
"""

import errno
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from pyeno._tepdata import packed
from pyeno._values import TepData
from pyeno.constants import Reason, Role, State
from pyeno.errors import KernelError

TCP_ENO_BASE: Final = 0x454E00
TCP_ENO_ENABLED: Final = TCP_ENO_BASE + 1
TCP_ENO_TEPS: Final = TCP_ENO_BASE + 2
TCP_ENO_SELF_AWARE: Final = TCP_ENO_BASE + 3
TCP_ENO_PEER_AWARE: Final = TCP_ENO_BASE + 4
TCP_ENO_ROLEOVERRIDE: Final = TCP_ENO_BASE + 5
TCP_ENO_ROLE: Final = TCP_ENO_BASE + 6
TCP_ENO_NEGTEP: Final = TCP_ENO_BASE + 7
TCP_ENO_TRANSCRIPT: Final = TCP_ENO_BASE + 8
TCP_ENO_SESSID: Final = TCP_ENO_BASE + 9
TCP_ENO_STATE: Final = TCP_ENO_BASE + 10
TCP_ENO_RAW: Final = TCP_ENO_BASE + 11
TCP_ENO_VERSION: Final = TCP_ENO_BASE + 12
TCP_ENO_RESULT: Final = TCP_ENO_BASE + 13
TCP_ENO_CONFIG: Final = TCP_ENO_BASE + 14
TCP_ENO_SESSION_PUT: Final = TCP_ENO_BASE + 15
TCP_ENO_SESSION_TAKE: Final = TCP_ENO_BASE + 16
TCP_ENO_SESSION_FLUSH: Final = TCP_ENO_BASE + 17
TCP_ENO_RESULT_TAKE: Final = TCP_ENO_BASE + 18
TCP_ENO_ESTABLISHED: Final = TCP_ENO_BASE + 19
TCP_ENO_TEP_DATA: Final = TCP_ENO_BASE + 20

ABI_VERSION: Final = 2
OPTION_ROOM: Final = 40
"""bytes to offer getsockopt for TCP_ENO_TEPS and TCP_ENO_RAW"""
TRANSCRIPT_ROOM: Final = 80
SESSION_ID_ROOM: Final = 64

TOKEN_LEN: Final = 8
NONCE_MAX: Final = 8
"""bytes of a resumption nonce at most (RFC 8548 section 3.5)"""

# past what a subclass adds to them
_getsockopt = socket.socket.getsockopt
_setsockopt = socket.socket.setsockopt
_TCP: Final = int(socket.IPPROTO_TCP)
_RESULT = struct.Struct("=3B2?B?B80s??H4x")
RESULT_LEN: Final = _RESULT.size
_NO_RESUMPTION = 0xFF
# UDP and foreign kernels; MPTCP answers for itself where nothing is attached
_NO_ENO = (errno.ENOPROTOOPT, errno.EOPNOTSUPP)


class Result(NamedTuple):
    """What TCP-ENO made of a socket (RFC 8547 section 4)."""

    state: State
    reason: Reason
    role: Role
    """this host's (section 4.3); void unless ENCRYPTED"""
    tep_byte: int
    """the negotiated TEP as host B sent it, "v" included (section 5.1)"""
    peer_aware: bool
    """the remote application-aware bit (section 4.2)"""
    self_aware: int
    """0, 1, or 2 = mandatory"""
    resumed: bool
    """both hosts sent resumption suboptions (RFC 8548 section 3.5)"""
    transcript: bytes
    """host A's SYN-form option, then host B's (section 4.8)"""
    original_role: Role = Role.A
    """this host's in the original session; void unless ``resumed``"""
    tag: int = 0
    """what was put with the session: tcpcrypt's AEAD; void unless ``resumed``"""
    given: bool = False
    """by TCP_ENO_RESULT_TAKE: the session's secret follows"""


def _off(reason: Reason) -> Result:
    return Result(State.OFF, reason, Role.A, 0, False, 0, False, b"")


_ROLES: Final = (Role.A, Role.B)
_STATES: Final = {int(state): state for state in State}
_REASONS: Final = {int(reason): reason for reason in Reason}  # quicker than Reason()

NOT_CONFIGURED: Final = _off(Reason.NOT_CONFIGURED)
UNAVAILABLE: Final = _off(Reason.UNAVAILABLE)
NO_ENTROPY: Final = _off(Reason.NO_ENTROPY)


def configure(
    sock: socket.socket,
    *,
    teps: bytes,
    self_aware: int = 0,
    role_b: bool = False,
    nonce_len: int | None = None,
    token: bytes = bytes(8),
    data: Sequence[TepData] = (),
) -> bool:
    """Make a TCP socket negotiate encryption when it connects or accepts.

    ``teps``: TEP identifiers (0x20-0x7f), in increasing priority (RFC 8547
    section 4.5), at most 37; none switches ENO off.  ``self_aware``: the
    application-aware bit, 2 = mandatory (section 4.2).  ``role_b``: send
    b = 1, for one side of a simultaneous open.

    ``nonce_len``: bytes of this host's resumption nonces, 0-8; None proposes no
    session and ignores proposals (RFC 8548 section 3.5).  ``token``: 8 bytes;
    sessions are resumed only under the token they were put under.

    ``data``: the suboption data of up to four of the TEPs, tcpcrypt's excepted, and
    which are valid from the peer (section 4.5, rule 2); one system call more if there
    are any.  Of other TEPs data are never valid.

    Returns False where this host has no ENO.  Raises ValueError for values
    that cannot be meant, OSError (EISCONN) for a connected socket, KernelError
    if another version of the BPF programs is attached (if it is too old for ``data``
    the socket is left without ENO), the socket uses TCP Fast Open, or it listens
    already on a Linux before 6.12.
    """
    if not 0 <= self_aware <= 2:
        raise ValueError(f"self_aware={self_aware!r}: 0, 1, or 2 (mandatory)")
    if len(token) != TOKEN_LEN:
        raise ValueError(f"token of {len(token)} bytes: it takes {TOKEN_LEN}")
    if nonce_len is not None and not 0 <= nonce_len <= NONCE_MAX:
        raise ValueError(
            f"nonce_len={nonce_len!r}: 0 to {NONCE_MAX} bytes (RFC 8548 section 3.5), or None"
        )
    nonce = _NO_RESUMPTION if nonce_len is None else nonce_len
    head = bytes((ABI_VERSION, self_aware, role_b, nonce)) + token
    table = packed(data) if data else b""
    try:
        _setsockopt(sock, _TCP, TCP_ENO_CONFIG, head + teps)
    except OSError as error:
        return _explain(error, f"teps={teps.hex() or 'none'}")
    if table:
        _set_data(sock, table, head)
    return True


def _set_data(sock: socket.socket, table: bytes, no_teps: bytes) -> None:
    """After TCP_ENO_CONFIG, which clears it; without it, better no ENO."""
    try:
        _setsockopt(sock, _TCP, TCP_ENO_TEP_DATA, table)
    except OSError as error:
        _setsockopt(sock, _TCP, TCP_ENO_CONFIG, no_teps)
        if error.errno != errno.ENOPROTOOPT:
            raise
        raise KernelError(
            error.errno,
            "the attached BPF programs are of an older pyeno, which sends no suboption data of "
            "TEPs: run 'pyeno detach', then 'pyeno attach' of this version",
        ) from None


def _explain(error: OSError, what: str) -> bool:
    if error.errno in _NO_ENO[:1]:
        return False
    if error.errno == errno.EPROTONOSUPPORT:
        raise KernelError(
            error.errno,
            f"the attached BPF programs do not speak version {ABI_VERSION} of the socket "
            "options: run 'pyeno detach', then 'pyeno attach' of this version",
        ) from None
    if error.errno == errno.EOPNOTSUPP:
        raise KernelError(
            error.errno,
            "this socket uses TCP Fast Open, which excludes ENO (RFC 8547 section 4.7), or it "
            "listens already, which takes Linux 6.12: configure it before listen()",
        ) from None
    if error.errno == errno.EINVAL:
        raise ValueError(
            f"{what}: at most 37 different TEP identifiers, each 0x20-0x7f"
        ) from None
    raise error


def result(sock: socket.socket) -> Result:
    """What became of the negotiation, in one system call.

    ``state`` is OFF with reason UNAVAILABLE where this host has no ENO.
    """
    try:
        value = _getsockopt(sock, _TCP, TCP_ENO_RESULT, _RESULT.size)
    except OSError as error:
        if error.errno in _NO_ENO:
            return UNAVAILABLE
        raise
    return parse_result(value)


def parse_result(value: bytes) -> Result:
    """What TCP_ENO_RESULT gave, or TCP_ENO_RESULT_TAKE before the secret."""
    (
        state,
        reason,
        tep_byte,
        role,
        peer_aware,
        self_aware,
        resumed,
        size,
        transcript,
        original_b,
        given,
        tag,
    ) = _RESULT.unpack(value.ljust(_RESULT.size, b"\0"))  # version 1 gives 88 bytes
    return Result(
        _STATES[state], _REASONS[reason], _ROLES[role], tep_byte, peer_aware, self_aware,
        resumed, transcript[:size], _ROLES[original_b], tag, given,
    )  # fmt: skip


def set_session_id(sock: socket.socket, session_id: bytes) -> None:
    """Let other readers of the socket see the session ID (RFC 8547 section 5.1).

    33-64 bytes, once, after the key exchange; OSError otherwise (EINVAL,
    EEXIST, ENOTCONN).
    """
    _setsockopt(sock, _TCP, TCP_ENO_SESSID, session_id)


def session_id(sock: socket.socket) -> bytes:
    """The session ID; OSError (ENOTCONN) if there is none yet."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_ENO_SESSID, SESSION_ID_ROOM)


def set_raw_option(sock: socket.socket, option: bytes) -> None:
    """Send this SYN-form option as it is, instead of one made of TEPs.

    An active opener sends it in its SYN; a listener answers every SYN that
    carries one well-formed ENO option with it, provided its "b" bit is 1
    (RFC 8547 section 4.2).  Empty: back to the TEPs.  OSError (EINVAL) for an
    ill-formed one (section 4.4).
    """
    sock.setsockopt(socket.IPPROTO_TCP, TCP_ENO_RAW, option)


def raw_option(sock: socket.socket) -> bytes:
    """The SYN-form option this socket sent, or would send; empty if none."""
    return sock.getsockopt(socket.IPPROTO_TCP, TCP_ENO_RAW, OPTION_ROOM)


def version(sock: socket.socket) -> int | None:
    """The attached programs' ABI version; None where nothing is attached."""
    try:
        return sock.getsockopt(socket.IPPROTO_TCP, TCP_ENO_VERSION)
    except OSError as error:
        if error.errno in _NO_ENO:
            return None
        raise
