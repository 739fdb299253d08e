"""Whose key the peer's has to be."""

import os
from os import PathLike
from pathlib import Path

from pyeno.auth.errors import KnownHostsError, UnknownKeyError
from pyeno.auth.known_hosts import KnownHosts, label
from pyeno.errors import ConfigError


class Pins:
    """What an exchange asks about the peer's key.

    With a ``name``, one pinned to it; without, one pinned to any name, which is then
    the peer's: that is how a host knows those who connect to it.
    """

    def __init__(
        self,
        known_hosts: KnownHosts | str | PathLike[str],
        name: str | None = None,
        port: int | None = None,
        *,
        trust_on_first_use: bool = False,
    ) -> None:
        if not isinstance(known_hosts, KnownHosts):
            known_hosts = KnownHosts(known_hosts)
        if name is None and (trust_on_first_use or port is not None):
            raise ConfigError(
                "name: None; trust_on_first_use and port need a name to pin the peer's key to"
            )
        if name is not None:
            label(name, port)
        self._hosts, self._name, self._port = known_hosts, name, port
        self._trusting = trust_on_first_use
        self._hosts.entries()  # before anything is sent, what is wrong with the file
        parent = Path(self._hosts.path).parent
        if trust_on_first_use and not os.access(parent, os.W_OK):
            raise KnownHostsError(
                f"trust_on_first_use cannot write to {parent}: make that directory, or pin "
                "the key by hand",
                self._hosts.path,
            )

    def judge(self, key: bytes) -> tuple[str, bool]:
        """(the peer's name, whether its key is new).

        Raises UnknownKeyError, ChangedKeyError.
        """
        if self._name is None:
            return self._hosts.name_of(key), False
        try:
            self._hosts.check(key, self._name, self._port)
        except UnknownKeyError:
            if not self._trusting:
                raise
            return label(self._name, self._port), True
        return label(self._name, self._port), False

    def pin(self, key: bytes) -> None:
        """Keep a new key; raises ChangedKeyError, OSError."""
        assert self._name is not None
        self._hosts.add(key, self._name, self._port)
