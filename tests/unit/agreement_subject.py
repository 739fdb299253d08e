"""The process whose memory test_agreement_memory.py looks through: key exchanges.

    agreement_subject.py DESCRIPTOR

Private keys are read from the descriptor.  Each line of standard input is
``WHAT TEP COUNT``; "done" answers it.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

from pyeno import Config, Reason, Role
from pyeno._values import Outcome
from pyeno.constants import ECDHE
from pyeno.errors import RemoteProtocolError
from pyeno.tcpcrypt.agreement import Secret
from pyeno.tcpcrypt.connection import Connection
from pyeno.tcpcrypt.messages import Init1, Init2, encode_init1, encode_init2
from pyeno.tcpcrypt.schemes import encode_public

kept: list[Connection] = []


class Given:
    """Secrets that have been nowhere else in this process."""

    def public(self, size: int) -> bytes:
        return os.urandom(size)

    def secret(self, size: int) -> Secret:
        buffer = bytearray(size)
        assert os.readv(int(sys.argv[1]), [buffer]) == size
        secret = Secret(buffer)
        buffer[:] = bytes(size)
        return secret


def host(role: Role, tep: int) -> Connection:
    outcome = Outcome(Reason.NEGOTIATED, role, tep_byte=tep, transcript=b"transcript")
    kept.append(Connection(outcome, Config(), randomness=Given()))
    return kept[-1]


def whole(tep: int) -> None:
    """Both hosts agree, and live on with their traffic keys."""
    a, b = host(Role.A, tep), host(Role.B, tep)
    b.receive_data(a.data_to_send())
    a.receive_data(b.data_to_send())
    assert a.session_id == b.session_id


def half(tep: int) -> None:
    """Host A waits for Init2."""
    host(Role.A, tep)


def refused(tep: int) -> None:
    """Both hosts have a private key when they refuse the other's public key."""
    length = ECDHE[tep].public_len
    # of low order; or x = 7, which is no coordinate of P-256 nor P-521
    public = b"\2" + (7).to_bytes(length - 1, "big") if length % 2 else bytes(length)
    pub = encode_public(tep, public)
    for role, message in (
        (Role.A, encode_init2(Init2(1, bytes(32), pub))),
        (Role.B, encode_init1(Init1((1,), bytes(32), pub))),
    ):
        end = host(role, tep)
        try:
            end.receive_data(message)
        except RemoteProtocolError:
            continue
        raise AssertionError("taken")


DEEDS = {deed.__name__: deed for deed in (whole, half, refused)}


def main() -> None:
    with ThreadPoolExecutor(1) as thread:
        for line in sys.stdin:
            deed, tep, count = line.split()
            for _ in range(int(count)):
                thread.submit(DEEDS[deed], int(tep)).result()
            print("done", flush=True)


if __name__ == "__main__":
    main()
