"""What the crypto core says when it refuses: one text for both twins.

Each function returns the exception, to be raised by the caller.  Numbers are
byte counts and offsets in the TCP stream of one direction; no key, nonce or
application byte ever enters a message.
"""

import errno
import os
from typing import Final

from pyeno.errors import (
    AuthenticationError,
    LocalProtocolError,
    PyenoError,
    RemoteProtocolError,
)

# enum fault of ext/core/opener.h
AUTHENTICATION: Final = 1
NO_FLAGS: Final = 2
NO_URGENT: Final = 3
URGENT_BEYOND: Final = 4
AFTER_FINP: Final = 5
OFFSET: Final = 6
PROVIDER: Final = 7

_STREAM: Final = {
    NO_FLAGS: "clen {clen} leaves no room for the flags byte and the 16-byte tag "
    "(RFC 8548 section 4.2.1)",
    NO_URGENT: "URGp is set but clen {clen} leaves no room for the urgent field "
    "(RFC 8548 section 4.2.1)",
    URGENT_BEYOND: "the urgent field points beyond the data of its frame, clen {clen} "
    "(RFC 8548 section 3.7)",
    AFTER_FINP: "bytes follow the frame that carried FINp (RFC 8548 section 3.7)",
    OFFSET: "the frame, clen {clen}, would end beyond 2^64 stream bytes (RFC 8548 section 3.6)",
}


def stream(fault: int, offset: int, clen: int) -> PyenoError:
    """What is wrong with the incoming stream at ``offset``."""
    if fault == AUTHENTICATION:
        return AuthenticationError(
            f"frame at stream offset {offset}, clen {clen}: authentication failed "
            "(RFC 8548 section 3.6); abort the connection"
        )
    if fault == PROVIDER:
        return LocalProtocolError(
            f"frame at stream offset {offset}, clen {clen}: the AEAD provider failed; "
            "abort the connection"
        )
    what = _STREAM[fault].format(clen=clen)
    return RemoteProtocolError(f"stream offset {offset}: {what}; abort the connection")


def unknown_scheme(tep: int) -> ValueError:
    return ValueError(f"TEP {tep:#04x} has no key agreement here; use 0x21 to 0x24")


def private_key() -> ValueError:
    return ValueError("the private key is not from 1 to the curve's order less 1; draw another")


def low_order() -> RemoteProtocolError:
    return RemoteProtocolError(
        "the remote public key gives the all-zero shared secret (RFC 8548 section 5); "
        "abort the connection"
    )


def public_key_len(got: int, need: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the remote public key has {got} bytes, this TEP's have {need} (RFC 8548 section 5); "
        "abort the connection"
    )


def not_compressed(octet: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the remote public key begins 0x{octet:02x}, a compressed point 0x02 or 0x03 "
        "(RFC 8548 section 5); abort the connection"
    )


def not_on_curve() -> RemoteProtocolError:
    return RemoteProtocolError(
        "the remote public key is no point of this TEP's curve (RFC 8548 section 5); "
        "abort the connection"
    )


def length(what: str, got: int, need: int) -> ValueError:
    return ValueError(f"{what} has {got} bytes; {need} are needed")


def at_most(what: str, got: int, limit: int) -> ValueError:
    return ValueError(f"{what} has {got} bytes; {limit} are the most allowed")


def out_of_range(what: str, got: int, low: int, high: int) -> ValueError:
    return ValueError(f"{what} is {got}; it must be from {low} to {high}")


def role(got: object) -> TypeError:
    return TypeError(f"original_role must be pyeno.Role.A or Role.B, not {got!r}")


def unknown_aead(got: int) -> ValueError:
    return ValueError(
        f"aead {got:#06x} is none of AES_128_GCM (0x0001), AES_256_GCM (0x0002), "
        "CHACHA20_POLY1305 (0x0010) (RFC 8548 table 5)"
    )


def wiped(what: str) -> LocalProtocolError:
    return LocalProtocolError(f"this {what} was wiped; make a new one")


def busy(what: str) -> LocalProtocolError:
    return LocalProtocolError(
        f"another thread is inside this {what}; use it from one thread at a time"
    )


def refused_option(call: str, code: int) -> OSError:
    return OSError(code, f"{call}: {os.strerror(code)}")


def short_option(got: int, need: int) -> OSError:
    return OSError(errno.EINVAL, f"getsockopt gave {got} bytes of a secret; {need} are needed")


def no_memory() -> MemoryError:
    return MemoryError("no memory for a key")


def provider() -> LocalProtocolError:
    return LocalProtocolError("the AEAD provider failed; nothing was sealed")


def finished(deed: str) -> LocalProtocolError:
    return LocalProtocolError(
        f"cannot {deed}: FINp was sent and no frame may follow it (RFC 8548 section 3.7)"
    )


def rekeyed_already() -> LocalProtocolError:
    return LocalProtocolError(
        "a new key is waiting for its first frame; let that frame pass, then rekey again "
        "(RFC 8548 section 3.8)"
    )


def stream_full(offset: int) -> LocalProtocolError:
    return LocalProtocolError(
        f"stream offset {offset}: these bytes would pass 2^64 under one key "
        "(RFC 8548 section 3.6); open a new connection"
    )


def urgent_frame(size: int, limit: int) -> ValueError:
    return ValueError(
        f"urgent data of {size} bytes do not fit one frame of {limit}; seal the rest apart"
    )


def no_room(got: int, need: int) -> ValueError:
    return ValueError(f"out has {got} bytes; a frame needs {need} at least")


def not_in_room(size: int, room: int) -> ValueError:
    return ValueError(f"received({size}): room() gave {room} bytes")
