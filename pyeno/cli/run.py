"""Run a program with its TCP encrypted where the peer can (root).

The program, and all that it starts, runs as ever: what it connects to, and who
connects to it, goes through a relay that negotiates ENO.  Peers without ENO are
talked to in plain TCP. Exit status: the program's own; 126 or 127 if it cannot be
started."""

import argparse
import errno
import itertools
import json
import signal
import sys
from typing import Any

from pyeno import inprocess
from pyeno.cli.options import add_choice_arguments, policy_from
from pyeno.errors import ConfigError, KernelError
from pyeno.policy import parse_ports
from pyeno.relay import SECURE_PORTS, Record, Relay, Settings
from pyeno.relay.attachment import BPFFS
from pyeno.relay.attendance import Attendance
from pyeno.relay.launch import Parent, account, launch
from pyeno.relay.records import address_text

PRIVILEGE = (
    "(the relay needs root, or CAP_BPF, CAP_NET_ADMIN and CAP_NET_RAW; the program does not: "
    "sudo pyeno run --user NAME)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The policy, and the program."""
    parser.usage = "pyeno run [OPTIONS] -- PROGRAM [ARGUMENT ...]"
    add_choice_arguments(parser.add_argument_group("encryption"))
    what = parser.add_argument_group("what is relayed")
    ways = what.add_mutually_exclusive_group()
    ways.add_argument(
        "--outbound-only", action="store_true", help="not those who connect to the program"
    )
    ways.add_argument(
        "--inbound-only", action="store_true", help="not what the program connects to"
    )
    ports = ", ".join(map(str, sorted(SECURE_PORTS)))
    what.add_argument(
        "--skip-port", action="append", metavar="N,…",
        help=f"leave these ports alone, beside those of protocols that encrypt: {ports}",
    )  # fmt: skip
    what.add_argument(
        "--no-skip-ports", action="store_true", help="leave only those of --skip-port alone"
    )
    parser.add_argument(
        "--in-process", action="store_true",
        help="a Python program: its own sockets encrypt, without a relay (no root)",
    )  # fmt: skip
    parser.add_argument(
        "--fail", choices=("open", "closed"), default="open",
        help="if the relay is killed, new connections go without it, or fail (default open)",
    )  # fmt: skip
    parser.add_argument("--user", metavar="NAME", help="run the program as this user")
    parser.add_argument(
        "--end-with-command", action="store_true",
        help="serve no daemons that the program leaves behind",
    )  # fmt: skip
    parser.add_argument(
        "--stats", action="store_true", help="at the end, print what all connections add up to"
    )
    parser.add_argument(
        "--json", action="store_true",
        help="print one object per connection on standard error when it ends",
    )  # fmt: skip
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    parser.set_defaults(app_aware=False, session_scope="")


def settings_from(options: argparse.Namespace) -> Settings:
    """All but the cgroup; raises ConfigError (exit status 2)."""
    given = map(parse_ports, options.skip_port or ())
    ports = frozenset(itertools.chain.from_iterable(given))
    return Settings(
        config=policy_from(options),
        outbound=not options.inbound_only,
        inbound=not options.outbound_only,
        skip_ports=ports if options.no_skip_ports else ports | SECURE_PORTS,
        fail=options.fail,
    )


def run(options: argparse.Namespace) -> int:
    """Becomes the program; returns only if there is no such program."""
    command = options.program[options.program[:1] == ["--"] :]
    if not command:
        raise ConfigError("no program: write pyeno run [OPTIONS] -- PROGRAM [ARGUMENT ...]")
    settings = settings_from(options)
    if options.in_process:
        _refuse_relay_options(options)
        inprocess.launch(command, settings.config, inprocess.Rules(settings.skip_ports))
    user = None if options.user is None else account(options.user)
    try:
        return launch(command, lambda parent: serve(parent, settings, options), user)
    except KernelError as error:
        if error.errno in (errno.EPERM, errno.EACCES):
            raise KernelError(error.errno, f"{error.strerror} {PRIVILEGE}") from None
        raise


def _refuse_relay_options(options: argparse.Namespace) -> None:
    """What says how to relay means nothing without a relay."""
    given = {
        "--outbound-only": options.outbound_only, "--inbound-only": options.inbound_only,
        "--fail closed": options.fail == "closed", "--user": options.user,
        "--end-with-command": options.end_with_command, "--stats": options.stats,
        "--json": options.json,
    }  # fmt: skip
    for name, value in given.items():
        if value:
            raise ConfigError(f"{name}: there is no relay with --in-process; leave it out")


def serve(parent: Parent, settings: Settings, options: argparse.Namespace) -> None:
    """The relay's process: until the program, and all that it started, has ended."""
    teller = Teller(options.json)
    here = settings.but(cgroups=(parent.cgroup,), pin=BPFFS / parent.cgroup.name)
    with Relay(here, teller) as relay:
        attendance = Attendance(
            parent, relay.loop, relay.stop,
            idle=lambda: not relay.connections(),
            keep_stderr=options.stats or options.json,
            end_with_command=options.end_with_command,
        )  # fmt: skip
        teller.look = attendance.look
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: relay.stop())
        parent.ready()
        relay.run()
        attendance.close()
    if options.stats:
        tell_sums(relay.counters(), options.json)


class Teller:
    """Says on standard error what people should know of connections."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self.look: Any = lambda: None

    def opened(self, record: Record) -> None:
        """Nothing to be told yet."""

    def ended(self, record: Record) -> None:
        if self._json:
            say(json.dumps(record.as_dict()))
        elif record.error and not record.errno:  # what an errno says, the program knows
            say(f"pyeno run: {address_text(record.peer)}: {record.error}")
        self.look()


def tell_sums(counters: dict[str, Any], as_json: bool) -> None:
    """One line: as JSON, or in words."""
    if as_json:
        say(json.dumps(counters))
        return
    reasons = [f"{count} {reason}" for reason, count in counters["reasons"].items()]
    refused = [f"{count} {why}" for why, count in counters["refused"].items()]
    say(
        f"pyeno run: {counters['encrypted']} encrypted ({counters['resumed']} resumed), "
        f"{counters['plain']} plain ({', '.join(reasons) or 'none'}), "
        f"{sum(counters['refused'].values())} failed ({', '.join(refused) or 'none'}); "
        f"{counters['bytes_out']} bytes out, {counters['bytes_in']} in"
    )


def say(line: str) -> None:
    """One write, so that lines of the program do not come between."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
