"""TLS over ENO on a raw socket, by the sans-IO connection alone."""

import socket

from pyeno import Config, Reason, kernel
from pyeno._values import Outcome
from pyeno.constants import State
from pyeno.tls.connection import Connection

TLS = Config(teps=["tls"], require=True)


def by_hand(sock: socket.socket) -> Connection:
    """The sans-IO end of a raw ENO socket, its handshake complete."""
    result = kernel.result(sock)
    assert result.state is State.ENCRYPTED
    outcome = Outcome(
        Reason.NEGOTIATED, result.role, tep_byte=result.tep_byte, transcript=result.transcript
    )
    end = Connection(outcome, TLS)
    while not end.established:
        sock.sendall(end.data_to_send())
        end.receive_data(sock.recv(1 << 16))
    sock.sendall(end.data_to_send())
    return end
