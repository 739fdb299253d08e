"""Opaque secrets: what shows, what does not, and what is left after wiping."""

import contextlib
import copy
import errno
import pickle
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from pyeno.errors import LocalProtocolError

BYTES = bytes(range(32))
TCP_FASTOPEN_KEY = 33  # an option that keeps 16 or 32 bytes and gives them back


def test_shows_its_size_only(twin: Any) -> None:
    secret = twin.Secret(BYTES)
    assert repr(secret) == str(secret) == "<Secret: 32 bytes>"
    assert len(secret) == 32
    assert secret.export() == BYTES


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_copies_any_buffer(twin: Any, kind: Any) -> None:
    data = kind(bytearray(BYTES))
    secret = twin.Secret(data)
    if kind is not bytes:
        data[0] = 0xFF
    assert secret.export() == BYTES


def test_is_no_string_and_takes_none(twin: Any) -> None:
    for wrong in ("text", 32, None):
        with pytest.raises(TypeError):
            twin.Secret(wrong)
    with pytest.raises(BufferError):
        twin.Secret(memoryview(BYTES)[::2])


def test_random_secrets_differ(twin: Any) -> None:
    one, other = twin.Secret.random(32), twin.Secret.random(32)
    assert len(one) == 32
    assert one.export() != other.export()
    assert any(twin.Secret.random(32).export())
    for size in (0, -1):
        with pytest.raises(ValueError, match=f"size is {size}"):
            twin.Secret.random(size)


def test_wiped_secret_refuses(twin: Any) -> None:
    secret = twin.Secret(BYTES)
    assert not secret.wiped
    secret.wipe()
    secret.wipe()
    assert secret.wiped and len(secret) == 32
    assert repr(secret) == "<Secret: wiped>"
    with pytest.raises(LocalProtocolError, match="was wiped"):
        secret.export()


def test_nothing_escapes_by_pickling_or_copying(twin: Any) -> None:
    secret = twin.Secret(BYTES)
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(secret)
    with pytest.raises(TypeError):
        memoryview(secret)
    assert not hasattr(secret, "__dict__")


def test_cannot_be_subclassed(twin: Any) -> None:
    """A subclass could show what repr hides."""
    if twin.backend == "native":
        with pytest.raises(TypeError):
            type("Leaky", (twin.Secret,), {})


def test_passes_through_socket_options(twin: Any) -> None:
    with socket.socket() as sock:
        key = sock.fileno(), socket.IPPROTO_TCP, TCP_FASTOPEN_KEY
        secret = twin.Secret(BYTES[16:])
        secret.to_option(*key, memoryview(BYTES)[:16])
        assert sock.getsockopt(*key[1:], 64) == BYTES
        back = twin.Secret.from_option(*key, 32)
        assert back.export() == BYTES and repr(back) == "<Secret: 32 bytes>"
        assert secret.export() == BYTES[16:]


def test_an_option_may_be_secret_in_part(twin: Any) -> None:
    with socket.socket() as sock:
        key = sock.fileno(), socket.IPPROTO_TCP, TCP_FASTOPEN_KEY
        twin.Secret(BYTES).to_option(*key, b"")
        for head in (0, 1, 31):
            told, secret = twin.Secret.split_option(*key, head, 32 - head)
            assert told == BYTES[:head] and secret.export() == BYTES[head:]
        with pytest.raises(OSError, match="gave 32 bytes of a secret; 40 are needed"):
            twin.Secret.split_option(*key, 8, 32)
        with pytest.raises(ValueError, match="head is -1"):
            twin.Secret.split_option(*key, -1, 32)
        with pytest.raises(ValueError, match="size is 0"):
            twin.Secret.split_option(*key, 32, 0)
    with pytest.raises(OSError, match="getsockopt"):
        twin.Secret.split_option(-1, *key[1:], 8, 24)


def test_what_the_kernel_refuses(twin: Any) -> None:
    with socket.socket() as sock:
        key = sock.fileno(), socket.IPPROTO_TCP, TCP_FASTOPEN_KEY
        with pytest.raises(OSError, match="setsockopt") as refused:
            twin.Secret(BYTES).to_option(*key, b"too long")
        assert refused.value.errno == errno.EINVAL
        twin.Secret(BYTES[16:]).to_option(*key, b"")
        with pytest.raises(OSError, match="gave 16 bytes of a secret; 20 are needed"):
            twin.Secret.from_option(*key, 20)
        with pytest.raises(OSError, match="getsockopt") as refused:
            twin.Secret.from_option(-1, *key[1:], 32)
        assert refused.value.errno == errno.EBADF
        with pytest.raises(ValueError, match="size is 0"):
            twin.Secret.from_option(*key, 0)
        wiped = twin.Secret(BYTES)
        wiped.wipe()
        with pytest.raises(LocalProtocolError, match="was wiped"):
            wiped.to_option(*key, b"")
        with pytest.raises(TypeError):
            twin.Secret(BYTES).to_option(*key, "text")


def test_wiping_clears_the_memory_itself(twin: Any) -> None:
    """The compiled twin's bytes are looked for in this process's own memory."""
    if twin.backend == "pure":
        secret = twin.Secret(BYTES)
        held = secret.data("test")
        secret.wipe()
        assert held == bytes(32)
        return
    secrets = [twin.Secret.random(64) for _ in range(3)]
    needles = [secret.export()[16:48] for secret in secrets]
    before = [_heap_places(needle) for needle in needles]
    secrets[0].wipe()
    del secrets[1]
    # gone from where they stood; the copies Python made are not looked at again
    left = [
        {place for place in places if _memory(place, len(needle)) == needle}
        for needle, places in zip(needles, before, strict=True)
    ]
    assert len(left[0]) < len(before[0]) and len(left[1]) < len(before[1])
    assert left[2]


def _memory(start: int, size: int) -> bytes:
    """Empty where nothing is mapped any longer, or a sanitizer keeps its shadow."""
    with contextlib.suppress(OSError), Path("/proc/self/mem").open("rb", 0) as memory:
        memory.seek(start)
        return memory.read(size)
    return b""


def _heap_places(needle: bytes) -> set[int]:
    """Where the bytes stand in the process's heap and anonymous memory."""
    found = set()
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, mode, *rest = line.split()
        start, end = (int(part, 16) for part in span.split("-"))
        private = len(rest) < 4 or rest[3] == "[heap]"
        if not mode.startswith("rw") or not private or end - start >= 1 << 30:
            continue
        places = re.finditer(re.escape(needle), _memory(start, end - start), re.S)
        found |= {start + place.start() for place in places}
    return found
