"""The oracle itself: against the RFCs' own figures and an independent set of vectors.

tests/vectors/sample.json comes from a reading of the RFCs made apart from this one.  All that
it states must follow from the oracle, and the committed vectors must be what ci/vectors makes.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from oracle import Incomplete, OracleError, eno, init, keys, vectors, vectors_eno
from oracle.frames import DATA_MAX, Opener, Sealer, open_frame, seal
from oracle.scheme import SCHEMES

VECTORS = Path(__file__).parent.parent / "vectors"
SAMPLE: dict[str, Any] = json.loads((VECTORS / "sample.json").read_text())
SHAKE: dict[str, Any] = SAMPLE["handshakes"][0]


def by_name(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", SAMPLE["parse"], ids=by_name)
def test_sample_parse(case: dict[str, Any]) -> None:
    if case["form"] == "syn":
        assert vectors_eno.parsed(bytes.fromhex(case["option"])) == case["expect"]
        return
    block = bytes.fromhex(case["tcp_options"])
    found = eno.eno_options(block)
    assert [raw.hex() for raw in found] == case["eno_options"]
    if case["form"] == "syn-segment":
        assert vectors_eno.parsed_syn(block) == case["expect"]
    else:
        assert case["expect"] == {"ok": True, "present": bool(found)}


@pytest.mark.parametrize("case", SAMPLE["negotiate"], ids=by_name)
def test_sample_negotiate(case: dict[str, Any]) -> None:
    one, two = (
        None if case[key] is None else bytes.fromhex(case[key])
        for key in ("option_1", "option_2")
    )
    aware = case["mandatory_aware"]
    assert vectors_eno.negotiated(one, two, (aware[0], aware[1])) == case["expect"]


def test_sample_key_agreement() -> None:
    scheme, value = SCHEMES[SHAKE["tep"]], {k: v for k, v in SHAKE.items() if type(v) is str}
    a, b = (bytes.fromhex(value[k]) for k in ("private_a", "private_b"))
    public_a, public_b = scheme.public(a), scheme.public(b)
    assert (public_a.hex(), public_b.hex()) == (value["public_a"], value["public_b"])
    n_a, n_b = (bytes.fromhex(value[k]) for k in ("nonce_a", "nonce_b"))
    init1 = init.encode_init1(tuple(SHAKE["ciphers_a"]), n_a, public_a)
    init2 = init.encode_init2(SHAKE["aead"], n_b, public_b)
    assert (init1.hex(), init2.hex()) == (value["init1"], value["init2"])
    es = scheme.shared(a, public_b)
    assert es == scheme.shared(b, public_a) == bytes.fromhex(value["es"])
    transcript = bytes.fromhex(value["transcript"])
    assert keys.prk(n_a, transcript, init1, init2, es).hex() == value["prk"]


def test_sample_schedule() -> None:
    ss = [bytes.fromhex(secret) for secret in SHAKE["ss"]]
    assert keys.next_secret(ss[0]) == ss[1]
    assert keys.next_secret(ss[1]) == ss[2]
    values, _ = vectors.schedule(ss[0], b"", SHAKE["aead"], 3)
    assert values == {k: SHAKE[k] for k in ("mk", "k_ab", "k_ba")}
    assert keys.session_id(SHAKE["tep"], ss[0]).hex() == SHAKE["session_id"]
    assert [keys.resume_id(s).hex() for s in ss[1:]] == SHAKE["resume_id"][1:]


def plan(frames: list[dict[str, Any]]) -> vectors.Plan:
    return [
        (f["name"], f["data"]["pattern"], f["fin"], f["urgent"], f["rekey"]) for f in frames
    ]


@pytest.mark.parametrize(
    ("direction", "first"), [("frames_ab", "init1"), ("frames_ba", "init2")]
)
def test_sample_frames(direction: str, first: str) -> None:
    mk = keys.first_master_key(bytes.fromhex(SHAKE["prk"]))
    start = len(SHAKE[first]) // 2
    expected = SHAKE[direction]
    made = vectors.frames(SHAKE["aead"], mk, direction == "frames_ab", start, plan(expected))
    assert made == expected


def test_sample_resumption() -> None:
    case = SHAKE["resumed_roles_kept"]
    ss = bytes.fromhex(case["ss"])
    option_a, option_b = (eno.parse(bytes.fromhex(case[k])) for k in ("option_a", "option_b"))
    a, b = option_a.teps[0], option_b.teps[0]
    session = keys.Session(a.tep, SHAKE["aead"], case["host_a_original_role"], case["i"], ss)
    assert (session.local_half, session.remote_half) == (a.data[:9], b.data[:9])
    assert session.identifier.hex() == case["resume_id"]
    sn = session.sn(a.data[9:], b.data[9:])
    assert sn.hex() == case["sn"]
    values, mk = vectors.schedule(ss, sn, session.aead, 2)
    assert values == {k: case[k] for k in values}
    assert keys.session_id(case["tep_byte"], ss, sn).hex() == case["session_id"]
    for key, ab in (("frames_from_a", True), ("frames_from_b", False)):
        assert vectors.frames(session.aead, mk, ab, 0, plan(case[key])) == case[key]


def test_vectors_are_current() -> None:
    for name, text in vectors.files().items():
        assert (VECTORS / name).read_text() == text, f"{name} is stale: run ci/vectors"


def test_rfc5869_case_1() -> None:
    """RFC 5869 appendix A.1: what Extract and CPRF are made of."""
    prk = keys.extract(bytes(range(13)), b"\x0b" * 22)
    assert prk.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
    okm = keys.cprf(prk, bytes(range(0xF0, 0xFA)), 42)
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )


def test_rfc7748_exchange() -> None:
    """RFC 7748 section 6.1: Bob's half of the exchange."""
    scheme = SCHEMES[0x23]
    b = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    public_a = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    public_b = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert scheme.public(b).hex() == public_b
    assert scheme.shared(b, bytes.fromhex(public_a)).hex() == shared


