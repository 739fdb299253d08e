"""TCP-ENO's negotiation (RFC 8547 sections 4.3-4.6, 4.8); no sockets.

``offer``, ``choose`` and ``negotiate`` are functions of options; a
:class:`Negotiator` is one host's whole handshake.  Two rules:

* *everything* about transitions lives in ``RECEIVED`` and ``SENT``;
* the tables do not know which role this host plays, b is in its option.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pyeno._backend import load
from pyeno._values import Outcome, TepData
from pyeno.constants import ENO_GLT, ENO_KIND, ENO_TEP_MIN, Reason, Role
from pyeno.errors import LocalProtocolError

if TYPE_CHECKING:
    from pyeno._native.negotiation import choose, negotiate, offer
else:
    _twin = load("negotiation")
    choose, negotiate, offer = _twin.choose, _twin.negotiate, _twin.offer

__all__ = [
    "RECEIVED",
    "SENT",
    "EncryptionDisabled",
    "Negotiator",
    "Outcome",
    "Progress",
    "Segment",
    "TepData",
    "choose",
    "negotiate",
    "offer",
]

# section 4.1, figure 3 with N = 0: by its presence a one-bit acknowledgment
_NON_SYN_FORM = bytes([ENO_KIND, 2])

_EVERY_TEP = range(ENO_TEP_MIN, ENO_GLT + 1)


class Segment(Enum):
    """What ENO tells segments apart by."""

    SYN = "SYN-only"
    SYN_ACK = "SYN-ACK"
    ACK = "non-SYN"


class Progress(Enum):
    """What has happened, seen from one host."""

    ACTIVE_OPENED = "nothing sent yet"
    PASSIVE_OPENED = "nothing received yet"
    SYN_SENT = "SYN sent with the option"
    SYN_RECEIVED = "acceptable SYN received, SYN-ACK owed"
    SYN_ACK_SENT = "SYN received, SYN-ACK sent"
    SYN_ACK_RECEIVED = "acceptable SYN-ACK received, ACK owed"
    ACK_SENT = "encryption enabled, no non-SYN segment received yet"
    ESTABLISHED = "encryption enabled, no more options"
    DISABLED = "plain TCP, no more options"


class EncryptionDisabled(NamedTuple):
    """The handshake ended without encryption; plain TCP goes on (section 4.6)."""

    reason: Reason


class Check(Enum):
    """What a received segment's ENO options are held against."""

    ACCEPTABLE = "one well-formed option that negotiates (4.6 rules 2 and 3)"
    UNCHANGED = "the very option that came before (4.6: MUST NOT alter)"
    PRESENT = "at least one, whatever it contains (4.1)"
    NOTHING = "encryption is enabled, options no longer matter"


class Arrival(NamedTuple):
    """A row of RECEIVED: with ``check`` passed go ``to``, else disable."""

    check: Check
    to: Progress
    missing: Reason = Reason.NEGOTIATED
    """why a segment without any ENO option disables encryption"""


class Form(Enum):
    """What a sent segment carries (section 4.1, figures 2 and 3)."""

    SYN_FORM = "this host's option, the same in every segment"
    NON_SYN_FORM = "an empty option"
    NONE = "no ENO option"


class Departure(NamedTuple):
    """A row of SENT: what the segment carries, and what has then happened."""

    form: Form
    to: Progress


_P, _S, _C, _F, _R = Progress, Segment, Check, Form, Reason

RECEIVED: dict[tuple[Progress, Segment], Arrival] = {
    # passive opener, lines (1) and (3) of figure 9
    (_P.PASSIVE_OPENED, _S.SYN): Arrival(_C.ACCEPTABLE, _P.SYN_RECEIVED, _R.SYN_WITHOUT_ENO),
    (_P.SYN_ACK_SENT, _S.ACK): Arrival(_C.PRESENT, _P.ESTABLISHED, _R.ACK_WITHOUT_ENO),
    # active opener, line (2)
    (_P.SYN_SENT, _S.SYN_ACK): Arrival(
        _C.ACCEPTABLE, _P.SYN_ACK_RECEIVED, _R.SYN_ACK_WITHOUT_ENO
    ),
    # "until ... the host receives a non-SYN segment"
    (_P.ACK_SENT, _S.ACK): Arrival(_C.NOTHING, _P.ESTABLISHED),
    # simultaneous open, figure 12: both SYNs cross, then both SYN-ACKs
    (_P.SYN_SENT, _S.SYN): Arrival(_C.ACCEPTABLE, _P.SYN_RECEIVED, _R.SYN_WITHOUT_ENO),
    (_P.SYN_RECEIVED, _S.SYN_ACK): Arrival(
        _C.UNCHANGED, _P.SYN_ACK_RECEIVED, _R.SYN_ACK_WITHOUT_ENO
    ),
    (_P.SYN_ACK_SENT, _S.SYN_ACK): Arrival(_C.UNCHANGED, _P.ACK_SENT, _R.SYN_ACK_WITHOUT_ENO),
    # retransmissions: "MUST NOT alter SYN-form ENO options"; removal disables
    (_P.SYN_RECEIVED, _S.SYN): Arrival(_C.UNCHANGED, _P.SYN_RECEIVED, _R.SYN_CHANGED),
    (_P.SYN_ACK_SENT, _S.SYN): Arrival(_C.UNCHANGED, _P.SYN_ACK_SENT, _R.SYN_CHANGED),
}

