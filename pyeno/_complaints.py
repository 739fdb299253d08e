"""What is said of bad keys and frames: one wording for both twins."""

from pyeno.errors import AuthenticationError, LocalProtocolError, RemoteProtocolError

FRAME_MIN = 17
"""The least clen: flags byte and authentication tag (RFC 8548 section 4.2)."""


def private_key_length(size: int) -> ValueError:
    return ValueError(f"x25519: the private key has {size} bytes; give a Secret of 32")


def public_key_length(size: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"public key: {size} bytes, Curve25519 takes 32 (RFC 8548 section 5); "
        "connection aborted"
    )


def all_zero_secret() -> RemoteProtocolError:
    return RemoteProtocolError(
        "public key: it makes the shared secret all zero, a low-order point (RFC 8548 "
        "section 5); connection aborted"
    )


def unknown_aead(aead: int) -> ValueError:
    return ValueError(f"aead: 0x{aead:04x}; allowed: 0x0001, 0x0002, 0x0010")


def schedule_wiped() -> LocalProtocolError:
    return LocalProtocolError("key schedule: used after it was wiped")


def framer_wiped() -> LocalProtocolError:
    return LocalProtocolError("framer: used after its key was wiped")


def framer_busy() -> LocalProtocolError:
    return LocalProtocolError("framer: used by two threads at once; one direction, one thread")


def key_length(size: int, wanted: int) -> ValueError:
    return ValueError(f"traffic key: {size} bytes, this AEAD takes {wanted}")


def frame_size(size: int, most: int) -> ValueError:
    return ValueError(f"frame_size: {size}; allowed: 1 to {most} application bytes")


def sealed_after_fin() -> LocalProtocolError:
    return LocalProtocolError(
        "seal: FINp was sealed, no frame may follow (RFC 8548 section 3.7)"
    )


def offset_exhausted() -> LocalProtocolError:
    return LocalProtocolError(
        "seal: the stream offset would pass 2^64 - 1 (RFC 8548 section 3.6); rekey first"
    )


def no_room(room: int) -> ValueError:
    return ValueError(f"seal_into: {room} bytes of room hold no frame; give 21 or more")


def urgent_field(urgent: int, size: int) -> ValueError:
    return ValueError(
        f"urgent: {urgent} with {size} bytes of data; allowed: 0 to {size - 1}, "
        "data in one frame"
    )


def short_frame(offset: int, clen: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"frame at stream offset {offset}: clen {clen} leaves no room for the flags byte and "
        f"the tag, at least {FRAME_MIN} are needed; connection aborted"
    )


def unauthentic_frame(offset: int, clen: int) -> AuthenticationError:
    return AuthenticationError(
        f"frame at stream offset {offset}, clen {clen}: authentication failed (RFC 8548 "
        "section 3.6): altered, reordered, or under other keys; connection aborted"
    )


def no_urgent_field(offset: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"frame at stream offset {offset}: URGp is set but the urgent field is missing; "
        "connection aborted"
    )


def urgent_beyond(offset: int, urgent: int, size: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"frame at stream offset {offset}: urgent {urgent} points past its {size} bytes of "
        "data; connection aborted"
    )


def after_fin(offset: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"stream offset {offset}: bytes follow the frame with FINp (RFC 8548 section 3.7); "
        "connection aborted"
    )
