"""Forget the sessions the kernel caches for this user.

Those of connections under the policy the arguments mean (as for `pyeno
connect`), or all. Open connections live on; the next ones exchange fresh keys."""

import argparse
import sys

from pyeno.cli.options import add_policy_arguments, policy_from
from pyeno.sockets import flush_sessions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which."""
    add_policy_arguments(parser.add_argument_group("policy"))
    parser.add_argument(
        "--everything",
        action="store_true",
        help="of whatever policy, in this network namespace",
    )


def run(options: argparse.Namespace) -> int:
    """0 once there are none; 1 where nothing is attached."""
    if flush_sessions(policy_from(options), everything=options.everything):
        return 0
    print(
        "pyeno flush: nothing is attached for this process, so it has no session cache; "
        "run it where ENO works ('pyeno doctor' tells)",
        file=sys.stderr,
    )
    return 1