SENT: dict[tuple[Progress, Segment], Departure] = {
    # "MUST include an ENO option in every TCP segment sent until ..."
    (_P.ACTIVE_OPENED, _S.SYN): Departure(_F.SYN_FORM, _P.SYN_SENT),
    (_P.SYN_SENT, _S.SYN): Departure(_F.SYN_FORM, _P.SYN_SENT),
    (_P.SYN_RECEIVED, _S.SYN_ACK): Departure(_F.SYN_FORM, _P.SYN_ACK_SENT),
    (_P.SYN_ACK_SENT, _S.SYN_ACK): Departure(_F.SYN_FORM, _P.SYN_ACK_SENT),
    (_P.SYN_ACK_SENT, _S.ACK): Departure(_F.NON_SYN_FORM, _P.SYN_ACK_SENT),
    # "once a host has both sent and received an ACK segment": enabled
    (_P.SYN_ACK_RECEIVED, _S.ACK): Departure(_F.NON_SYN_FORM, _P.ACK_SENT),
    (_P.ACK_SENT, _S.ACK): Departure(_F.NON_SYN_FORM, _P.ACK_SENT),
    (_P.ESTABLISHED, _S.ACK): Departure(_F.NONE, _P.ESTABLISHED),
    # "refrain from sending any further ENO options"
    (_P.DISABLED, _S.SYN): Departure(_F.NONE, _P.DISABLED),
    (_P.DISABLED, _S.SYN_ACK): Departure(_F.NONE, _P.DISABLED),
    (_P.DISABLED, _S.ACK): Departure(_F.NONE, _P.DISABLED),
}


