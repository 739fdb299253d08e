"""Public keys pinned to names, in a file like OpenSSH's known_hosts.

    # comment
    host.example,10.69.0.2       ssh-ed25519 AAAAC3… comment
    [host.example]:7000          ssh-ed25519 AAAAC3…
    host.example                 ecdsa-sha2-nistp256 AAAAE2…

Ed25519 keys are of those who prove them over the connection, ECDSA's of TLS.
A name with a port is for that port alone, and there takes the place of the lines
without one.  Several lines for a name: any of their keys will do.  What OpenSSH
has beside (hashed names, patterns, markers, other algorithms) is refused, not
skipped: a line that was meant to revoke a key must not be lost.
"""

import contextlib
import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Final, NamedTuple

from pyeno.auth.errors import ChangedKeyError, KnownHostsError, UnknownKeyError
from pyeno.auth.keys import ALGORITHM, ALGORITHMS, encode_public, fingerprint, parse_public
from pyeno.errors import ConfigError

_NAME: Final = re.compile(r"[^\s,#@\[\]|*?!]+")
_NAMED: Final = re.compile(rf"\[({_NAME.pattern})\]:(\d+)|({_NAME.pattern})")
_PORT_MAX: Final = 65535


class Entry(NamedTuple):
    """One name of one line."""

    name: str
    """in lower case, as ``[name]:port`` where a port is given"""
    key: bytes
    line: int


def label(name: str, port: int | None = None) -> str:
    """A name as the file has it; raises ConfigError."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"name: {name!r}; allowed: a host's name or address, without spaces, commas, "
            "brackets, wildcards"
        )
    if port is None:
        return name.lower()
    if not 1 <= port <= _PORT_MAX:
        raise ConfigError(f"port: {port}; allowed: 1 to {_PORT_MAX}")
    return f"[{name.lower()}]:{port}"


class KnownHosts:
    """The file ``path``; one that does not exist has no lines."""

    def __init__(self, path: str | PathLike[str]) -> None:
        # what a symbolic link leads to is what gets replaced
        self.path = os.path.realpath(path)

    def __repr__(self) -> str:
        return f"<KnownHosts {self.path}>"

    def entries(self) -> list[Entry]:
        """Every name of every line; raises KnownHostsError, OSError."""
        return list(self._parse(self._read()))

    def name_of(self, key: bytes) -> str:
        """The first name that ``key`` is pinned to; raises UnknownKeyError."""
        for entry in self.entries():
            if entry.key == key:
                return entry.name
        raise UnknownKeyError(
            f"{self.path}: the peer's key {fingerprint(key)} is pinned to no name; if it may "
            f"connect, add the line 'NAME {encode_public(key)}'; connection reset",
            fingerprint(key),
        )

    def check(self, key: bytes, name: str, port: int | None = None) -> None:
        """Whether ``key`` is this name's.

        Raises UnknownKeyError where no key is pinned for it, ChangedKeyError where
        another is.
        """
        wanted, entries = label(name, port), self.entries()
        for each in (wanted, label(name)):
            # a host may have a key of each algorithm; who wants to know one takes no other
            alike = [entry for entry in entries if len(entry.key) == len(key)]
            pinned = [entry for entry in alike if entry.name == each]
            if any(entry.key == key for entry in pinned):
                return
            if pinned:
                raise self._changed(key, pinned[0])
        raise UnknownKeyError(
            f"{self.path}: no key is pinned for {wanted}; the peer's is {fingerprint(key)}: "
            f"if that is right, add the line '{wanted} {encode_public(key)}'; connection reset",
            fingerprint(key),
        )

    def add(self, key: bytes, name: str, port: int | None = None) -> None:
        """Pin ``key`` to the name, unless it is already.

        Whoever else writes waits; who reads sees the old file or the new one.
        Raises ChangedKeyError where another key was pinned meanwhile, OSError.
        """
        with self._locked():
            try:
                self.check(key, name, port)
            except UnknownKeyError:
                old = self._read()
                end = b"" if not old or old.endswith(b"\n") else b"\n"
                line = f"{label(name, port)} {encode_public(key)}\n"
                self._replace(old + end + line.encode())

    def _changed(self, key: bytes, entry: Entry) -> ChangedKeyError:
        return ChangedKeyError(
            f"{self.path}, line {entry.line}: the key pinned for {entry.name} is "
            f"{fingerprint(entry.key)}, the peer's is {fingerprint(key)}: somebody may be in "
            "the middle; if the key was changed on purpose, change that line; connection reset",
            fingerprint(key),
            self.path,
            entry.line,
        )

    # -- lines -------------------------------------------------------------------

    def _parse(self, data: bytes) -> Iterator[Entry]:
        for number, raw in enumerate(data.split(b"\n"), 1):
            try:
                text = raw.decode().strip()
                if text and not text.startswith("#"):
                    yield from self._entries_of(text, number)
            except UnicodeDecodeError:
                raise KnownHostsError("not UTF-8", self.path, number) from None
            except ValueError as error:
                raise KnownHostsError(str(error), self.path, number) from None

    @staticmethod
    def _entries_of(text: str, number: int) -> Iterator[Entry]:
        names, *rest = text.split(None, 3)
        if len(rest) < 2:
            raise ValueError(f"{len(rest) + 1} fields; write: NAMES {ALGORITHM} KEY [COMMENT]")
        if names.startswith("@"):
            raise ValueError(f"the marker {names} means nothing here; remove the line")
        if rest[0] not in ALGORITHMS:
            raise ValueError(f"field 2 is {rest[0]!r}; allowed: {', '.join(ALGORITHMS)}")
        try:
            key = parse_public(f"{rest[0]} {rest[1]}")
        except ValueError as error:
            raise ValueError(f"field 3 is {error}") from None
        for each in names.split(","):
            found = _NAMED.fullmatch(each)
            if not found or (found[2] and not 1 <= int(found[2]) <= _PORT_MAX):
                raise ValueError(
                    f"field 1: {each!r}; write NAME or [NAME]:PORT, several with commas "
                    "between; no patterns, no hashed names"
                )
            yield Entry(each.lower(), key, number)

    # -- the file ------------------------------------------------------------------

    def _read(self) -> bytes:
        try:
            with open(self.path, "rb") as file:  # noqa: PTH123
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o022:
                    raise KnownHostsError(
                        f"others may write to it (mode {mode:04o}): chmod 600 {self.path}",
                        self.path,
                    )
                return file.read()
        except FileNotFoundError:
            return b""

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """A file of its own, since the other one is replaced."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, data: bytes) -> None:
        path = Path(self.path)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123
                os.fchmod(descriptor, 0o600)
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
