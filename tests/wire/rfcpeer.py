"""A host that speaks TCP-ENO and tcpcrypt as the oracle reads the RFCs, or as badly as asked.

    with Namespace() as ns, Tun(ns) as tun, Host(tun) as host:
        peer = EnoPeer(host, source=tun.peer4)
        peer.connect((tun.kernel4, port))      # or peer.listen(port); peer.accept()
        assert peer.encrypted, peer.reason
        peer.handshake()
        peer.send(b"hello"); peer.recv(); peer.finish()

One EnoPeer is one connection.  `peer.conn` is the TCP connection below (every segment, raw
sending); frames, good and bad, are in `rfcpeer_frames.Framed`.  Misbehaviour in
the Init messages is chosen by `Faults`, in the options by `option` and `ack_option`.
"""

import secrets
from typing import Self

from oracle import OracleError, eno, keys

from .rfcpeer_exchange import Exchange, Faults, Keys
from .rfcpeer_host import Host, Listener
from .rfcpeer_machine import Machine
from .rfcpeer_plan import Plan
from .rfcpeer_tcp import Connection

__all__ = ["EnoPeer", "Faults", "Keys"]

NON_SYN = bytes([eno.KIND, 2])


class EnoPeer(Exchange):
    """`teps` in order of preference; `aeads` likewise.  `a` and `b` are the global bits.

    `sessions` are oracle Sessions known to this host: an active opener proposes the first, a
    passive opener accepts any.  `option` replaces the ENO bytes of SYN and SYN-ACK (several
    options, none, anything that fits), `ack_option` those of the non-SYN segments.

    After opening: `negotiated` (oracle.eno.Negotiated) or None with `reason`; `encrypted`.
    After `handshake`: `keys`, `role`, `session_id`, and `session` for a later resumption.
    """

    def __init__(
        self,
        host: Host,
        *,
        source: str = "",
        teps: tuple[int, ...] = (0x23,),
        aeads: tuple[int, ...] = (0x0001, 0x0002, 0x0010),
        a: int = 0,
        b: int | None = None,
        sessions: tuple[keys.Session, ...] = (),
        nonce_len: int = 8,
        option: bytes | None = None,
        ack_option: bytes | None = None,
        faults: Faults | None = None,
    ) -> None:
        super().__init__(aeads, sessions, faults or Faults())
        self.host, self.source = host, source
        self.teps, self.a, self.b = teps, a, b
        self.plan = Plan(
            syn=self._syn_option if option is None else option,
            syn_ack=self._syn_ack_option if option is None else option,
            ack=self._ack_option if ack_option is None else ack_option,
        )
        self._local_nonce = secrets.token_bytes(nonce_len)
        self._listener: Listener | None = None
        self._active = True

    # -- opening

    def connect(
        self, remote: tuple[str, int], *, port: int | None = None, timeout: float = 10
    ) -> Self:
        """Active open, from `port` where one is given."""
        conn = self.host.start(remote, source=self.source, port=port, plan=self.plan)
        return self._opened(self.host.wait_established(conn, timeout))

    def cross(self, remote: tuple[str, int], port: int) -> Self:
        """Begin a simultaneous open from `port`; `wait_open` once the other end connects."""
        self.conn = self.host.start(
            remote, source=self.source, port=port, plan=self.plan, cross=True
        )
        return self

    def wait_open(self, timeout: float = 10) -> Self:
        return self._opened(self.host.wait_established(self.conn, timeout))

    def listen(self, port: int) -> Self:
        """Passive open, for one connection."""
        self._active = False
        self._listener = self.host.listen(port, self.plan)
        return self

    def accept(self, timeout: float = 10) -> Self:
        assert self._listener is not None, "listen first"
        try:
            return self._opened(self._listener.accept(timeout))
        finally:
            self._listener.close()

    @property
    def encrypted(self) -> bool:
        return self.negotiated is not None

    def _opened(self, conn: Connection) -> Self:
        self.conn = conn
        with self.host.lock:
            try:
                self.negotiated = self._judge(conn)
                self.role = self.negotiated.roles[0 if self._active else 1]
            except OracleError as error:
                self.reason = error.reason
        return self

    def _judge(self, conn: Machine) -> eno.Negotiated:
        """RFC 8547 section 4.6: both SYNs, then the first ACK segment each way."""
        negotiated = self._negotiate(conn)
        first_ack = next(s for s in conn.received if s.has_ack)
        if not first_ack.eno:
            raise OracleError("ack-without-eno")
        if not any(s.has_ack and s.eno for s in conn.sent):
            raise OracleError("no-eno-ack-sent")
        return negotiated

    def _negotiate(self, conn: Machine) -> eno.Negotiated:
        assert conn.local_syn is not None and conn.remote_syn is not None
        remote, local = (eno.of_syn(s.options).raw for s in (conn.remote_syn, conn.local_syn))
        known = [s.identifier for s in self.sessions]
        if self._active:
            passive = 2 if conn.remote_syn.has_ack else None
            return eno.negotiate(local, remote, passive=passive, sessions=known)
        return eno.negotiate(remote, local, sessions=known)

    # -- the options of a well-behaved host

    def _global(self, b: int) -> int | None:
        value = self.a << 1 | (b if self.b is None else self.b)
        return value or None

    def _proposal(self, session: keys.Session) -> eno.Suboption:
        return eno.Suboption(session.tep, 1, session.local_half + self._local_nonce)

    def _syn_option(self, conn: Machine) -> bytes:
        if not self.sessions:
            return eno.encode(self.teps, self._global(0))
        session = self.sessions[0]
        others = [tep for tep in self.teps if tep != session.tep]
        return eno.encode([*others, self._proposal(session)], self._global(0))

    def _syn_ack_option(self, conn: Machine) -> bytes:
        assert conn.remote_syn is not None
        if self._active:  # simultaneous open: the option of the SYN again
            return self._syn_option(conn)
        try:
            remote = eno.of_syn(conn.remote_syn.options)
        except OracleError:
            return b""
        if remote.b:
            return b""
        for session in self.sessions:
            found = remote.find(session.tep)
            if len(found) == 1 and found[0].data[:9] == session.remote_half:
                return eno.encode([self._proposal(session)], self._global(1))
        for tep in self.teps:
            if len(remote.find(tep)) == 1 and len(remote.find(tep)[0].data) <= 17:
                return eno.encode([tep], self._global(1))
        return b""

    def _ack_option(self, conn: Machine) -> bytes:
        try:
            self._negotiate(conn)
        except OracleError:
            return b""
        return NON_SYN
