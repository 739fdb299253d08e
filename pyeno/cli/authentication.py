"""Arguments of ``listen`` and ``connect`` that say who the peer has to be."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from pyeno import tep
from pyeno.constants import Tep
from pyeno.errors import ConfigError
from pyeno.sockets import Socket

if TYPE_CHECKING:
    from pyeno.auth import Authenticated

Authenticate: TypeAlias = Callable[[Socket], "Authenticated"]


def add_authentication_arguments(parser: argparse.ArgumentParser) -> None:
    """What this host proves, and what it demands."""
    group = parser.add_argument_group(
        "authentication", "the same at both ends; --require is implied"
    )
    method = group.add_mutually_exclusive_group()
    method.add_argument(
        "--psk-file", metavar="FILE", help="a key that both ends have: hexadecimal digits"
    )
    method.add_argument(
        "--identity", metavar="FILE", help="this host's key, of 'ssh-keygen -t ed25519'"
    )
    group.add_argument(
        "--known-hosts", metavar="FILE",
        help="the peer's key must be here: connect, for HOST; listen, for any name; connect "
        "--tep tls without --identity: the key of its TLS",
    )  # fmt: skip


def _by_tls_key(
    options: argparse.Namespace, name: str | None, port: int | None
) -> Authenticate:
    from pyeno import auth

    if options.psk_file is not None:
        raise ConfigError("--known-hosts: of TLS's keys; leave it out, or --psk-file")
    assert name is not None
    known, trusting = auth.KnownHosts(options.known_hosts), options.trust_on_first_use
    auth.Pins(known, name, port, trust_on_first_use=trusting)
    return lambda sock: auth.authenticate_tls_key(
        sock, known_hosts=known, name=name, port=port, trust_on_first_use=trusting
    )


def authentication_from(
    options: argparse.Namespace, name: str | None = None, port: int | None = None
) -> Authenticate | None:
    """What to do with each connection before it is used, None: nothing.

    Raises ConfigError, OSError.
    """
    by_tls = name is not None and tep.find(options.tep) is tep.get(Tep.TLS)
    if options.identity is None and options.known_hosts is not None and not by_tls:
        raise ConfigError(
            "--identity: missing; --identity and --known-hosts need each other, but for "
            "connect --tep tls"
        )
    if options.identity is not None and options.known_hosts is None:
        raise ConfigError(
            "--known-hosts: missing; --identity and --known-hosts need each other"
        )
    if options.trust_on_first_use and options.known_hosts is None:
        raise ConfigError("--known-hosts: missing; --trust-on-first-use adds to it")
    if options.psk_file is None and options.known_hosts is None:
        return None
    from pyeno import auth

    if options.known_hosts is not None and options.identity is None:
        return _by_tls_key(options, name, port)
    if options.psk_file is not None:
        key = auth.load_psk(options.psk_file)
        return lambda sock: auth.authenticate_psk(sock, key)
    identity, trusting = auth.load_identity(options.identity), options.trust_on_first_use
    known = auth.KnownHosts(options.known_hosts)
    auth.Pins(known, name, port, trust_on_first_use=trusting)  # now, not with the first peer
    return lambda sock: auth.authenticate_ed25519(
        sock, identity, known_hosts=known, name=name, port=port, trust_on_first_use=trusting
    )
