"""The operating system's randomness (RFC 8547 section 10, RFC 8548 section 8)."""

import os

from pyeno.tcpcrypt.agreement import Secret


class SystemRandomness:
    """getrandom(): blocks until the kernel's generator is seeded."""

    def public(self, size: int) -> bytes:
        return os.urandom(size)  # [8548:8-4]

    def secret(self, size: int) -> Secret:
        return Secret.random(size)


SYSTEM = SystemRandomness()
