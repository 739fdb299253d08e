"""Relay the TCP of whole cgroups, encrypted where the peer can: a service (root).

What is relayed, and how, is said in the configuration file; SIGHUP takes it
again without ending a connection. For one command there is `pyeno run`."""

import argparse
import re
import sys
from importlib.resources import files
from pathlib import Path

from pyeno.relay import configfile

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the configuration is; or what else is wanted."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="TOML; see --example")
    parser.add_argument(
        "--name", type=_name, help="for 'pyeno status' (default: FILE's, without .toml)"
    )
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument("--check", action="store_true", help="only check FILE")
    instead.add_argument(
        "--example", action="store_true", help="print a configuration with every key"
    )
    instead.add_argument("--unit", action="store_true", help="print a systemd unit")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}: write letters, digits, _ and -")
    return text


def run(options: argparse.Namespace) -> int:
    """0 once it was told to end; at once with the other options."""
    if options.example:
        print(packaged("relay.toml"), end="")
        return 0
    if options.unit:
        print(unit(), end="")
        return 0
    if options.config is None:
        options.error("--config FILE: missing; 'pyeno relay --example' prints one")
    if options.check:
        configfile.load(options.config)
        return 0
    from pyeno.relay.service import Service

    Service(options.config, options.name).run()
    return 0


def packaged(name: str) -> str:
    """A file that came with pyeno."""
    return (files("pyeno.relay") / name).read_text("utf-8")


def unit() -> str:
    """With the path of this very command."""
    here = Path(sys.executable).with_name("pyeno")
    return packaged("pyeno-relay.service").replace("@PYENO@", str(here))
