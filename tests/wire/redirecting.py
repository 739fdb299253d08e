"""Programs in a redirected cgroup, and a relay that does as it is told.

    with Program(wire.a, cgroup) as program, Relay(wire.a, [cgroup]) as relay:
        program.start("s.connect(('10.69.0.2', 80))")
        held = relay.hold()
        near = relay.let_in(held, ("10.69.0.1", 4000))
        program.finish()

A program is a Python process that runs what it is told, one statement or expression at
a time; it knows nothing of pyeno.
"""

import ast
import contextlib
import errno
import select
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from wire.netns import Namespace

from pyeno.redirect import Held, Redirection, Rules

PATIENCE = 8.0
RUNNER = """
import ast, os, select, socket, struct, sys
names = globals()
for line in sys.stdin:
    code = ast.literal_eval(line)
    try:
        try:
            what = compile(code, "told", "eval")
        except SyntaxError:
            what = compile(code, "told", "exec")
        answer = eval(what, names)
        try:
            ast.literal_eval(repr(answer))
        except (SyntaxError, ValueError):
            answer = None
        print(repr(answer), flush=True)
    except OSError as error:
        print(repr({"errno": error.errno}), flush=True)
"""
# moves into the cgroup, then becomes the command
INTO = ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"']
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class Program:
    """A process in a cgroup and a namespace."""

    def __init__(self, namespace: Namespace, cgroup: Path, *command: str) -> None:
        words = [*INTO, str(cgroup), "ip", "netns", "exec", namespace.name]
        words += command or (sys.executable, "-u", "-c", RUNNER)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)

    def start(self, code: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(repr(code) + "\n")
        self.process.stdin.flush()

    def finish(self) -> Any:
        """What came of it; OSError as the program saw it."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], 2 * PATIENCE)[0], "no answer"
        answer = ast.literal_eval(self.process.stdout.readline())
        if isinstance(answer, dict):
            raise OSError(answer["errno"], errno.errorcode[answer["errno"]])
        return answer

    def do(self, code: str) -> Any:
        self.start(code)
        return self.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def listen(namespace: Namespace, host: str, port: int = 0) -> socket.socket:
    """A listener of the tests' in a namespace, IPv6 alone where it is IPv6."""
    family = FAMILIES[6 if ":" in host else 4]

    def made() -> socket.socket:
        return socket.create_server((host, port), family=family, backlog=1000)

    listener = namespace.inside(made)
    listener.settimeout(PATIENCE)
    return listener


class Relay:
    """Holds the redirection, and the listeners it needs."""

    def __init__(
        self,
        namespace: Namespace,
        cgroups: Sequence[Path],
        *,
        rules: Rules | None = None,
        pin: Path | None = None,
        steered: socket.socket | None = None,
    ) -> None:
        self.near = listen(namespace, "127.0.0.1"), listen(namespace, "::1")
        self.steered = steered or listen(namespace, "0.0.0.0"), listen(namespace, "::")
        self.waiting: list[Held] = []

        def made() -> Redirection:
            return Redirection(
                cgroups, near=self.near, steered=self.steered, rules=rules, pin=pin
            )

        try:
            self.redirection = namespace.inside(made)
        except BaseException:
            self._close_listeners()
            raise

    def hold(self) -> Held:
        """The next connection that waits."""
        while not self.waiting:
            assert select.select([self.redirection], [], [], PATIENCE)[0], "nothing is held"
            self.waiting += self.redirection.held()
        return self.waiting.pop(0)

    def quiet(self) -> bool:
        """Nothing is held, and nothing was."""
        self.waiting += self.redirection.held()
        return not self.waiting

    def let_in(self, held: Held, local: tuple[Any, ...]) -> socket.socket:
        """Its connection on the near listener."""
        self.redirection.admit(held, local)
        near, source = self.near[len(held.source) > 2].accept()
        near.settimeout(PATIENCE)
        assert source == held.source
        return near

    def taken(self, six: bool = False) -> tuple[socket.socket, Any]:
        """A connection steered to it, and from where it came."""
        sock, client = self.steered[six].accept()
        sock.settimeout(PATIENCE)
        return sock, client

    def reach(self, client: Any, local: Any, namespace: Namespace) -> socket.socket:
        """A connection to the program that listens at `local`, for a client."""
        sock = namespace.socket(FAMILIES[6 if ":" in local[0] else 4])
        self.redirection.reach(sock, client, local)
        sock.connect(local)
        return sock

    def _close_listeners(self) -> None:
        for listener in (*self.near, *self.steered):
            listener.close()

    def close(self) -> None:
        self.redirection.close()
        self._close_listeners()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
