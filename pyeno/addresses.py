"""Socket addresses as people write them."""

from typing import Any


def peer_name(peer: Any) -> str:
    """``HOST:PORT``, or ``[HOST]:PORT`` for IPv6."""
    host, port = peer[:2]
    host = host.removeprefix("::ffff:") if "." in host else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
