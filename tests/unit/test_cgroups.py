"""pyeno's own cgroups, in a directory that plays cgroup2."""

import os
from pathlib import Path

import pytest

from pyeno import cgroups, mounts
from pyeno.errors import KernelError


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mounts, "cgroup_root", lambda: tmp_path)
    monkeypatch.setattr(mounts, "own_cgroup", lambda: tmp_path / "session")
    return tmp_path


def test_made_below_the_cgroup_of_this_process(root: Path) -> None:
    (root / "session").mkdir()
    made = cgroups.create("run")
    assert made == root / "session" / f"pyeno-run-{os.getpid()}" and made.is_dir()
    assert cgroups.create("run") == made


def test_outside_of_what_is_mounted_the_root_will_do(root: Path) -> None:
    """A container whose cgroup2 shows another tree."""
    assert cgroups.home() == root


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (PermissionError(13, "Permission denied"), "as root, or in a cgroup that was"),
        (OSError(30, "Read-only file system"), "mount it read-write"),
        (OSError(11, "Resource temporarily unavailable"), "cgroup.max.descendants"),
        (OSError(5, "Input/output error"), "'pyeno doctor'"),
    ],
)
def test_what_mends_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, says: str
) -> None:
    def mkdir(self: Path, **_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(KernelError, match="cannot make the cgroup") as refused:
        cgroups.create("run")
    assert says in str(refused.value) and refused.value.errno == error.errno


def test_entering_one_that_is_gone(root: Path) -> None:
    with pytest.raises(KernelError, match="cannot enter the cgroup"):
        cgroups.enter(root / "no-such")


def test_sweep_takes_what_is_dead_and_empty(root: Path) -> None:
    dead = 2**22 + 1  # above the largest process id
    left = root / "a" / f"pyeno-run-{dead}"
    inner = left / "made by the program"
    alive = root / f"pyeno-run-{os.getpid()}"
    foreign = root / f"pyeno-other-{dead}"
    for path in (inner, alive, foreign):
        path.mkdir(parents=True)
    assert cgroups.sweep() == [left]
    assert not left.exists() and alive.exists() and foreign.exists()


def test_one_that_is_lived_in_stays(root: Path) -> None:
    left = root / f"pyeno-relay-{2**22 + 1}"
    left.mkdir()
    (left / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    assert cgroups.populated(left)
    assert cgroups.sweep() == [] and left.exists()
    (left / "cgroup.events").unlink()
    assert not cgroups.populated(left) and cgroups.remove(left) and cgroups.remove(left)


def test_a_zombie_is_dead() -> None:
    """Its parent, perhaps a container's first process, may never ask for it."""
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert Path(f"/proc/{child}").exists() and not cgroups.alive(child)
    os.waitpid(child, 0)
    assert cgroups.alive(os.getpid())
