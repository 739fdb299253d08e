"""What a benchmark needs of this host, and the one command that mends a lack."""

import os
import shutil

from pyeno import doctor
from pyeno.demo.hosts import eno_attached
from pyeno.demo.needs import Lack


def lack(veth: bool) -> Lack | None:
    """The first thing that is missing; None: it can be held."""
    root = os.geteuid() == 0
    if veth and not root:
        detail = "not root: network namespaces need it"
        return Lack("root", detail, doctor.command("bench --veth"))
    if veth and not shutil.which("ip"):
        return Lack("ip", "no ip(8)", "apt install iproute2")
    if doctor.covered():
        return None
    if eno_attached():
        detail = "another version of pyeno's BPF programs is attached"
        mend = f"{doctor.command('detach')} && {doctor.command('attach')}"
        return Lack("version", detail, mend)
    if not root:
        detail = "ENO is not attached for this process, and only root can attach it"
        return Lack("attached", detail, doctor.command("attach"))
    return None
