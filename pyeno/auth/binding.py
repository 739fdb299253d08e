"""What ties a higher protocol's proof to one end of one encrypted connection.

"Applications that are aware of TCP-ENO SHOULD, when practical, authenticate the
TCP endpoints by incorporating the values of the session ID and TCP-ENO role (A or
B) into higher-layer authentication mechanisms" (RFC 8547 section 5.1).
"""

from dataclasses import dataclass, field
from typing import Any, Final

from pyeno.constants import Role
from pyeno.errors import NotEncryptedError
from pyeno.sockets.info import Info

NAME: Final = "tcp-eno"
"""The binding's name, where a protocol wants one (RFC 5802 section 7, ``cb-name``)."""


@dataclass(frozen=True)
class ChannelBinding:
    """The session ID and this host's role."""

    role: Role
    session_id: bytes = field(repr=False)

    def of(self, role: Role) -> bytes:
        """What host ``role`` puts into its proofs: ``tcp-eno``, the role, the session ID.
        [8547:5.1-4]"""
        return NAME.encode() + role.value.encode() + self.session_id

    @property
    def local(self) -> bytes:
        """What this host puts into its proofs."""
        return self.of(self.role)

    @property
    def remote(self) -> bytes:
        """What the peer must have put into its own: never equal to ``local``, so that a
        proof sent back proves nothing."""
        return self.of(self.role.opposite)


def info_of(connection: Any) -> Info:
    """The :class:`pyeno.Info` of whatever pyeno calls a connection: a Socket, an
    EnoStream, a transport, a StreamWriter, a (reader, writer), an Info."""
    if isinstance(connection, tuple) and connection:
        connection = connection[-1]
    if hasattr(connection, "get_extra_info"):
        connection = connection.get_extra_info("eno")
    info = getattr(connection, "eno", connection)
    if not isinstance(info, Info):
        raise TypeError(
            f"{type(connection).__name__} is no connection of pyeno's: a pyeno.Socket, an "
            "EnoStream, or (reader, writer) of pyeno.open_connection or start_server is"
        )
    return info


def channel_binding(connection: Any) -> ChannelBinding:
    """The channel binding of an encrypted connection (RFC 8547 sections 5.1 and 10).

    Raises NotEncryptedError where there is no session ID: ENO was disabled, or the
    key exchange is not complete.
    """
    info = info_of(connection)
    if not info.encrypted or info.role is None:
        why = "not connected yet" if info.reason is None else info.reason.slug
        raise NotEncryptedError(
            f"no channel binding: this connection is not encrypted ({why}), so nothing ties a "
            "proof to it; Config(require=True) refuses such connections"
        )
    return ChannelBinding(info.role, info.session_id)
