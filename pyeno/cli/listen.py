"""Accept TCP connections, encrypted where the peer can.

Without --echo or --sink it serves one connection with standard input and
output, as netcat does."""

import argparse
import contextlib
import sys
import threading
import time

from pyeno.addresses import peer_name
from pyeno.cli.authentication import Authenticate, authentication_from
from pyeno.cli.options import add_config_arguments, address, config_from, family_of
from pyeno.cli.session import Session, echo, sink, stdio
from pyeno.sockets import Socket, create_server

CONNECTIONS_MAX = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``[ADDR:]PORT`` and what to do with connections."""
    parser.add_argument("address", type=address, metavar="[ADDR:]PORT")
    service = parser.add_mutually_exclusive_group()
    service.add_argument("--echo", action="store_true", help="send back what comes in")
    service.add_argument("--sink", action="store_true", help="drop what comes in")
    parser.add_argument("--once", action="store_true", help="end after the first connection")
    add_config_arguments(parser)
    parser.set_defaults(trust_on_first_use=False)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted, or once; 1 if that one connection ended badly."""
    host, port = options.address
    family = family_of(host)
    authenticate = authentication_from(options)
    listener = create_server(
        (host, port),
        family=family,
        dualstack_ipv6=not host and family == family_of(""),
        config=config_from(options),
    )
    with listener:
        if not options.json:
            print(
                f"listening on {peer_name(listener.getsockname())}", file=sys.stderr, flush=True
            )
        if options.once or not (options.echo or options.sink):
            return _serve(options, authenticate, *listener.accept())
        with contextlib.suppress(KeyboardInterrupt):
            _serve_all(options, authenticate, listener)
    return 0


def _serve(
    options: argparse.Namespace, authenticate: Authenticate | None, sock: Socket, peer: object
) -> int:
    service = echo if options.echo else sink if options.sink else stdio
    session = Session(sock, peer, authenticate)
    well = session.run(service)
    session.report(options.json)
    return 0 if well else 1


def _serve_all(
    options: argparse.Namespace, authenticate: Authenticate | None, listener: Socket
) -> None:
    places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def serve(sock: Socket, peer: object) -> None:
        try:
            _serve(options, authenticate, sock, peer)
        finally:
            places.release()

    while True:
        places.acquire()
        try:
            accepted = listener.accept()
        except OSError as error:  # a peer that left, or no descriptor free
            places.release()
            if not options.json:
                print(f"pyeno listen: accept: {error}", file=sys.stderr, flush=True)
            time.sleep(0.1)
            continue
        threading.Thread(target=serve, args=accepted, daemon=True).start()
