"""Forward secrecy of the key exchange: private keys and ES are gone from the whole process.

RFC 8548 section 3.3 has ES used once; the process that exchanged keys is looked
through from outside, by somebody who gave it its private keys.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle.scheme import SCHEMES
from wire import memory

import pyeno

SUBJECT = Path(__file__).with_name("agreement_subject.py")
MANY = 50


class Subject:
    """The process, and every secret it has had, in both byte orders."""

    def __init__(self) -> None:
        reader, self._writer = os.pipe()
        # the package under test may be installed elsewhere than the tests
        path = str(Path(pyeno.__file__).parents[1])
        # AddressSanitizer keeps what was freed; so that nothing is in it
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":max_free_fill_size=65536"
        self._process = subprocess.Popen(
            [sys.executable, str(SUBJECT), str(reader)], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[reader],
            env=os.environ
            | {"PYENO_BACKEND": "native", "PYTHONPATH": path, "ASAN_OPTIONS": sanitizer},
        )  # fmt: skip
        os.close(reader)
        self.private: dict[str, bytes] = {}
        self.shared: dict[str, bytes] = {}

    def give(self, tep: int) -> bytes:
        scheme = SCHEMES[tep]
        key = scheme.private(secrets.token_bytes(scheme.private_len))
        os.write(self._writer, key)
        self.private |= _both_ways(f"private key {len(self.private)} of {scheme.name}", key)
        return key

    def do(self, deed: str, tep: int, count: int) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{deed} {tep} {count}\n")
        for _ in range(count):
            keys = [self.give(tep) for _ in range(1 if deed == "half" else 2)]
            if deed == "whole":
                es = SCHEMES[tep].shared(keys[0], SCHEMES[tep].public(keys[1]))
                name = f"ES {len(self.shared)} of {SCHEMES[tep].name}"
                self.shared |= _both_ways(name, es)
        assert self._process.stdout.readline() == "done\n"

    def found(self) -> dict[str, set[str]]:
        return memory.found(self._process.pid, self.private | self.shared)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        os.close(self._writer)


def _both_ways(name: str, secret: bytes) -> dict[str, bytes]:
    """OpenSSL's numbers have their last byte first."""
    return {name: secret, f"{name}, reversed": secret[::-1]}


@pytest.fixture(scope="module")
def subject() -> Iterator[Subject]:
    subject = Subject()
    try:
        yield subject
    finally:
        subject.close()


every_tep = pytest.mark.parametrize("tep", SCHEMES, ids=lambda tep: SCHEMES[tep].name)


@every_tep
def test_nothing_is_left(subject: Subject, tep: int) -> None:
    """After one key exchange and one that fails, and after many."""
    for count in 1, MANY:
        subject.do("whole", tep, count)
        subject.do("refused", tep, count)
        left = subject.found()
        assert not left, "\n".join(f"{name} at {places}" for name, places in left.items())


def test_what_is_needed_is_found() -> None:
    """Host A's private keys until Init2 comes: the search is not blind."""
    subject = Subject()
    try:
        for tep in SCHEMES:
            subject.do("half", tep, 1)
        names = " ".join(subject.found())
        assert all(f"of {scheme.name}" in names for scheme in SCHEMES.values()), names
    finally:
        subject.close()


@every_tep
def test_the_allocator_hands_out_no_secret(tep: int) -> None:
    """OpenSSL frees two copies of a P-256 or P-521 scalar as they are.

    In a process of its own: where its allocator has merged what was freed with its
    neighbours nobody can take it back (``wipe_freed()`` of ext/core/wipe.h).
    """
    paths = [str(Path(pyeno.__file__).parents[1]), str(SUBJECT.parents[1])]
    done = subprocess.run(
        [sys.executable, str(SUBJECT.with_name("agreement_allocator.py")), str(tep)],
        env=os.environ | {"PYENO_BACKEND": "native", "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
