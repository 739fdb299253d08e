"""Loading, attaching, finding again, detaching."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wire.conftest import Attached, move_to
from wire.netns import PREFIX

from pyeno import attach, doctor, kernel, mounts
from pyeno._native import kernel as native
from pyeno.constants import Reason, State
from pyeno.errors import KernelError

pytestmark = pytest.mark.wire


def test_status_says_what_is_attached(attached: Attached) -> None:
    status = attach.status(str(attached.pin))
    assert status.attached and status.cgroup == str(attached.cgroup)
    assert status.abi == kernel.ABI_VERSION == native.ABI_VERSION
    assert [p.name for p in status.programs] == list(native.program_names())
    assert all(p.id and len(p.tag) == 16 for p in status.programs)
    assert status.kernel == os.uname().release
    as_dict = status.as_dict()
    assert as_dict["programs"][0]["name"] == "eno_ingress"


def test_attaching_twice_changes_nothing(attached: Attached) -> None:
    before = attach.status(str(attached.pin))
    again = attach.attach(str(attached.cgroup), str(attached.pin))
    assert again.attached and again.current and "already attached" in again.detail
    assert again.programs == before.programs
    assert attach.status(str(attached.pin)) == before


def test_it_outlives_the_process_and_leaves_nothing(elsewhere: tuple[Path, Path]) -> None:
    path, pin = elsewhere
    code = f"from pyeno import attach; print(attach.attach({str(path)!r}, {str(pin)!r}).detail)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert f"attached to {path}" in done.stdout
    programs = {p.id for p in attach.status(str(pin)).programs}
    assert len(programs) == len(native.program_names()) == 5
    assert attached_ids(path) == programs
    gone = attach.detach(str(pin))
    assert not gone.attached and str(path) in gone.detail
    assert not pin.exists() and not attached_ids(path)
    assert "nothing was attached" in attach.detach(str(pin)).detail
    assert not attach.status(str(pin)).attached


def attached_ids(cgroup: Path) -> set[int]:
    fd = os.open(cgroup, os.O_RDONLY)
    try:
        return {i for k in range(5) for i in native.query(k, fd, False)}
    finally:
        os.close(fd)


def test_sockets_follow_the_cgroup_they_were_made_in(
    attached: Attached, elsewhere: tuple[Path, Path]
) -> None:
    path, pin = elsewhere
    move_to(path)
    try:
        sock = socket.socket()
    finally:
        move_to(attached.cgroup)
    with sock:
        assert not kernel.configure(sock, teps=b"\x23")
        assert kernel.version(sock) is None
        result = kernel.result(sock)
        assert (result.state, result.reason) == (State.OFF, Reason.UNAVAILABLE)
        attach.attach(str(path), str(pin))
        assert kernel.configure(sock, teps=b"\x23")
        assert kernel.version(sock) == kernel.ABI_VERSION
        attach.detach(str(pin))
        assert not kernel.configure(sock, teps=b"\x23")


def test_a_second_pin_directory_is_refused(attached: Attached) -> None:
    """Above, at, or below: the same socket would be seen twice."""
    pin = f"{attached.pin}-second"
    below = attached.cgroup / "below"
    below.mkdir()
    try:
        for place in (attached.cgroup, below, mounts.cgroup_root()):
            with pytest.raises(KernelError, match="pinned elsewhere") as error:
                attach.attach(str(place), pin)
            assert error.value.errno == errno.EEXIST
            assert not Path(pin).exists()
    finally:
        below.rmdir()


def test_another_cgroup_is_refused(attached: Attached, elsewhere: tuple[Path, Path]) -> None:
    with pytest.raises(KernelError, match="already attached to") as error:
        attach.attach(str(elsewhere[0]), str(attached.pin))
    there = attach.status(str(attached.pin)).cgroup
    assert f"to change its policy add --cgroup {there};" in str(error.value)


class Other:
    """The loader of another version: its programs' tags differ."""

    def __getattr__(self, name: str) -> Any:
        return getattr(native, name)

    def load_program(self, index: int, btf: int, maps: list[int]) -> int:
        swapped = {3: 4, 4: 3}.get(index, index)  # getsockopt, setsockopt
        return native.load_program(swapped, btf, maps)


