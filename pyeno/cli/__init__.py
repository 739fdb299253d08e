"""The ``pyeno`` command: one module per subcommand.

Exit status: 0 it worked, 1 it failed, 2 wrong usage.
"""

import argparse
import errno
import socket
import sys
from collections.abc import Sequence
from importlib import import_module

from pyeno._version import __version__
from pyeno.errors import ConfigError, PyenoError

COMMANDS = {
    "listen": "accept TCP connections, encrypted where the peer can",
    "connect": "open a TCP connection, encrypted where the peer can",
    "run": "run a program with its TCP encrypted where the peer can (root)",
    "flush": "forget the sessions cached for this user",
    "demo": "show TCP-ENO and tcpcrypt between two network namespaces",
    "bench": "measure pyeno beside plain TCP and TLS on this machine",
    "attach": "load the BPF programs and attach them to a cgroup (root)",
    "detach": "detach and unload them",
    "status": "say whether they are attached, and where",
    "doctor": "say what this host can do, and what mends each lack",
}

ADVICE = {
    socket.EAI_NONAME: "check the name, or write an address",
    errno.ECONNREFUSED: "no program listens there",
    errno.EADDRINUSE: "choose another port, or end the program that listens there",
    errno.EADDRNOTAVAIL: "choose an address of this host, or leave it out",
    errno.EACCES: "ports below 1024 need root: choose a higher one",
}


def parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """The command line; only the wanted command's module is imported."""
    top = argparse.ArgumentParser(
        prog="pyeno",
        description="TCP that encrypts itself: TCP-ENO (RFC 8547) and tcpcrypt (RFC 8548).",
    )
    top.add_argument("--version", action="version", version=f"pyeno {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if name != wanted:
            commands.add_parser(name, help=summary)
            continue
        module = import_module(f"pyeno.cli.{name}")
        sub = commands.add_parser(name, help=summary, description=module.__doc__)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run, error=sub.error)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; errors become one line on standard error."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    wanted = next((word for word in words if word in COMMANDS), None)
    options = argparse.Namespace()
    try:
        _, unknown = parser(wanted).parse_known_args(words, options)
        if unknown:
            options.error(f"unrecognized arguments: {' '.join(unknown)}")
        status: int = options.run(options)
    except ConfigError as error:
        print(f"pyeno {wanted}: {error}", file=sys.stderr)
        return 2
    except (PyenoError, OSError, ImportError) as error:
        print(f"pyeno {wanted}: {_told(error, options)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return status


def _told(error: Exception, options: argparse.Namespace) -> str:
    """What was wrong, where, and what to do; without Python's ``[Errno …]``."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    if isinstance(error, PyenoError):
        return error.strerror
    if error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if "address" not in options:
        return error.strerror
    host, port = options.address
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}" if host else f"port {port}"
    advice = ADVICE.get(error.errno or 0)
    return f"{where}: {error.strerror}" + (f"; {advice}" if advice else "")
