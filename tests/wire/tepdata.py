"""TEPs with suboption data for the wire tests, and what tests/oracle says is sent of them.

with connection(wire, has("3023"), has("2330")) as ends:
    assert_encrypted(ends, offer("3023"), answer(offer("3023"), "2330"))
"""

import socket
from typing import Any

from oracle import tepdata
from oracle.tepdata import Definition
from wire.connect import Setup, raw, teps

from pyeno import _tepdata, kernel
from pyeno.negotiation import TepData

TWELVE, SIXTEEN = bytes(range(12)), bytes(range(0x60, 0x70))
WORLD = {
    0x30: Definition((b"aaa", b"b"), (range(2, 4), range(1, 3))),
    0x31: Definition((TWELVE, None), (range(12, 13), range(1))),
    0x32: Definition((b"xy", SIXTEEN), (range(5), range(17))),
    0x33: Definition((b"z", SIXTEEN), (range(5), range(1, 17))),
}
RULES = [TepData(tep, *rule.sent, *rule.sizes) for tep, rule in WORLD.items()]
ROOM = 20
"""bytes beside MSS, SACK, timestamps and window scale"""


def has(wanted: str, **more: Any) -> Setup:
    """These TEPs, with the data of WORLD."""
    return teps(wanted, data=RULES, **more)


def says(option: str) -> Setup:
    """This option, while the data are known."""

    def setup(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, kernel.TCP_ENO_TEP_DATA, _tepdata.packed(RULES))
        raw(option)(sock)

    return setup


def offer(order: str, value: int = 0, room: int = ROOM) -> bytes:
    option = tepdata.offered(bytes.fromhex(order), WORLD, value, room)
    assert option is not None
    return option


def answer(syn: bytes, order: str, value: int = 1, room: int = ROOM) -> bytes:
    option = tepdata.answered(syn, bytes.fromhex(order), WORLD, value, room)
    assert option is not None
    return option
