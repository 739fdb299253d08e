"""What is said of a bad option or TEP list: one wording for both twins.

Every message names what was wrong, where (byte offset or place in the list)
and what to do.
"""

from pyeno.constants import ENO_KIND, ENO_OPTION_MAX, Reason, Role
from pyeno.errors import IllFormedOptionError

# enum eno_refusal of ext/wire/eno_encode.h
REFUSALS = (
    "",
    "data without v: only v = 1 introduces suboption data; set v or drop the data"
    " (RFC 8547 section 4.1)",
    "a length byte without v: what follows a length byte MUST have v = 1; set v or drop"
    " the length byte (RFC 8547 section 4.4)",
    "a length byte cannot introduce its {size} bytes of data, only 1 to 32: put it last,"
    " without a length byte (RFC 8547 section 4.4)",
    "with it the option would exceed 40 bytes, all that a TCP header holds: send fewer"
    " suboptions (RFC 8547 section 4.4)",
)


def _malformed(head: bytes, size: int) -> tuple[str, int]:
    """Figure 1: kind 69, then the length of the whole option."""
    whole = "give one whole option, kind and length bytes included (RFC 8547 section 4.1)"
    if not size:
        return f"the ENO option is empty, byte 0 should be kind {ENO_KIND}: {whole}", 0
    if head[0] != ENO_KIND:
        return f"byte 0 is kind {head[0]}, an ENO option's is {ENO_KIND}: {whole}", 0
    if size == 1:
        return f"the ENO option ends where byte 1, its length, should be: {whole}", 1
    if size > ENO_OPTION_MAX:
        return (
            f"the ENO option has {size} bytes, from byte {ENO_OPTION_MAX} on they do not fit a"
            f" TCP header: {whole}"
        ), ENO_OPTION_MAX
    return f"byte 1 tells a length of {head[1]}, the ENO option has {size} bytes: {whole}", 1


def ill_formed(head: bytes, size: int, reason: int, at: int) -> IllFormedOptionError:
    """The error for an option of ``size`` bytes beginning with ``head``.

    ``at`` is the length byte's offset where a length byte is to blame.
    """
    ignore = "ignore the option and disable encryption (RFC 8547 section 4.4, rule"
    if reason == Reason.LENGTH_BEYOND_END:
        message = (
            f"the length byte at byte {at} (0x{head[at]:02x}) wants {(head[at] & 0x1F) + 2}"
            f" more bytes, TEP identifier and data, of which the option has {size - at - 1}:"
            f" {ignore} 1)"
        )
    elif reason == Reason.LENGTH_BYTE_NOT_BEFORE_TEP:
        message = (
            f"byte {at + 1} (0x{head[at + 1]:02x}) follows a length byte and is no TEP"
            f" identifier with v = 1 (0xa0-0xff): {ignore} 2)"
        )
        at += 1
    else:
        message, at = _malformed(head, size)
    return IllFormedOptionError(message, Reason(reason), at)


def overlong_header(size: int) -> ValueError:
    return ValueError(
        f"tcp_options has {size} bytes, a TCP header holds at most {ENO_OPTION_MAX}: give the"
        " option bytes alone, without the header's fixed part (RFC 793)"
    )


def bad_tep(place: int, tep: int) -> ValueError:
    return ValueError(
        f"place {place} of the list: TEP {tep:#x} is outside 0x20-0x7f; give the 7-bit"
        " identifier, without v (RFC 8547 section 4.1)"
    )


def bad_global(value: int) -> ValueError:
    return ValueError(
        f"global_suboption {value:#x} is outside 0x00-0x1f (RFC 8547 section 4.2)"
    )


def refused(place: int, tep: int, refusal: int, size: int) -> ValueError:
    what = REFUSALS[refusal].format(size=size)
    return ValueError(f"place {place} of the list, TEP {tep:#x}: {what}")


def repeated_tep(place: int, tep: int) -> ValueError:
    return ValueError(
        f"place {place} of the list: TEP {tep:#x} came before; a repeated TEP is not valid,"
        " name it once (RFC 8547 section 4.5, rule 3)"
    )


def too_many_teps(count: int, room: int) -> ValueError:
    return ValueError(
        f"{count} TEPs, the option has room for {room}: offer fewer (RFC 8547 section 4.4)"
    )


def no_room(count: int, room: int) -> ValueError:
    return ValueError(
        f"{count} TEPs do not fit into {room} bytes, not even without the data that may be"
        " missing: offer fewer, or shorter data (RFC 8547 section 4.4)"
    )


def bad_room(room: int) -> ValueError:
    return ValueError(
        f"room={room}: an ENO option with a TEP takes 4 to {ENO_OPTION_MAX} bytes"
        " (RFC 8547 section 4.1)"
    )


def too_many_rules(most: int) -> ValueError:
    return ValueError(f"suboption data for more than {most} TEPs: give the most wanted ones")


def not_tep_data(place: int, given: object) -> TypeError:
    return TypeError(f"place {place} of the list: give a TepData, not {type(given).__name__}")


def tcpcrypts_data(place: int, tep: int) -> ValueError:
    return ValueError(
        f"place {place} of the list: the suboption data of TEP {tep:#x} are session"
        " resumption (RFC 8548 section 3.5), which is not configured here; leave it out"
    )


def bad_data(place: int, tep: int, role: Role, size: int, most: int) -> ValueError:
    return ValueError(
        f"place {place} of the list, TEP {tep:#x}: {size} bytes of data as host {role.value};"
        f" give 1 to {most}, or None for v = 0 (RFC 8547 section 4.4)"
    )


def bad_sizes(place: int, tep: int, role: Role, sizes: range, most: int) -> ValueError:
    return ValueError(
        f"place {place} of the list, TEP {tep:#x}: {sizes} bytes from host {role.value};"
        f" give a range without gaps between 0 and {most} (RFC 8547 section 4.5, rule 2)"
    )


def own_data(place: int, tep: int, role: Role, size: int, sizes: range) -> ValueError:
    return ValueError(
        f"place {place} of the list, TEP {tep:#x}: as host {role.value} this host would send"
        f" {size} bytes of data, where {sizes.start} to {sizes[-1]} are valid"
        " (RFC 8547 section 4.5, rule 2); make the two agree"
    )


def bad_sent(error: IllFormedOptionError) -> ValueError:
    return ValueError(f"sent: {error}")


def describe(raw: bytes, global_suboption: int, teps: tuple[int, ...]) -> str:
    """The repr of an option: its bytes, then what they say."""
    listed = " ".join(f"{tep:#x}" for tep in teps) or "vacuous"
    return f"<Option {raw.hex()}: global {global_suboption:#04x}, {listed}>"


def bad_half(size: int) -> ValueError:
    return ValueError(
        f"remote_half: {size} bytes; half of a resumption identifier is 9"
        " (RFC 8548 section 3.5)"
    )
