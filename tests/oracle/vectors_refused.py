"""The cases of refused.json: what a host has to abort for, beside its neighbours that pass."""

from collections.abc import Iterator
from typing import Any

from . import Incomplete, OracleError, init, keys
from .frames import TAG_LEN, Opener, Sealer, plaintext, seal
from .scheme import SCHEMES, Nist
from .vectors import derived

Json = dict[str, Any]

# -- public keys: section 5

# of order 1, 2, 4 and 8, and the same numbers not reduced (p = 2^255 - 19)
LOW_25519 = {
    "0": "00" * 32,
    "1": "01" + "00" * 31,
    "order 8": "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "order 8, the other": "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "p - 1": "ec" + "ff" * 30 + "7f",
    "p": "ed" + "ff" * 30 + "7f",
    "p + 1": "ee" + "ff" * 30 + "7f",
    "0 with the highest bit, which is masked": "00" * 31 + "80",
}
# p = 2^448 - 2^224 - 1
LOW_448 = {
    "0": "00" * 56,
    "1": "01" + "00" * 55,
    "p - 1": "fe" + "ff" * 27 + "fe" + "ff" * 27,
    "p": "ff" * 28 + "fe" + "ff" * 27,
    "p + 1": "00" * 28 + "ff" * 28,
}
P = {0x21: 2**256 - 2**224 + 2**192 + 2**96 - 1, 0x22: 2**521 - 1}


def nist_keys(tep: int, good: bytes) -> dict[str, bytes]:
    scheme = SCHEMES[tep]
    assert isinstance(scheme, Nist)
    size = scheme.point_len - 1
    length, x = good[:2], good[3:]

    def wrong(first: int, number: int) -> bytes:
        return length + bytes([first]) + number.to_bytes(size, "big")

    return {
        "as it should be": good,
        "pubkey_len does not count itself": scheme.point_len.to_bytes(2, "big") + good[2:],
        "pubkey_len 0": b"\0\0" + good[2:],
        "pubkey_len one too large": (len(good) + 1).to_bytes(2, "big") + good[2:],
        "uncompressed, cut off": length + b"\x04" + x,
        "hybrid, cut off": length + b"\x06" + x,
        "first octet 1": length + b"\x01" + x,
        "point at infinity": length + bytes(scheme.point_len),
        "x = p": wrong(2, P[tep]),
        "x = p + 1": wrong(3, P[tep] + 1),
        "x not on the curve": wrong(2, off_curve(tep)),
        "x all ones": length + b"\x02" + b"\xff" * size,
    }


def off_curve(tep: int) -> int:
    """The smallest x that no point has."""
    scheme, x = SCHEMES[tep], 0
    assert isinstance(scheme, Nist)
    size, private = scheme.point_len, scheme.private(derived("off curve", scheme.private_len))
    while True:
        x += 1
        field = scheme.field_len.to_bytes(2, "big") + b"\x02" + x.to_bytes(size - 1, "big")
        try:
            scheme.shared(private, field)
        except OracleError:
            return x


def public_keys() -> Iterator[Json]:
    for tep, scheme in SCHEMES.items():
        mine, theirs = (
            scheme.private(derived(f"refused {scheme.name} {x}", scheme.private_len))
            for x in "AB"
        )
        good = scheme.public(theirs)
        if isinstance(scheme, Nist):
            cases = nist_keys(tep, good)
        else:
            low = LOW_25519 if tep == 0x23 else LOW_448
            cases = {"as it should be": good} | {k: bytes.fromhex(v) for k, v in low.items()}
        for name, field in cases.items():
            try:
                expect: Json = {"ok": True, "es": scheme.shared(mine, field).hex()}
            except OracleError as error:
                expect = {"ok": False, "reason": error.reason}
            yield {
                "name": f"{scheme.name}: {name}",
                "tep": tep,
                "private": mine.hex(),
                "public": field.hex(),
                "expect": expect,
            }


# -- Init messages: sections 3.3, 4.1

AEADS = (1, 2, 0x10)


def init_streams(tep: int, number: int) -> dict[str, bytes]:
    """Everything one host may have sent by now, by what is wrong with it."""
    scheme = SCHEMES[tep]
    nonce = derived("init nonce", init.N_LEN)
    public = scheme.public(scheme.private(derived("init private", scheme.private_len)))
    if number == 1:

        def message(ciphers: tuple[int, ...] = AEADS, **faults: Any) -> bytes:
            return init.encode_init1(ciphers, nonce, faults.pop("public", public), **faults)

        ciphers = {
            "its first preference last": message((0x10, 2, 1)),
            "one unknown cipher before": message((0x7F01, 2)),
            "only unknown ciphers": message((0x7F01, 0x7F02)),
            "no cipher": message(()),
            "255 ciphers": message((*range(0x7F00, 0x7FFE), 2)),
            "the same cipher twice": message((2, 2)),
        }
        other = init.INIT2_MAGIC
    else:

        def message(cipher: int = 2, **faults: Any) -> bytes:  # type: ignore[misc]
            return init.encode_init2(cipher, nonce, faults.pop("public", public), **faults)

        ciphers = {
            "a cipher that was not offered": message(0x7F01),
            "cipher 0": message(0),
        }
        other = init.INIT1_MAGIC
    good = message()
    return ciphers | {
        "as it should be": good,
        "ignored bytes": message(ignored=b"whatever"),
        "frames follow": good + b"\x00\x00\x11",
        "one byte missing": good[:-1],
        "no byte yet": b"",
        "seven bytes": good[:7],
        "wrong magic": message(magic=0x12345678),
        "the other message's magic": message(magic=other),
        "plaintext": b"GET / HTTP/1.1\r\n\r\n".ljust(len(good), b"x"),
        "message_len 0": message(message_len=0),
        "message_len 8": message(message_len=8),
        "message_len one too small": message(message_len=len(good) - 1),
        "message_len one too large": message(message_len=len(good) + 1),
        "public key one byte short": message(public=public[:-1]),
    }


