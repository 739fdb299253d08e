"""What malloc() gives right after a key exchange, before anything else covers it.

    agreement_allocator.py TEP

Exits with an AssertionError if it is a part of the private key.
"""

import ctypes
import secrets
import sys

from oracle.scheme import SCHEMES
from wire import memory

from pyeno._native.agreement import KeyPair
from pyeno._native.secret import Secret

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]


def handed_out() -> set[bytes]:
    octets = set()
    for size in range(24, 137, 16):
        chunks = [libc.malloc(size) for _ in range(24)]
        for chunk in chunks:
            part = ctypes.string_at(chunk, size)
            octets |= {part[at : at + memory.WORD] for at in range(size)}
            libc.free(chunk)
    return octets


def main(tep: int) -> None:
    scheme = SCHEMES[tep]
    for _ in range(20):
        private = scheme.private(secrets.token_bytes(scheme.private_len))
        words = {word.to_bytes(memory.WORD, "little") for word in memory.words(private)}
        words |= {word[::-1] for word in words}
        pair = KeyPair(tep, Secret(private))
        assert not words & handed_out(), "after the public key was computed"
        pair.exchange(pair.public).wipe()
        assert not words & handed_out(), "after ES was computed"


main(int(sys.argv[1]))
