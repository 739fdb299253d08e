"""What binds the handshake to the ENO options, and names the session.

The draft's TCPENOTranscript extension has no number, and pyOpenSSL no call for
extensions of one's own in TLS 1.3.  Its content travels as the one ALPN protocol name
(RFC 7301) that host A offers instead, and that host B selects only where it equals the
name of the options B saw.  ClientHello and EncryptedExtensions are both under the
handshake's Finished, so neither name can be altered on the way; any other offer is
answered by a fatal alert, and any other answer ends the connection.
"""

from typing import Any, Final

from OpenSSL import SSL

from pyeno.tls.errors import TranscriptError

PREFIX: Final = b"tcpeno/"
HANDSHAKE_FAILURE: Final = bytes((21, 3, 3, 0, 2, 2, 40))
NO_APPLICATION_PROTOCOL: Final = bytes((21, 3, 3, 0, 2, 2, 120))
"""Records of cleartext alerts (RFC 8446 sections 5.1, 6; RFC 7301 section 3.2)."""
EXPORTER_LABEL: Final = b"EXPORTER-TCP-ENO-session-ID"
EXPORTER_LEN: Final = 32
"""With the TEP's byte 33, the least that RFC 8547 section 5.1 allows."""


def protocol_name(transcript: bytes) -> bytes:
    """The negotiation transcript (RFC 8547 section 4.8) as an ALPN protocol name.
    [8547:4.8-1, 4.8-2]

    Hexadecimal, so that programs take it on a command line; at most 167 of 255 bytes.
    """
    return PREFIX + transcript.hex().encode()


class Binding:
    """What one connection expects of its peer, and what it met."""

    def __init__(self, transcript: bytes) -> None:
        self.transcript = transcript
        self.name = protocol_name(transcript)
        self._offered: list[bytes] | None = None

    def select(self, offered: list[bytes]) -> bytes | None:
        """Host B: the name to select, if it may."""
        self._offered = offered
        return self.name if offered == [self.name] else None

    def refusal(self) -> bytes:
        """Host B, once it has the ClientHello: the fatal alert to send in the place of its
        ServerHello; empty: none."""
        if self._offered is None:
            return HANDSHAKE_FAILURE
        return b"" if self._offered == [self.name] else NO_APPLICATION_PROTOCOL

    def check_offer(self) -> None:
        """Host B, once it has the ClientHello; raises TranscriptError."""
        if self.refusal():
            raise TranscriptError(
                f"host A saw other ENO options than this host: {self._told(self._offered)}; "
                f"this host's are {self.transcript.hex()}: somebody altered them; connection "
                "aborted"
            )

    def check_selection(self, connection: SSL.Connection) -> None:
        """Both hosts, once the handshake is complete; raises TranscriptError."""
        selected = connection.get_alpn_proto_negotiated()
        if selected != self.name:
            raise TranscriptError(
                "host B completed the handshake without selecting the name of the ENO options: "
                "it is no TLS TEP's, or somebody altered them; connection aborted"
            )

    def session_id(self, connection: SSL.Connection, tep_byte: int) -> bytes:
        """The negotiated TEP's byte and an exporter (RFC 8446 section 7.5) over the
        transcript. [8547:5.1-6]"""
        exported = connection.export_keying_material(
            EXPORTER_LABEL, EXPORTER_LEN, self.transcript
        )
        return bytes([tep_byte]) + exported

    @staticmethod
    def _told(offered: list[bytes] | None) -> str:
        """What host A says it saw; cleartext of its ClientHello."""
        if offered is None:
            return "its ClientHello names none (no ALPN)"
        names = [name for name in offered if name.startswith(PREFIX)]
        if len(offered) != 1 or not names:
            return f"its ALPN has {len(offered)} names, {len(names)} of ENO options"
        return repr(names[0].removeprefix(PREFIX).decode("ascii", "backslashreplace"))


def select(connection: SSL.Connection, offered: list[bytes]) -> Any:
    """OpenSSL's ALPN callback of every connection of host B.

    It never raises, nor refuses by itself: pyOpenSSL would tell whichever thread asks
    next, or the peer of an internal error.
    """
    binding: Binding = connection.get_app_data()
    return binding.select(offered) or SSL.NO_OVERLAPPING_PROTOCOLS
