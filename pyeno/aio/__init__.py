"""pyeno for asyncio, on any loop with ``add_reader``: the standard one, uvloop.

:mod:`opening` drives the key exchange, :mod:`transport` is the connection
after it; connections without encryption get the loop's own transport
(:mod:`plain`).  :mod:`stream` is for AnyIO and Trio.
"""

from pyeno.aio.connect import create_eno_connection
from pyeno.aio.serve import create_eno_server
from pyeno.aio.streams import open_connection, start_server
from pyeno.aio.upgrade import start_eno

__all__ = [
    "create_eno_connection", "create_eno_server", "open_connection", "start_eno",
    "start_server",
]  # fmt: skip
