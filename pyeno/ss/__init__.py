"""This host's TCP connections as TCP-ENO sees them, whoever's they are.

The kernel tells which sockets there are (:mod:`~pyeno.ss.table`) and in which
processes (:mod:`~pyeno.ss.holders`); a duplicate of the descriptor is asked for
the rest by the ordinary socket options (:mod:`~pyeno.ss.listing`).  No daemon,
no list that somebody would have to keep.
"""

from pyeno.ss.listing import Connection, Listing, look

__all__ = ["Connection", "Listing", "look"]
