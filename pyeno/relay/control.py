"""How other commands ask a running relay: a socket in /run/pyeno, root's only.

One connection, one question, one answer: a JSON string and a JSON value, a line
each.  Whoever answers is alive; a socket nobody answers was left by a relay that
was killed, and is removed by whoever finds it.
"""

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pyeno.errors import KernelError

DIRECTORY: Final = Path("/run/pyeno")
QUESTION_MAX: Final = 256
SECONDS: Final = 2.0
"""for whoever asks, and for each wait of who answers"""
_CHUNK: Final = 1 << 16

Answers = Mapping[str, Callable[[], Any]]
"""by question"""


@contextlib.contextmanager
def answering(name: str, answers: Answers, directory: Path | None = None) -> Iterator[Path]:
    """Answer questions, in a thread, under that name.

    Raises KernelError if a relay of that name runs already, or the directory cannot
    be written.
    """
    path = (directory or DIRECTORY) / f"{name}.sock"
    with _listening(path) as listener:
        thread = threading.Thread(
            target=_serve, args=(listener, answers), name="pyeno-control", daemon=True
        )
        thread.start()
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)
            listener.shutdown(socket.SHUT_RDWR)  # ends the thread's accept()
            thread.join()


@contextlib.contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with _alone(path.parent), contextlib.ExitStack() as stack:
            sock = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            _clear(path)
            os.fchmod(sock.fileno(), 0o600)  # bind() makes the file with this mode
            sock.bind(os.fspath(path))
            sock.listen(16)
            stack.pop_all()
    except KernelError:
        raise
    except OSError as error:
        raise KernelError(
            error.errno, f"{path}: {error.strerror}; run it as root, or make that possible"
        ) from None
    with sock:
        yield sock


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two relays that start at once do not take each other's socket for a stale one."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _clear(path: Path) -> None:
    """Remove what a killed relay left; KernelError if one is alive."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        code = probe.connect_ex(os.fspath(path))
    if code == errno.ECONNREFUSED:
        path.unlink(missing_ok=True)
    elif code != errno.ENOENT:
        raise KernelError(
            errno.EADDRINUSE,
            f"a relay named {path.stem} runs already ({path}): end it, or give this one "
            "another name (--name)",
        )


# -- answering ---------------------------------------------------------------------


def _serve(listener: socket.socket, answers: Answers) -> None:
    while True:
        try:
            asking, _ = listener.accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
                return  # shut down
            time.sleep(SECONDS)
            continue
        with asking, contextlib.suppress(OSError, ValueError):
            asking.settimeout(SECONDS)
            asking.sendall(_answer(_line(asking, QUESTION_MAX), answers))


def _answer(line: bytes, answers: Answers) -> bytes:
    question = json.loads(line)
    if not isinstance(question, str) or question not in answers:
        answer: Any = {"error": f"{question!r}; allowed: {', '.join(sorted(answers))}"}
    else:
        answer = {"answer": answers[question]()}
    return json.dumps(answer).encode() + b"\n"


def _line(sock: socket.socket, most: int | None = None) -> bytes:
    """Up to the newline; ValueError if it is longer than that, or cut short."""
    parts: list[bytes] = []
    size = 0
    while part := sock.recv(_CHUNK):
        parts.append(part)
        size += len(part)
        if part.endswith(b"\n"):
            return b"".join(parts)
        if most is not None and size > most:
            break
    raise ValueError(f"no line of at most {most} bytes")


# -- asking ------------------------------------------------------------------------


class Answer(NamedTuple):
    """One running relay's."""

    name: str
    value: Any
    """None: this user may not ask, or it did not answer in time"""
    error: str = ""


def ask(question: str, directory: Path | None = None) -> list[Answer]:
    """Ask every relay that runs; sockets of killed ones are removed."""
    found = []
    for path in sorted((directory or DIRECTORY).glob("*.sock")):
        try:
            found.append(Answer(path.stem, _ask(path, question)))
        except ConnectionRefusedError:
            with contextlib.suppress(OSError):  # not root's own
                path.unlink(missing_ok=True)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            found.append(Answer(path.stem, None, why))
    return found


def _ask(path: Path, question: str) -> Any:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(SECONDS)
        sock.connect(os.fspath(path))
        sock.sendall(json.dumps(question).encode() + b"\n")
        answer = json.loads(_line(sock))
    if "answer" not in answer:
        raise ValueError(answer["error"])
    return answer["answer"]