@pytest.mark.parametrize("tep", [0x23, 0x24])
def test_all_zero_secret_is_refused(tep: int) -> None:
    """RFC 8548 section 5: low-order points force the all-zero value; abort."""
    scheme = SCHEMES[tep]
    private = vectors.derived("low order", scheme.private_len)
    for low in (0, 1):
        with pytest.raises(OracleError, match="bad-public-key"):
            scheme.shared(private, low.to_bytes(scheme.field_len, "little"))


@pytest.mark.parametrize("tep", [0x21, 0x22])
def test_nist_public_keys(tep: int) -> None:
    """RFC 8548 section 5: L counts itself, the bare length is understood, 0x04 is refused."""
    scheme = SCHEMES[tep]
    one, two = (scheme.private(vectors.derived(x, scheme.private_len)) for x in "ab")
    field = scheme.public(one)
    assert int.from_bytes(field[:2], "big") == len(field) == scheme.field_len
    bare = (len(field) - 2).to_bytes(2, "big") + field[2:]
    assert scheme.shared(two, field) == scheme.shared(two, bare)
    for wrong in (field[:2] + b"\x04" + field[3:], b"\0\0" + field[2:], b"\0\0" * 30):
        with pytest.raises(OracleError, match="bad-public-key"):
            scheme.shared(two, wrong)


def test_init_byte_by_byte() -> None:
    """An Init message is Incomplete at every strict prefix, and its tail is ignored."""
    whole = init.encode_init1((1, 2), bytes(32), b"\x09" * 32, ignored=b"tail")
    for end in range(len(whole)):
        with pytest.raises(Incomplete):
            init.parse_init1(whole[:end], 0x23)
    parsed = init.parse_init1(whole + b"more", 0x23)
    assert (parsed.raw, parsed.ciphers, parsed.ignored) == (whole, (1, 2), b"tail")
    with pytest.raises(OracleError, match="bad-magic"):
        init.parse_init2(whole[:1], 0x23)
    short = init.encode_init2(1, bytes(32), bytes(31))
    with pytest.raises(OracleError, match="short-init"):
        init.parse_init2(short, 0x23)


@pytest.mark.parametrize("aead", keys.AEADS)
def test_frames_round_trip(aead: int) -> None:
    mk = bytes(range(32))
    sealer, opener = Sealer(aead, mk, True, 77), Opener(aead, mk, True, 77)
    stream = sealer.seal(b"one", cres=0x7F, fres=0x3F)
    stream += sealer.seal(b"two", rekey=True, urgent=2)
    stream += sealer.seal(bytes(DATA_MAX)) + sealer.seal(fin=True)
    opener.feed(stream)
    got = [opener.next() for _ in range(4)]
    assert [f.data for f in got] == [b"one", b"two", bytes(DATA_MAX), b""]
    assert (got[1].urgent, got[1].rekey, got[3].fin) == (2, True, True)
    with pytest.raises(Incomplete):
        opener.next()
    opener.feed(b"\0")
    with pytest.raises(OracleError, match="after-finp"):
        opener.next()


def test_frames_refused() -> None:
    key = keys.traffic_keys(bytes(32), 1)[0]
    frame = seal(1, key, 0, b"\x00data")
    for at in range(len(frame)):
        broken = bytes(x ^ (i == at) for i, x in enumerate(frame))
        with pytest.raises(OracleError, match="authentication-failed"):
            open_frame(1, key, 0, broken)
    with pytest.raises(OracleError, match="authentication-failed"):
        open_frame(1, key, 1, frame)
    with pytest.raises(OracleError, match="no-flags"):
        open_frame(1, key, 0, seal(1, key, 0, b""))
    with pytest.raises(OracleError, match="no-urgent-field"):
        open_frame(1, key, 0, seal(1, key, 0, b"\x02\x00"))
    with pytest.raises(OracleError, match="frame-too-long"):
        seal(1, key, 0, bytes(DATA_MAX + 2))
