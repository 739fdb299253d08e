"""Say what this host can do for TCP-ENO, and the one command that mends each lack."""

import argparse
import json

from pyeno import doctor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How to report."""
    parser.add_argument("--json", action="store_true", help="report as a JSON list")


def run(options: argparse.Namespace) -> int:
    """0 if encrypted connections can be made from here, now."""
    checks = doctor.examine()
    if options.json:
        print(json.dumps([check._asdict() for check in checks]))
    else:
        for check in checks:
            print(f"{'ok ' if check.ok else 'NO '} {check.name:<14} {check.detail}")
            if not check.ok and check.remedy:
                print(f"    {'':<14} mend: {check.remedy}")
    return 0 if all(check.ok for check in checks) else 1
