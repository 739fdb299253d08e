"""The TLS TEP, as every TEP is defined: no suboption data, no urgent data, no rekeying
by this host and no resumption.

Importing this costs nothing: OpenSSL comes with the first policy that names the TEP.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyeno._values import Outcome
from pyeno.constants import Tep
from pyeno.tep.definition import Definition

if TYPE_CHECKING:
    from pyeno.config import Config
    from pyeno.tep.interface import TepConnection


@cache
def _connection() -> Any:
    return import_module("pyeno.tls.connection").Connection


@cache
def _lack() -> str | None:
    try:
        from OpenSSL import SSL

        SSL.Connection(SSL.Context(SSL.TLS_METHOD), None).get_group_name()
    except (ImportError, AttributeError, NotImplementedError):
        return (
            "tls needs pyOpenSSL 26.0 or later over OpenSSL 3.2 or later; leave it out, or "
            "pip install 'pyOpenSSL>=26.0' cryptography"
        )
    return None


class Tls(Definition):
    """draft-ietf-tcpinc-use-tls, under TLS 1.3 only."""

    identifier = Tep.TLS
    name = "tls"

    def lack(self) -> str | None:
        return _lack()

    def create(self, outcome: Outcome, config: "Config") -> "TepConnection":
        made: TepConnection = _connection()(outcome, config)
        return made


DEFINITION = Tls()