def test_another_version_is_refused(
    attached: Attached, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attach, "_native", Other)
    with pytest.raises(KernelError, match="another version"):
        attach.attach(str(attached.cgroup), str(attached.pin))
    monkeypatch.undo()
    assert attach.status(str(attached.pin)).programs == attached.status.programs


class Failing(Other):
    """Fails at the n-th call of one function."""

    def __init__(self, name: str, calls: int) -> None:
        self.name, self.calls = name, calls

    def __getattr__(self, name: str) -> Any:
        if name == self.name:
            self.calls -= 1
            if self.calls < 0:
                raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return getattr(native, name)

    def load_program(self, index: int, btf: int, maps: list[int]) -> int:
        return native.load_program(index, btf, maps)


@pytest.mark.parametrize(
    ("name", "calls"),
    [
        ("create_map", 3),
        ("pin", 0),
        ("pin", 7),
        ("create_link", 0),
        ("create_link", 4),
        ("pin", 17),
        ("write_map", 0),
        ("write_map", 1),
    ],
)
def test_failure_midway_leaves_nothing(
    elsewhere: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, name: str, calls: int
) -> None:
    path, pin = elsewhere
    fds = len(list(Path("/proc/self/fd").iterdir()))
    failing = Failing(name, calls)
    monkeypatch.setattr(attach, "_native", lambda: failing)
    with pytest.raises(KernelError, match="Cannot allocate memory"):
        attach.attach(str(path), str(pin))
    assert not pin.exists() and not attached_ids(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == fds


def test_what_a_killed_attach_left_is_replaced(elsewhere: tuple[Path, Path]) -> None:
    path, pin = elsewhere
    attach.attach(str(path), str(pin))
    (pin / "links" / "eno_setsockopt").unlink()
    assert "incomplete" in attach.status(str(pin)).detail
    assert attach.attach(str(path), str(pin)).attached
    assert attach.status(str(pin)).attached


def test_a_removed_cgroup_is_noticed(elsewhere: tuple[Path, Path]) -> None:
    path, pin = elsewhere
    attach.attach(str(path), str(pin))
    path.rmdir()
    try:
        status = attach.status(str(pin))
        assert not status.attached and "gone" in status.detail
    finally:
        path.mkdir()


def test_wrong_places(cgroup: Path, tmp_path: Path) -> None:
    with pytest.raises(KernelError, match="no cgroup2 directory"):
        attach.attach(str(tmp_path))
    with pytest.raises(KernelError, match="not in a bpffs"):
        attach.attach(str(cgroup), str(tmp_path / "pin"))


def test_without_privilege(cgroup: Path) -> None:
    """An unprivileged user is told what is missing; nothing is left behind."""
    pin = f"/sys/fs/bpf/{PREFIX}-{os.getpid()}-none"
    code = (
        "import os; from pyeno import attach; from pyeno.errors import KernelError\n"
        "from pyeno._native import kernel\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n"
        f"    attach.attach({str(cgroup)!r}, {pin!r})\n"
        "except KernelError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    assert "as root" in done.stdout and "CAP_BPF" in done.stdout


def test_doctor_sees_the_attachment(attached: Attached, elsewhere: tuple[Path, Path]) -> None:
    checks = {c.name: c for c in doctor.examine()}
    assert checks["this process"].ok and str(attached.cgroup) in checks["this process"].detail
    assert checks["attached"].ok and checks["capabilities"].ok and checks["kernel"].ok
    move_to(elsewhere[0])
    try:
        checks = {c.name: c for c in doctor.examine()}
    finally:
        move_to(attached.cgroup)
    assert not checks["this process"].ok
    assert checks["this process"].remedy == doctor.command("attach")
    assert all(c.ok or c.remedy for c in checks.values())


def test_doctor_names_an_old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    for release, ok, words in (
        ("5.10.0-8-amd64", False, "5.18"),
        ("6.1.0-18-amd64", True, "before listen"),
        ("6.12.1", True, "before or after"),
    ):
        monkeypatch.setattr(doctor.platform, "release", lambda r=release: r)
        check = next(c for c in doctor.examine() if c.name == "kernel")
        assert check.ok is ok and words in check.detail
