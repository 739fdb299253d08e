"""Encryption frames over a user-space connection, rightly and wrongly (RFC 8548 §3.6 to 3.8).

`Framed` is the half of an EnoPeer that begins when keys are there.
"""

import time

from oracle import Incomplete, OracleError
from oracle.frames import DATA_MAX, Frame, Opener, Sealer

from .rfcpeer_tcp import Connection


class Framed:
    """`sealer` and `opener` are the oracle's, one per direction; `frames` all that came.

    `answer_rekey` False leaves the frame owed to a rekey unsent.
    """

    conn: Connection
    sealer: Sealer
    opener: Opener

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.answer_rekey = True
        self.fin_sent = False
        self._data = bytearray()

    # -- rightly

    def send(self, data: bytes, *, chunk: int = DATA_MAX) -> None:
        """Application data in frames of at most `chunk` bytes each; does not wait."""
        for start in range(0, len(data), chunk):
            self.send_frame(data[start : start + chunk])

    def recv(self, size: int = 1 << 16, timeout: float = 10) -> bytes:
        """1 to `size` bytes of application data, or b"" after FINp.

        Raises OracleError("fin-without-finp") for a bare FIN and the oracle's other errors for
        frames that don't open; ConnectionResetError after RST; TimeoutError.
        """
        deadline = time.monotonic() + timeout
        while not self._data and not self.opener.finished:
            self.recv_frame(max(0.0, deadline - time.monotonic()))
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def recv_exactly(self, size: int, timeout: float = 10) -> bytes:
        """Exactly `size` bytes; EOFError when FINp comes before them."""
        deadline = time.monotonic() + timeout
        parts: list[bytes] = []
        while size:
            part = self.recv(size, max(0.0, deadline - time.monotonic()))
            if not part:
                raise EOFError(f"FINp with {size} bytes missing")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def recv_frame(self, timeout: float = 10) -> Frame:
        """The next frame, empty ones too; its data is also kept for `recv`."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                frame = self.opener.next()
                break
            except Incomplete:
                stream = self.conn.recv(1 << 18, max(0.0, deadline - time.monotonic()))
                if not stream:
                    raise OracleError("fin-without-finp") from None
                self.opener.feed(stream)
        self.frames.append(frame)
        self._data += frame.data
        behind = self.opener.generation > self.sealer.generation
        if frame.rekey and behind and self.answer_rekey and not self.fin_sent:
            self.send_frame(rekey=True)
        return frame

    def rekey(self, data: bytes = b"") -> None:
        """Initiate rekeying, which is also the keep-alive of section 3.9."""
        self.send_frame(data, rekey=True)

    def close(self, data: bytes = b"") -> None:
        """A last frame with FINp, and FIN on its last segment; does not wait."""
        self.send_frame(data, fin=True, tcp_fin=True)

    def finish(self, timeout: float = 10) -> bytes:
        """`close`, then everything the other end still sends, up to its FINp and FIN."""
        if not self.fin_sent:
            self.close()
        rest = b""
        while part := self.recv(timeout=timeout):
            rest += part
        self.conn.wait_closed(timeout)
        return rest

    def abort(self) -> None:
        """RST, at any moment."""
        self.conn.abort()

    # -- as a test wants it

    def seal(
        self,
        data: bytes = b"",
        *,
        fin: bool = False,
        urgent: int | None = None,
        rekey: bool = False,
        cres: int = 0,
        fres: int = 0,
        bad_tag: bool = False,
        clen: int | None = None,
        control: int | None = None,
    ) -> bytes:
        """The next frame without sending it; the offset moves on as if it were sent.

        `cres` and `fres` are reserved bits, well sealed.  `bad_tag` flips the last bit of the
        tag; `clen` and `control` overwrite the header after sealing.
        """
        frame = bytearray(
            self.sealer.seal(data, fin=fin, urgent=urgent, rekey=rekey, cres=cres, fres=fres)
        )
        if bad_tag:
            frame[-1] ^= 1
        if clen is not None:
            frame[1:3] = clen.to_bytes(2, "big")
        if control is not None:
            frame[0] = control
        self.fin_sent = self.fin_sent or fin
        return bytes(frame)

    def send_frame(
        self,
        data: bytes = b"",
        *,
        fin: bool = False,
        urgent: int | None = None,
        rekey: bool = False,
        cres: int = 0,
        fres: int = 0,
        bad_tag: bool = False,
        clen: int | None = None,
        control: int | None = None,
        tcp_fin: bool = False,
        segment: int | None = None,
    ) -> None:
        """`seal` and send, in segments of `segment` bytes; `tcp_fin` adds FIN to the last.

        Nothing stops a frame after one with `fin`.
        """
        frame = self.seal(
            data,
            fin=fin,
            urgent=urgent,
            rekey=rekey,
            cres=cres,
            fres=fres,
            bad_tag=bad_tag,
            clen=clen,
            control=control,
        )
        self.conn.send(frame, segment=segment, fin=tcp_fin)

    def send_swapped(self, first: bytes, second: bytes) -> None:
        """Two good frames, the second before the first: as if reordered inside the stream."""
        frames = self.seal(first), self.seal(second)
        self.conn.send(frames[1] + frames[0])

    def send_part(self, data: bytes, size: int) -> None:
        """Only the first `size` bytes of a frame (negative: all but that many)."""
        self.conn.send(self.seal(data)[:size])

    def fin_without_finp(self) -> None:
        """A bare TCP FIN."""
        self.conn.close()
