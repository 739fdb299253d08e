"""Arguments that ``listen`` and ``connect`` share: addresses and a Config."""

import argparse
import socket
from typing import Any

from pyeno import tep
from pyeno.cli.authentication import add_authentication_arguments
from pyeno.config import Config, aead_names
from pyeno.constants import RESUME_NONCE_MAX

SECONDS_MAX = 10**9


def address(text: str) -> tuple[str, int]:
    """``PORT``, ``HOST:PORT`` or ``[V6]:PORT``; an empty host means any."""
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write [ADDR:]PORT with a port of 0 to 65535, IPv6 as [::1]:PORT"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def far_address(text: str) -> tuple[str, int]:
    """``HOST:PORT``."""
    host, port = address(text)
    if not host:
        raise argparse.ArgumentTypeError(f"{text!r}: write HOST:PORT")
    return host, port


def seconds(text: str) -> float:
    """A time above 0, as sockets take it."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write seconds, above 0 and at most {SECONDS_MAX}"
        )
    return value


def keepalive(text: str) -> float | tuple[float, float]:
    """``SECONDS`` or ``SECONDS,TIMEOUT``."""
    interval, comma, timeout = text.partition(",")
    return (seconds(interval), seconds(timeout)) if comma else seconds(interval)


def add_choice_arguments(group: argparse._ArgumentGroup) -> None:
    """What may be negotiated."""
    group.add_argument(
        "--require", action="store_true", help="refuse connections that are not encrypted"
    )
    group.add_argument(
        "--tep", metavar="ID,…",
        help=f"TEPs, most preferred first: numbers or {', '.join(sorted(tep.names()))}",
    )  # fmt: skip
    group.add_argument(
        "--aead", metavar="NAME,…",
        help=f"AEADs, most preferred first: {', '.join(sorted(aead_names()))}",
    )  # fmt: skip


def add_policy_arguments(group: argparse._ArgumentGroup) -> None:
    """What decides which cached sessions may be resumed."""
    add_choice_arguments(group)
    group.add_argument("--app-aware", action="store_true", help="set the application-aware bit")
    # an option of its own name: an optional value would swallow the address after it
    group.add_argument(
        "--app-aware=mandatory", dest="app_aware", action="store_const", const="mandatory",
        help="the same, and no encryption unless the peer sets it too",
    )  # fmt: skip
    group.add_argument(
        "--session-scope", metavar="NAME", default="",
        help="keep sessions apart: resume those of the same NAME only",
    )  # fmt: skip


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """The policy of a connection, field by field of :class:`pyeno.Config`."""
    group = parser.add_argument_group("encryption")
    add_policy_arguments(group)
    group.add_argument(
        "--role-b", action="store_true", help="send b = 1 when opening (simultaneous open)"
    )
    group.add_argument("--no-resume", action="store_true", help="always exchange fresh keys")
    group.add_argument("--no-cache", action="store_true", help="keep no session secret")
    group.add_argument(
        "--resumption-nonce-len", type=int, default=RESUME_NONCE_MAX, metavar="N",
        help="bytes of the resumption nonce, 0 to 8 (default 8)",
    )  # fmt: skip
    group.add_argument(
        "--keylog", metavar="FILE", help="append traffic keys to FILE (debugging only)"
    )
    group.add_argument(
        "--handshake-timeout", type=seconds, default=15.0, metavar="SECONDS",
        help="how long the peer may take for the key exchange (default 15)",
    )  # fmt: skip
    group.add_argument(
        "--keepalive", type=keepalive, metavar="SECONDS[,TIMEOUT]",
        help="reset the connection of a peer that was silent for SECONDS and does not answer "
        "a rekeying in TIMEOUT (default: as long again)",
    )  # fmt: skip
    add_authentication_arguments(parser)
    parser.add_argument(
        "--json", action="store_true",
        help="print one object per connection on standard error when it ends",
    )  # fmt: skip


def policy_from(options: argparse.Namespace) -> Config:
    """The Config that the policy's arguments mean; raises ConfigError (exit status 2)."""
    wishes: dict[str, Any] = {}
    if options.tep is not None:
        wishes["teps"] = options.tep
    if options.aead is not None:
        wishes["aeads"] = options.aead
    return Config(
        app_aware=options.app_aware,
        require=options.require,
        session_scope=options.session_scope,
        **wishes,
    )


def config_from(options: argparse.Namespace) -> Config:
    """The Config that all these arguments mean; raises ConfigError."""
    return policy_from(options).but(
        require=options.require or bool(options.psk_file or options.identity),
        role_b=options.role_b,
        resume=not options.no_resume,
        cache=not options.no_cache,
        resumption_nonce_len=options.resumption_nonce_len,
        keylog=options.keylog,
        handshake_timeout=options.handshake_timeout,
        keepalive=options.keepalive,
    )


def family_of(host: str) -> int:
    """The address family to listen with; any host: IPv6 and IPv4 together."""
    if not host:
        return socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
