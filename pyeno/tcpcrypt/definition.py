"""tcpcrypt's four TEPs, as every TEP is defined (RFC 8548 section 7, table 4).

Importing this costs nothing: their connections come with the first one.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyeno._values import Outcome
from pyeno.constants import Role, Tep
from pyeno.tep.definition import Definition

if TYPE_CHECKING:
    from pyeno.config import Config
    from pyeno.tep.interface import TepConnection


@cache
def _connection() -> Any:
    return import_module("pyeno.tcpcrypt.connection").Connection


class Tcpcrypt(Definition):
    """One key-agreement scheme of tcpcrypt."""

    urgent = rekeys = resumes = True

    def __init__(self, identifier: Tep, name: str) -> None:
        self.identifier = identifier
        self.name = name

    def suboption(self, config: "Config", role: Role) -> bytes | None:
        return None  # resumption suboptions are the kernel half's

    def lack(self) -> str | None:
        from pyeno._crypto import has_curve

        if has_curve(self.identifier):
            return None
        return (
            f"{self.provider()} cannot compute {self.name} here; leave it "
            "out, or pip install --force-reinstall cryptography"
        )

    def provider(self) -> str:
        from pyeno._crypto import agreement_provider

        return agreement_provider(self.identifier)

    def create(self, outcome: Outcome, config: "Config") -> "TepConnection":
        made: TepConnection = _connection()(outcome, config)
        return made


DEFINITIONS = (
    Tcpcrypt(Tep.TCPCRYPT_ECDHE_P256, "p256"),  # [8548:5-14]
    Tcpcrypt(Tep.TCPCRYPT_ECDHE_P521, "p521"),  # [8548:5-15]
    Tcpcrypt(Tep.TCPCRYPT_ECDHE_Curve25519, "curve25519"),
    Tcpcrypt(Tep.TCPCRYPT_ECDHE_Curve448, "curve448"),  # [8548:5-13, 8.3-1]
)
