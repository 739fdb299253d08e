"""The ENO option's bytes (RFC 8547 sections 4.1, 4.2, 4.4); no sockets.

>>> option = parse(bytes.fromhex("45040123"))
>>> option.b, option.teps
(True, (Suboption(tep=35, v=False, data=b'', length_byte=False),))
>>> encode([0x21, Suboption(0x23, True, b"nine byte"), 0x24]).hex()
'450f2188a36e696e65206279746524'
"""

from typing import TYPE_CHECKING

from pyeno._backend import load
from pyeno._values import Suboption

if TYPE_CHECKING:
    from pyeno._native.option import Option, data_of, encode, find, parse
else:
    _twin = load("option")
    Option, data_of, parse = _twin.Option, _twin.data_of, _twin.parse
    encode, find = _twin.encode, _twin.find

__all__ = ["Option", "Suboption", "data_of", "encode", "find", "parse"]
