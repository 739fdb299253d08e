"""A command in a cgroup of its own, and a relay for it.

    pyeno run ──fork──▶ relay: attaches, says so, serves until the cgroup is empty
        └─────────────▶ enters the cgroup, becomes the command by exec

The command keeps the process, with its standard streams, terminal, parent and
process group; so signals, job control and exit status are its own, and nothing
has to be passed on.  The relay is nobody's child, in a session of its own.
"""

import contextlib
import ctypes
import errno
import json
import os
import pwd
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from pyeno import cgroups
from pyeno.errors import ConfigError, KernelError, PyenoError

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""exit statuses, as shells have them"""
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


class Parent(NamedTuple):
    """The process that becomes the command, as the relay knows it."""

    pid: int
    cgroup: Path
    pipe: int

    def ready(self) -> None:
        """The command may start."""
        os.write(self.pipe, b"{}")
        os.close(self.pipe)


Serve = Callable[[Parent], None]


def account(user: str) -> pwd.struct_passwd:
    """Of a name or a number; ConfigError for one that this host does not have."""
    try:
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        raise ConfigError(f"--user: {user!r}; allowed: a user of this host") from None


def launch(command: Sequence[str], serve: Serve, user: pwd.struct_passwd | None = None) -> int:
    """Become ``command``; ``serve`` is the relay's part, in another process.

    Returns 127 or 126 where there is no such command.  Raises KernelError: what the
    relay failed with before it was ready, or no cgroup can be made.
    """
    cgroup = cgroups.create("run")
    try:
        _await_ready(_fork_relay(cgroup, serve))
        cgroups.enter(cgroup)
    except BaseException:
        cgroups.remove(cgroup)
        raise
    try:
        _become(command, user)
    except OSError as error:
        print(f"pyeno run: {command[0]}: {error.strerror}", file=sys.stderr)
        return NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE


# -- the command's side ----------------------------------------------------------


def _fork_relay(cgroup: Path, serve: Serve) -> int:
    """The pipe that tells whether it is ready."""
    reader, writer = os.pipe()
    parent = Parent(os.getpid(), cgroup, writer)
    sys.stderr.flush()
    between = os.fork()
    if not between:
        os.setsid()
        if os.fork():  # so that the command will not find a child it never had
            os._exit(0)
        os.close(reader)
        _serve(parent, serve)
    os.close(writer)
    os.waitpid(between, 0)
    return reader


def _await_ready(pipe: int) -> None:
    with open(pipe, "rb") as stream:
        said = stream.read()
    if not said:
        raise KernelError(errno.ECHILD, "the relay's process ended before it was ready")
    failure = json.loads(said)
    if failure:
        raise KernelError(failure["errno"], failure["error"])


def _become(command: Sequence[str], user: pwd.struct_passwd | None) -> NoReturn:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # which Python ignores
        signal.signal(number, signal.SIG_DFL)
    # what lets a relay attach is not the command's
    ctypes.CDLL(None).prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user is not None:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        names = {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
        os.environ.update(names)
    os.execvp(command[0], list(command))  # noqa: S606


# -- the relay's side --------------------------------------------------------------


def _serve(parent: Parent, serve: Serve) -> NoReturn:
    status = 1
    try:
        _leave_streams()
        serve(parent)
        status = 0
    except (PyenoError, OSError, ImportError) as error:
        _complain(parent, error)
    except KeyboardInterrupt:
        pass
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        cgroups.remove(parent.cgroup)
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(status)


def _complain(parent: Parent, error: Exception) -> None:
    """To the waiting process, or, once that is the command, to its standard error."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    failure = {"errno": getattr(error, "errno", None), "error": text}
    try:
        os.write(parent.pipe, json.dumps(failure).encode())
    except OSError:
        print(f"pyeno run: the relay failed: {text}", file=sys.stderr)


def _leave_streams() -> None:
    """Whoever reads the command's output must not wait for the relay."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    os.chdir("/")


def leave_stderr() -> None:
    """Nor for its messages, once the command has ended and others live on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    os.close(null)
