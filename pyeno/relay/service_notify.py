"""What a service manager is told: systemd's sd_notify(3), one datagram a word."""

import os
import socket
import time


def notify(*words: str) -> bool:
    """Send ``READY=1`` and the like; False if nobody was told."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    name = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.sendto("\n".join(words).encode(), name)
        except OSError:  # the manager has gone, or does not listen: connections matter more
            return False
    return True


def reloading() -> bool:
    """Before READY=1 is sent again."""
    return notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