def taken(tep: int, number: int, stream: bytes) -> Json:
    """What the receiver makes of it; host B prefers AEADS in that order."""
    try:
        if number == 1:
            one = init.parse_init1(stream, tep)
            cipher, message = init.choose(one.ciphers, AEADS), one.raw
            nonce, public = one.nonce, one.public
        else:
            two = init.parse_init2(stream, tep)
            cipher, message, nonce, public = two.cipher, two.raw, two.nonce, two.public
            if cipher not in AEADS:
                raise OracleError("cipher-not-offered")
    except Incomplete:
        return {"ok": True, "complete": False}
    except OracleError as error:
        return {"ok": False, "reason": error.reason}
    return {
        "ok": True,
        "complete": True,
        "length": len(message),
        "cipher": cipher,
        "nonce": nonce.hex(),
        "public": public.hex(),
    }


def init_messages() -> Iterator[Json]:
    for tep in SCHEMES:
        for number in 1, 2:
            for name, stream in init_streams(tep, number).items():
                yield {
                    "name": f"{tep:#04x} Init{number}: {name}",
                    "tep": tep,
                    "message": number,
                    "aeads": list(AEADS),
                    "stream": stream.hex(),
                    "expect": taken(tep, number, stream),
                }


# -- frames: sections 3.6 to 3.8, 4.2

START = 77


def frame_streams(aead: int, mk: bytes) -> dict[str, bytes]:
    def fresh(offset: int = START) -> Sealer:
        return Sealer(aead, mk, True, offset)

    def flipped(at: int, bit: int = 1) -> bytes:
        raw = bytearray(fresh().seal(b"0123456789"))
        raw[at] ^= bit
        return bytes(raw)

    def plain(value: bytes) -> bytes:
        return seal(aead, fresh().traffic_key, START, value)

    s, twice, other = fresh(), fresh(), Sealer(aead, mk, False, START)
    first, second = s.seal(b"first"), s.seal(b"second")
    last = s.seal(b"last", fin=True)
    rekeyed = twice.seal(b"one", rekey=True), twice.seal(b"two", rekey=True)
    skipping = seal(aead, fresh().key_after(2), START, plaintext(b"x"), rekey=True)
    return {
        "three frames, FINp": first + second + last,
        "reserved bits set": fresh().seal(b"x", cres=0x7F, fres=0x3F),
        "two rekeys": b"".join(rekeyed),
        "URGp at the last byte": fresh().seal(b"12345", urgent=4),
        "two bytes of a header": first[:2],
        "a frame without its last byte": first[:-1],
        "tag: last bit": flipped(-1),
        "ciphertext: first bit": flipped(3, 0x80),
        "control: a reserved bit": flipped(0, 0x02),
        "control: rekey forged": flipped(0),
        "control: rekey removed": bytes([0]) + rekeyed[0][1:],
        "clen one smaller": flipped(2, 27 ^ 26),
        "clen 0": bytes(3),
        "clen 15": bytes([0, 0, 15]) + bytes(15),
        "second frame first": second + first,
        "first frame twice": first + first,
        "at another offset": fresh(START + 1).seal(b"x"),
        "of the other direction": other.seal(b"x"),
        "rekey over two generations": skipping,
        "generation 2 without rekey": rekeyed[0] + seal(
            aead, fresh().key_after(2), START + len(rekeyed[0]), plaintext(b"x")
        ),
        "old generation after a rekey": rekeyed[0] + seal(
            aead, fresh().traffic_key, START + len(rekeyed[0]), plaintext(b"x")
        ),
        "no flags": plain(b""),
        "URGp without the field": plain(b"\x02"),
        "URGp with half the field": plain(b"\x02\x00"),
        "a byte after FINp": fresh().seal(b"end", fin=True) + b"\0",
        "a frame after FINp": first + second + last + s.seal(b"more"),
        "a rekey after FINp": first + second + last + s.seal(rekey=True),
    }  # fmt: skip


def opened(aead: int, mk: bytes, stream: bytes) -> Json:
    """Frame by frame, as far as it goes; ``generation`` is the remote one reached."""
    opener, data = Opener(aead, mk, True, START), b""
    opener.feed(stream)
    reason = None
    try:
        while opener.buffer:
            data += opener.next().data
    except Incomplete:
        pass
    except OracleError as error:
        reason = error.reason
    told: Json = {"ok": reason is None, "data": data.hex(), "generation": opener.generation}
    return told | ({"fin": opener.finished} if reason is None else {"reason": reason})


def frame_cases() -> Iterator[Json]:
    for aead, (name, _, _) in keys.AEADS.items():
        mk = derived(f"refused frames {name}", keys.K_LEN)
        master = [mk]
        for _ in range(2):
            master.append(keys.next_master_key(master[-1]))
        ab = [keys.traffic_keys(key, aead)[0].hex() for key in master]
        for what, stream in frame_streams(aead, mk).items():
            expect = opened(aead, mk, stream)
            if len(stream) >= 3 and int.from_bytes(stream[1:3], "big") < TAG_LEN:
                expect["reason"] = None  # the header alone tells, or the AEAD does
            yield {
                "name": f"{name}: {what}",
                "aead": aead,
                "keys": ab,
                "offset": START,
                "stream": stream.hex(),
                "expect": expect,
            }


def refused() -> Json:
    return {
        "public_keys": list(public_keys()),
        "init_messages": list(init_messages()),
        "frames": list(frame_cases()),
    }
