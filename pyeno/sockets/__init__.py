"""Sockets whose TCP encrypts itself (blocking, timeout and non-blocking).

:class:`Socket` is a ``socket.socket``; :mod:`link` drives one connection's
TEP over the raw socket; :mod:`info` is what ``sock.eno`` shows.
"""

from pyeno.sockets.caching import flush_sessions
from pyeno.sockets.create import create_connection, create_server
from pyeno.sockets.info import Info
from pyeno.sockets.sock import Socket

__all__ = ["Info", "Socket", "create_connection", "create_server", "flush_sessions"]
