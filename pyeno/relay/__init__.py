"""Programs that know nothing of encryption, encrypted: the relay.

:class:`Relay` takes the TCP connections of whole cgroups, both ways, to where
TCP-ENO is negotiated, and joins them; :class:`Settings` says which and how.
"""

from pyeno.constants import SECURE_PORTS
from pyeno.relay.records import Observer, Record
from pyeno.relay.relay import Relay
from pyeno.relay.settings import LOOPBACK, Settings

__all__ = ["LOOPBACK", "SECURE_PORTS", "Observer", "Record", "Relay", "Settings"]
