"""Both directions of a connection whose keys are agreed.

Rekeying (RFC 8548 section 3.8) is decided here and nowhere else: the framer
flags and uses the keys it is given.  An empty frame that initiates rekeying is
never sent while another one is unanswered; frames with data may be, for who
only sends reads no answers, and one key must not seal without end.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from pyeno._values import Buffer
from pyeno.config import Config
from pyeno.constants import (
    AEAD_TAG_LEN,
    AEADS,
    FLAGS_LEN,
    FRAME_DATA_MAX,
    FRAME_HEADER_LEN,
    Aead,
)
from pyeno.errors import LocalProtocolError, RemoteProtocolError
from pyeno.tcpcrypt.framer import Opener, Sealer
from pyeno.tcpcrypt.keylog import KeyLog, Log, logged
from pyeno.tcpcrypt.keyschedule import Generations, KeySchedule

CLEN_MIN = FLAGS_LEN + AEAD_TAG_LEN
URGENT_DATA_MAX = FRAME_DATA_MAX - 2
"""Application bytes in a frame with an urgent field, at most."""
ANSWERS_MAX = 64
"""Frames owed to rekeying that are sealed at once, at most."""
EMPTY_REKEYS_MAX = 2
"""Rekeyings of the peer without data that this host has not answered; section
3.8 allows one, or two where another one began with data."""

Wish = TypeVar("Wish")
Taken = TypeVar("Taken", int, bytes)


def dataless(head: bytes) -> tuple[int, bool]:
    """(bytes of the whole frames without data it begins with, whether one with data
    follows), by the frames' clen alone (section 4.2)."""
    at = 0
    while len(head) - at >= FRAME_HEADER_LEN:
        if int.from_bytes(head[at + 1 : at + 3]) != CLEN_MIN:
            return at, True
        if len(head) - at < FRAME_HEADER_LEN + CLEN_MIN:
            break
        at += FRAME_HEADER_LEN + CLEN_MIN
    return at, False


class Beginning(NamedTuple):
    """Both directions of a connection before its first frame."""

    aead: Aead
    sealer: Sealer
    opener: Opener
    sending: Generations
    receiving: Generations
    log: Log
    """told each new traffic key, and whether it is this host's"""


def first_frames(
    schedule: KeySchedule, config: Config, name: bytes, sent: int = 0, received: int = 0
) -> Beginning:
    """Wipes the schedule.  Frames begin after that many stream bytes; ``name`` is for the
    key log."""
    aead = AEADS[schedule.aead]
    sending, key, receiving, peer_key = schedule.directions()
    schedule.wipe()  # [8548:3.5-26]
    log = KeyLog.of_session(config.keylog, name, aead, schedule.original_role)
    log(sending, key, True)
    log(receiving, peer_key, False)
    sealer = Sealer(aead, key, sent, frame_size=config.frame_data)
    return Beginning(aead, sealer, Opener(aead, peer_key, received), sending, receiving, log)


def next_rekeying(budget: int | None, offset: int = 0) -> int:
    """The stream offset from which a frame with data begins the next generation, after
    ``budget`` bytes under the one that begins at ``offset``; None: never."""
    return 1 << 63 if budget is None else offset + budget


