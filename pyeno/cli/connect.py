"""Open a TCP connection, encrypted where the peer can.

Sends standard input, prints what comes back, ends when both streams have."""

import argparse
import socket

from pyeno.cli.authentication import Authenticate, authentication_from
from pyeno.cli.options import add_config_arguments, config_from, far_address, seconds
from pyeno.cli.session import Session, stdio
from pyeno.config import Config
from pyeno.errors import ABORTING, EncryptionRequiredError
from pyeno.sockets import Socket


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``HOST:PORT`` and the policy."""
    parser.add_argument("address", type=far_address, metavar="HOST:PORT")
    parser.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="for connecting and for each wait"
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--trust-on-first-use", action="store_true",
        help="add the key of a HOST that has none to --known-hosts",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """0 if the peer ended its stream properly."""
    authenticate = authentication_from(options, *options.address)
    session = _open(options, config_from(options), authenticate)
    well = session.run(stdio)
    session.report(options.json)
    return 0 if well else 1


def _open(
    options: argparse.Namespace, config: Config, authenticate: Authenticate | None
) -> Session:
    """Try each address of the host; a connection that fails in its key exchange is
    reported, a host that cannot be reached raises OSError."""
    host, port = options.address
    failure: OSError | None = None
    for family, *_, target in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        sock = Socket(family, socket.SOCK_STREAM, config=config)
        sock.settimeout(options.timeout)
        session = Session(sock, target, authenticate)
        try:
            sock.connect(target)
        except (*ABORTING, EncryptionRequiredError) as error:
            session.failed(error)
        except OSError as error:
            if sock.eno.encrypted:
                session.failed(error)
                return session
            sock.close()
            failure = error
            continue
        return session
    raise failure or OSError(f"{host}: no address found")
