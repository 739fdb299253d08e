"""The ``pyeno`` command: one module per subcommand.

Exit status: 0 it worked, 1 it failed, 2 wrong usage.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from pyeno._version import __version__
from pyeno.errors import ConfigError, PyenoError

COMMANDS = {
    "listen": "accept TCP connections, encrypted where the peer can",
    "connect": "open a TCP connection, encrypted where the peer can",
    "demo": "show TCP-ENO and tcpcrypt between two network namespaces",
    "attach": "load the BPF programs and attach them to a cgroup (root)",
    "detach": "detach and unload them",
    "status": "say whether they are attached, and where",
    "doctor": "say what this host can do, and what mends each lack",
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
        sub.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand; errors become one line on standard error."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = parser(next((word for word in words if word in COMMANDS), None)).parse_args(words)
    try:
        status: int = options.run(options)
    except ConfigError as error:
        print(f"pyeno {options.command}: {error}", file=sys.stderr)
        return 2
    except (PyenoError, OSError) as error:
        print(f"pyeno {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 1
    return status