class Negotiator:
    """One host's side of the TCP-ENO handshake (RFC 8547 section 4.6).

    ::

        active opener                                     passive opener
        ACTIVE_OPENED                                     PASSIVE_OPENED
             | SYN      ENO<X,Y>  --------------------------->  |
          SYN_SENT                                        SYN_RECEIVED
             |  <---------------------------  SYN-ACK  ENO<b=1,Y> |
        SYN_ACK_RECEIVED                                  SYN_ACK_SENT
             | ACK      ENO<>  ------------------------------>  |
          ACK_SENT  (encryption enabled)                   ESTABLISHED
             |  <-------------------------------  any non-SYN     |
        ESTABLISHED

        simultaneous open, each host: SYN_SENT, SYN in -> SYN_RECEIVED,
        SYN-ACK out -> SYN_ACK_SENT, SYN-ACK in -> ACK_SENT, ACK in -> ESTABLISHED

        a segment without ENO, up to the first ACK segment  -> DISABLED
        an altered, repeated, ill-formed or unacceptable option -> DISABLED

    Make one with :meth:`active` or :meth:`passive`.  Pass every segment TCP
    accepts to :meth:`receive` and ask :meth:`send` what to put on each one that
    leaves.  Segments which TCP itself drops in a state (a duplicate SYN-ACK, say)
    have no row in ``RECEIVED`` and change nothing.
    """

    def __init__(
        self,
        progress: Progress,
        answer: Callable[[bytes], tuple[bytes, Reason]] | None,
        option: bytes,
        mandatory: bool,
        remote_half: bytes | None = None,
        rules: tuple[TepData, ...] = (),
    ) -> None:
        self._progress = progress
        self._answer = answer
        self._sent = option
        self._mandatory = mandatory
        self._remote_half = remote_half
        self._rules = rules
        self._received = b""
        self._result: Outcome | EncryptionDisabled | None = None

    @classmethod
    def active(
        cls,
        option: bytes,
        *,
        mandatory: bool = False,
        remote_half: bytes | None = None,
        rules: Iterable[TepData] = (),
    ) -> "Negotiator":
        """An active opener that offers ``option``, a SYN-form option from ``offer`` or
        ``encode``; b in its global suboption decides the role.  ``mandatory`` demands
        a = 1 of the remote host, ``remote_half`` is the identifier half that answers a
        resumption suboption in it (RFC 8548 section 3.5), ``rules`` say which suboption
        data are valid, as for ``negotiate``.  Raises ValueError if one of them is
        ill-formed.
        """
        known = tuple(rules)
        negotiate(option, option, remote_half=remote_half, rules=known)
        return cls(_P.ACTIVE_OPENED, None, bytes(option), mandatory, remote_half, known)

    @classmethod
    def passive(
        cls,
        teps: Iterable[int] = (),
        *,
        aware: bool = False,
        mandatory: bool = False,
        answer: Callable[[bytes], bytes] | None = None,
        rules: Iterable[TepData] = (),
    ) -> "Negotiator":
        """A passive opener for one connection; always host B (section 4.3).

        Parameters as in ``choose``.  ``answer`` takes host A's option, well-formed
        and not vacuous, and gives the SYN-ACK's instead, say with a resumption
        suboption; it must have b = 1.
        """
        known = tuple(rules)
        judge = partial(choose, mandatory=mandatory, rules=known)
        take: Callable[[bytes], tuple[bytes, Reason]]
        if answer is None:
            take = partial(judge, teps=tuple(teps), aware=aware)
        else:
            take = partial(_answered, answer, partial(judge, teps=_EVERY_TEP))
        return cls(_P.PASSIVE_OPENED, take, b"", mandatory, rules=known)

    @property
    def progress(self) -> Progress:
        return self._progress

    @property
    def enabled(self) -> bool:
        """Whether encryption MUST be enabled (section 4.6)."""
        return self._progress in (_P.ACK_SENT, _P.ESTABLISHED)

    @property
    def result(self) -> Outcome | EncryptionDisabled | None:
        """How it ended; None while the handshake goes on."""
        ended = self.enabled or self._progress is _P.DISABLED
        return self._result if ended else None

    def receive(
        self, segment: Segment, options: Sequence[bytes]
    ) -> Outcome | EncryptionDisabled | None:
        """Take a received segment's ENO options, as ``find`` gives them.

        Returns the result so far.  Never raises for what a peer can send.
        """
        row = RECEIVED.get((self._progress, segment))
        if row is not None:
            self._arrive(row, options)
        return self.result

    def send(self, segment: Segment) -> bytes:
        """The ENO option for a segment that leaves now; ``b""`` for none.

        Retransmissions ask again and get identical bytes.  Raises LocalProtocolError
        for a segment that TCP cannot send in this state.
        """
        row = SENT.get((self._progress, segment))
        if row is None:
            raise LocalProtocolError(
                f"no {segment.value} segment can leave in {self._progress.name}"
                f" ({self._progress.value}): pass what was received to receive() first"
            )
        self._progress = row.to
        if row.form is Form.SYN_FORM:
            return self._sent
        return _NON_SYN_FORM if row.form is Form.NON_SYN_FORM else b""

    def withdraw(self) -> EncryptionDisabled:
        """Drop ENO between retransmissions of a SYN-only segment, as an active opener
        MAY to get through middleboxes (section 4.6).

        Raises LocalProtocolError once anything was received.
        """
        if self._progress not in (_P.ACTIVE_OPENED, _P.SYN_SENT):
            raise LocalProtocolError(
                f"ENO cannot be withdrawn in {self._progress.name}: only an active opener may,"
                " before it has received a SYN (RFC 8547 section 4.6)"
            )
        return self._disable(Reason.UNAVAILABLE)

    def _arrive(self, row: Arrival, options: Sequence[bytes]) -> None:
        if row.check is Check.NOTHING or (row.check is Check.PRESENT and options):
            self._progress = row.to
        elif not options:
            self._disable(row.missing)
        elif len(options) > 1:
            # section 4.1: "as though the segment contained no ENO options"
            self._disable(Reason.REPEATED_OPTION)
        elif row.check is Check.UNCHANGED:
            if options[0] == self._received:
                self._progress = row.to
            else:
                self._disable(Reason.SYN_CHANGED)
        else:
            self._judge(row.to, options[0])

    def _judge(self, to: Progress, received: bytes) -> None:
        """The first SYN-form option from the remote host, in a SYN or a SYN-ACK."""
        sent, reason = self._sent, Reason.NEGOTIATED
        if self._answer is not None:
            sent, reason = self._answer(received)
        if not reason:
            outcome = negotiate(
                sent,
                received,
                mandatory=self._mandatory,
                remote_half=self._remote_half,
                rules=self._rules,
            )
            reason = outcome.reason
        if reason:
            self._disable(reason)
            return
        self._sent, self._received = sent, bytes(received)
        self._result, self._progress = outcome, to

    def _disable(self, reason: Reason) -> EncryptionDisabled:
        result = EncryptionDisabled(reason)
        self._result, self._progress = result, Progress.DISABLED
        return result


def _role_of(option: bytes) -> Role:
    """The role that sending this option means (section 4.3); ValueError if ill-formed."""
    return negotiate(option, option).role


def _answered(
    answer: Callable[[bytes], bytes],
    judge: Callable[[bytes], tuple[bytes, Reason]],
    received: bytes,
) -> tuple[bytes, Reason]:
    """Host B's option from the application, once host A's is acceptable at all."""
    _, reason = judge(received)
    if reason:
        return b"", reason
    option = answer(received)
    if not option:
        return b"", Reason.NO_VALID_TEP
    if _role_of(option) is not Role.B:
        raise LocalProtocolError(
            f"answer() gave {option.hex()} with b = 0: a passive opener's option MUST have an"
            " explicit global suboption with b = 1 (RFC 8547 section 4.2)"
        )
    return option, Reason.NEGOTIATED
