"""Where keys are written: the key log and nothing else."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from oracle import frames
from unit.test_connection import pair

from pyeno import Config

# a process that may write to no file at all: not one byte (SIGXFSZ ends it)
SUBJECT = """
import resource, signal, sys
sys.path[:0] = {path}
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
from pyeno import Config
from unit.test_connection import pair
a, b = pair(Config(keylog={keylog!r}))
for _ in range(3):
    a.rekey()
    b.receive_data(a.send(b"data"))
    assert b.read(9) == b"data"
    a.receive_data(b.data_to_send())
    assert a.read(9) == b""
b.receive_data(a.send(b"", fin=True))
assert b.read(9) == b"" and b.finished
a.wipe(), b.wipe()
print("written nowhere")
"""


def run(keylog: str | None) -> "subprocess.CompletedProcess[str]":
    script = SUBJECT.format(path=sys.path, keylog=keylog)
    return subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.rfc("8548:3.3-5", "8548:8-3")
def test_no_secret_is_written_to_storage(tmp_path: Path) -> None:
    """RFC 8548 sections 3.3, 8: keys "SHOULD NOT ever be written to persistent storage"."""
    assert run(None).stdout == "written nowhere\n"
    # the control: writing the log there is noticed
    assert run(str(tmp_path / "log")).returncode < 0


@pytest.mark.rfc("8547:5-6")
def test_logged_keys_open_the_frames(tmp_path: Path) -> None:
    """RFC 8547 section 5: "to extract their own session keys", by the owner alone."""
    path = tmp_path / "log"
    a, b = pair(Config(keylog=path, aeads=["aes-128-gcm"]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = a.send(b"first")
    b.receive_data(sealed)
    a.rekey()
    again = a.send(b"second")
    lines = [line.split() for line in path.read_text().splitlines()]
    assert {(line[0], line[2]) for line in lines} == {("TCPCRYPT", "0001")}
    keys = {(way, int(j)): bytes.fromhex(key) for *_, way, j, key in lines}
    assert keys.keys() == {("ab", 0), ("ba", 0), ("ab", 1)}
    start = 79  # Init1 with one cipher: 4 + 4 + 1 + 2 + 32 + 32, and 4 to spare
    starts = [at for at in range(start - 8, start + 8) if opens(keys["ab", 0], at, sealed)]
    assert len(starts) == 1
    second = frames.open_frame(1, keys["ab", 1], starts[0] + len(sealed), again)
    assert (second.data, second.control) == (b"second", 1)


def opens(key: bytes, offset: int, sealed: bytes) -> bool:
    try:
        return frames.open_frame(1, key, offset, sealed).data == b"first"
    except frames.OracleError:
        return False
