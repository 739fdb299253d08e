"""Load the BPF programs and attach them to a cgroup (root).

Once attached, unprivileged programs in that cgroup use ENO, until `pyeno
detach` or the next boot.  Attaching again changes what the host's policy is
given below, and nothing else."""

import argparse
import itertools
import sys

from pyeno import attach, entropy
from pyeno.cli.status import show
from pyeno.policy import Changes, parse_ports, parse_syns, parse_teps


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("--cgroup", metavar="PATH", help="a cgroup2 (default: its root)")
    parser.add_argument("--pin", metavar="DIR", default=attach.PIN, help="a bpffs directory")
    parser.add_argument("--json", action="store_true", help="report as one JSON object")
    _add_policy_arguments(parser)


def _add_policy_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "host policy", "binding for every process; what is not given stays as it is"
    )
    switch = argparse.BooleanOptionalAction
    group.add_argument("--connect", action=switch, help="offer ENO when connecting")
    group.add_argument("--listen", action=switch, help="answer ENO when listening")
    group.add_argument("--teps", metavar="ID,…", help="negotiate these TEPs only, or 'all'")
    group.add_argument(
        "--syns", metavar="N", help="offer ENO in N SYNs, then try without (default 3; 0: all)"
    )
    ports = group.add_mutually_exclusive_group()
    ports.add_argument(
        "--skip-port", action="append", metavar="N,…",
        help="no ENO to and on these ports; replaces those given before",
    )  # fmt: skip
    ports.add_argument("--no-skip-ports", action="store_true", help="skip no port any more")


def changes_from(options: argparse.Namespace) -> Changes:
    """The fields of the policy that were given; ConfigError (exit status 2)."""
    changes: Changes = {}
    if options.connect is not None:
        changes["connect"] = options.connect
    if options.listen is not None:
        changes["listen"] = options.listen
    if options.teps is not None:
        changes["teps"] = parse_teps(options.teps)
    if options.syns is not None:
        changes["syns"] = parse_syns(options.syns)
    if options.skip_port or options.no_skip_ports:
        lists = map(parse_ports, options.skip_port or ())
        changes["skip_ports"] = tuple(itertools.chain.from_iterable(lists))
    return changes


def run(options: argparse.Namespace) -> int:
    """0 once attached, also if it was so before."""
    changes = changes_from(options)
    if not entropy.ready():
        why = "waiting for the kernel's random generator (RFC 8547 section 10)"
        print(f"pyeno attach: {why}", file=sys.stderr, flush=True)
    show(attach.attach(options.cgroup, options.pin, changes=changes), options.json)
    return 0