class Traffic:
    """Seals and opens, and keeps the two generation numbers together."""

    def __init__(
        self,
        session_id: bytes,
        first: "Beginning",
        *,
        frame_data: int,
        rekey_bytes: int | None,
        paced: bool,
        raised: Callable[[int], None],
    ) -> None:
        self.session_id = session_id
        self.aead = first.aead
        self.sending, self.receiving = first.sending, first.receiving
        self.sealer, self.opener = first.sealer, first.opener
        self._frame_data = frame_data
        self._urgent_max = min(frame_data, URGENT_DATA_MAX)
        self._budget = rekey_bytes
        self._paced = paced
        self._log = first.log
        self._raised = raised
        self._rekey_at = 0
        self._advanced_at = -1
        self._announcing = False
        self._answer_due = False
        self._empty_rekeys = self._empty_unanswered = 0
        self._plan_rekey()

    @property
    def unanswered(self) -> bool:
        """This host initiated rekeying and the peer has yet to follow."""
        return self.remote_generation < self.sending.generation

    @property
    def remote_generation(self) -> int:
        """Of the frames authenticated, whatever key was got ready for the next one."""
        return self.opener.generation

    def rekeying(self) -> dict[str, Any]:
        """What else decides on the next frames, for :class:`pyeno._native.relay.Keys`."""
        return {
            "paced": self._paced,
            "rekey_bytes": self._budget,
            "rekey_at": self._rekey_at,
            "advanced_at": self._advanced_at,
            "empty_unanswered": self._empty_unanswered,
            "log": self._log if logged(self._log) else None,
        }

    # -- sending -------------------------------------------------------------

    def seal(self, data: Buffer, *, fin: bool, urgent: bool) -> bytes:
        self._sendable()
        self._pace()
        before = b""
        while len(data) > (stretch := self._stretch(data)):
            view = memoryview(data).cast("B")
            before += self.sealer.seal(view[:stretch])
            data = view[stretch:]
        return before + self._seal(data, fin=fin, urgent=urgent)

    def _seal(self, data: Buffer, *, fin: bool, urgent: bool) -> bytes:
        """Under one key."""
        if not urgent or not len(data):
            return self.sealer.seal(data, fin=fin)
        # "the last byte of urgent data" (section 3.7) is the last one of the last frame
        view = memoryview(data).cast("B")
        head = (len(view) - 1) // self._urgent_max * self._urgent_max
        before = self.sealer.seal(view[:head]) if head else b""
        last = view[head:]
        return before + self.sealer.seal(last, fin=fin, urgent=len(last) - 1)

    def seal_into(
        self, out: bytearray | memoryview, data: Buffer, *, fin: bool
    ) -> tuple[int, int]:
        self._sendable()
        self._pace()
        stretch = self._stretch(data)
        if len(data) > stretch:
            return self.sealer.seal_into(out, memoryview(data).cast("B")[:stretch])
        return self.sealer.seal_into(out, data, fin=fin)

    def _pace(self) -> None:
        if self._paced:
            self.sealer.pace(int(time.monotonic() * 1000))

    @property
    def rekey_at(self) -> int:
        """The stream offset from which the next frame with data begins a generation."""
        return self._rekey_at

    def _stretch(self, data: Buffer) -> int:
        """How many of the next data's bytes go under one key, in whole frames."""
        if self.sealer.offset >= self._rekey_at:
            self._rekey_with(data)
        left = max(self._rekey_at - self.sealer.offset, 1)
        return -(-left // self._frame_data) * self._frame_data

    @property
    def owes(self) -> bool:
        return self._answer_due or (self._announcing and self._unannounced)

    def owed(self) -> bytes:
        """Frames that wait for no data: a rekeying of this host's, answers to the peer's."""
        due = False
        if self._answer_due:  # the receiving thread may set it again from here on
            self._answer_due, due = False, True
        announce = (due or self._announcing) and self._unannounced
        self._announcing = False
        if self.sealer.finished:  # no frame follows FINp
            return b""
        frames = [self.sealer.seal(b"")] if announce else []
        # "MUST immediately increment its local generation number to match": one frame for
        # each generation, since a receiver counts frames [8548:3.8-6, 3.8-7, 3.9-3]
        while due and self.sending.generation < self.remote_generation:
            if len(frames) >= ANSWERS_MAX:
                self._answer_due = True
                break
            self._advance()
            frames.append(self.sealer.seal(b""))
        return b"".join(frames)

    def _sendable(self) -> None:
        if self.sealer.finished:
            raise LocalProtocolError("send after the end of stream (FINp) was sent")

    # -- rekeying: the local generation ----------------------------------------

    def rekey(self) -> None:
        """Initiate rekeying now, with an empty frame if no data comes first.

        "a host MUST NOT initiate more than one concurrent rekey operation if it has no
        data to send": where one is unanswered the next data begin the next generation.
        [8548:3.8-2, 3.8-8, 3.8-9]
        """
        self._sendable()
        if self._unannounced:
            self._announcing = True
        elif self.unanswered:
            self._rekey_at = self.sealer.offset
        else:
            self._advance()
            self._announcing = True

    @property
    def _unannounced(self) -> bool:
        """No frame has used the local generation yet, so it must not be raised again."""
        return self.sealer.offset == self._advanced_at

    def _rekey_with(self, data: Buffer) -> None:
        """The next frame carries ``data``.  "it MUST NOT initiate rekeying with an empty
        encryption frame more than once while its record of the remote generation number
        is less than its own" (section 3.8). [8548:3.8-9]"""
        if not self._unannounced and (len(data) or not self.unanswered):
            self._advance()

    def _advance(self) -> None:
        """Raise the local generation; the frame that announces it comes next.

        "SHOULD delete older-generation keys from memory": mk[j], the old traffic key and
        what the AEAD made of it are overwritten here.
        """
        self._advanced_at = self.sealer.offset
        self.sending.advance()
        key = self.sending.traffic_key()
        self.sealer.rekey(key)
        self._plan_rekey()
        self._empty_unanswered = 0
        self._log(self.sending, key, True)
        key.wipe()

    def _plan_rekey(self) -> None:
        self._rekey_at = next_rekeying(self._budget, self.sealer.offset)

    # -- receiving -----------------------------------------------------------

    def read(self, read: Callable[[Wish], Taken], wish: Wish) -> Taken:
        """Across any frames that raise the remote generation."""
        taken = read(wish)
        while not taken and self.opener.rekey_wanted:
            self._offer_next_key()
            taken = read(wish)
            self._follow()
        return taken

    def open_ahead(self) -> None:
        """Open every whole frame."""
        self.opener.open_ahead()
        while self.opener.rekey_wanted:
            self._offer_next_key()
            self.opener.open_ahead()
            self._follow()

    def _offer_next_key(self) -> None:
        """The next frame has rekey = 1; it has yet to authenticate."""
        self.receiving.advance()
        key = self.receiving.traffic_key()
        self.opener.rekey(key)
        self._log(self.receiving, key, False)
        key.wipe()

    def _follow(self) -> None:
        """It did, if the opener says so.  An answer is owed if the remote generation is
        now ahead; it is sealed by owed(), which the caller keeps in stream order."""
        if self.opener.generation != self.receiving.generation:
            return
        self._raised(self.remote_generation)
        behind = self.sending.generation < self.remote_generation
        if behind and self.opener.empty_rekeys != self._empty_rekeys:
            self._empty_unanswered += 1
        self._empty_rekeys = self.opener.empty_rekeys
        if self._empty_unanswered > EMPTY_REKEYS_MAX:
            raise RemoteProtocolError(
                f"frames before stream offset {self.opener.offset}: the peer initiated "
                f"rekeying with an empty frame {self._empty_unanswered} times without an "
                "answer between (RFC 8548 section 3.8 allows one at a time); connection aborted"
            )
        self._answer_due = self._answer_due or behind or self._unannounced

    # -- ends ----------------------------------------------------------------

    def wipe(self) -> None:
        """Forget every key; LocalProtocolError if one is in use, all others are gone then."""
        busy: LocalProtocolError | None = None
        for part in (self.sending, self.receiving, self.sealer, self.opener):
            try:
                part.wipe()
            except LocalProtocolError as error:
                busy = error
        if busy is not None:
            raise busy
