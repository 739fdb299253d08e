#!/usr/bin/env python3
"""Check any implementation of TCP-ENO and tcpcrypt against these vectors.

    check.py [--list] [--op NAME]... COMMAND [ARGUMENT]...

COMMAND reads one JSON object a line, a question, and writes one a line, its
answer; README.md has the protocol.  Exit status: 0 everything answered is
right, 1 something is not, or the command failed, 2 usage.
"""

import argparse
import contextlib
import hashlib
import json
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

HERE = Path(__file__).resolve().parent
PATIENCE = 60.0


class Case(NamedTuple):
    """A question, and what has to be answered."""

    op: str
    name: str
    question: Json
    answer: Json


# -- cases: one function for each kind of entry in the files


def some(values: Json, *names: str) -> Json:
    return {name: values[name] for name in names}


def data_of(frame: Json) -> str:
    if isinstance(frame["data"], str):
        return frame["data"]
    return hashlib.shake_256(b"oracle data").digest(frame["data"]["pattern"]).hex()


def parse(entry: Json, _: Json) -> Iterator[Case]:
    op, given = ("parse", "option") if entry["form"] == "syn" else ("parse-syn", "tcp_options")
    yield Case(op, entry["name"], some(entry, given), entry["expect"])


def negotiate(entry: Json, whole: Json) -> Iterator[Case]:
    question = some(entry, "option_1", "option_2", "mandatory_aware", "passive")
    question["sessions"] = [whole["known_resume_id"]]
    yield Case("negotiate", entry["name"], question, entry["expect"])


def frames(frames: list[Json], aead: int, keys: list[str], label: str) -> Iterator[Case]:
    for frame in frames:
        question = {"aead": aead, "key": keys[frame["generation"]], "data": data_of(frame)}
        question |= some(frame, "offset", "fin", "urgent", "rekey")
        yield Case("seal", f"{label}: {frame['name']}", question, some(frame, "frame"))


def opening(frames: list[Json], aead: int, keys: list[str], label: str) -> Iterator[Case]:
    """A whole direction, where its frames are given in full."""
    if all(isinstance(frame["frame"], str) for frame in frames):
        question = {"aead": aead, "keys": keys, "offset": frames[0]["offset"]}
        question["stream"] = "".join(frame["frame"] for frame in frames)
        answer = {"ok": True, "data": "".join(data_of(frame) for frame in frames)}
        answer |= {"generation": frames[-1]["generation"], "fin": True}
        yield Case("open", label, question, answer)


def key_log(lines: list[str], label: str) -> Iterator[Case]:
    for line in lines:
        _, name, aead, way, generation, key = line.split()
        question = {"name": name, "aead": int(aead, 16), "way": way, "key": key}
        question["generation"] = int(generation)
        yield Case("key-log", f"{label}: {way} {generation}", question, {"line": line})


def resumed(session: Json, aead: int, label: str) -> Iterator[Case]:
    question = some(session, "ss", "option_a", "option_b", "host_a_original_role", "tep_byte")
    question |= {"aead": aead, "generations": len(session["mk"])}
    answer = some(session, "sn", "mk", "k_ab", "k_ba", "session_id")
    yield Case("resume", label, question, answer)
    for host in "a", "b":
        args = session[f"frames_from_{host}"], aead, session[session[f"host_{host}_sends_with"]]
        yield from frames(*args, f"{label}, host {host.upper()}")
        yield from opening(*args, f"{label}, host {host.upper()}")
    yield from key_log(session["key_log"], label)


def handshakes(shake: Json, _: Json) -> Iterator[Case]:
    tep, aead = shake["tep"], shake["aead"]
    label = f"{tep:#04x} {shake['aead_name']}"
    if shake["ignored_a"]:
        label += ", ignored bytes"
    for host, peer in ("a", "b"), ("b", "a"):
        question = {"tep": tep, "private": shake[f"private_{host}"]}
        public = {"public": shake[f"public_{host}"]}
        yield Case("public-key", f"{label}, host {host.upper()}", question, public)
        question = question | {"public": shake[f"public_{peer}"]}
        answer = {"ok": True, "es": shake["es"]}
        yield Case("exchange", f"{label}, host {host.upper()}", question, answer)
    if not shake["ignored_a"]:
        for n, host, ciphers in (1, "a", shake["ciphers_a"]), (2, "b", [aead]):
            question = {"tep": tep, "message": n, "ciphers": ciphers}
            question |= {"nonce": shake[f"nonce_{host}"], "public": shake[f"public_{host}"]}
            answer = {"stream": shake[f"init{n}"]}
            yield Case("encode-init", f"{label}: Init{n}", question, answer)
    question = some(shake, "aead", "transcript", "nonce_a", "init1", "init2", "es")
    question |= {"tep_byte": tep, "generations": len(shake["mk"]), "sessions": len(shake["ss"])}
    answer = some(shake, "prk", "ss", "mk", "k_ab", "k_ba", "session_id", "resume_id")
    yield Case("schedule", label, question, answer)
    for way in "ab", "ba":
        args = shake[f"frames_{way}"], aead, shake[f"k_{way}"], f"{label}, {way}"
        yield from frames(*args)
        yield from opening(*args)
    yield from key_log(shake["key_log"], label)
    for kind in "resumed_roles_kept", "resumed_roles_swapped":
        yield from resumed(shake[kind], aead, f"{label}, {kind}")


def chains(chain: Json, _: Json) -> Iterator[Case]:
    for session in chain["sessions"]:
        label = f"{chain['aead_name']}, i = {session['i']}, A was"
        yield from resumed(session, chain["aead"], f"{label} {session['host_a_original_role']}")


def dialogues(dialogue: Json, _: Json) -> Iterator[Case]:
    told = ("sends", "data", "local_generation", "remote_generation")
    question = {name: value for name, value in dialogue.items() if name not in ("name", "mk0")}
    question["steps"] = [
        {name: value for name, value in step.items() if name not in told}
        for step in dialogue["steps"]
    ]
    answer = [
        {name: value for name, value in step.items() if name in told}
        for step in dialogue["steps"]
    ]
    name = f"{dialogue['aead']:#06x} {dialogue['name']}"
    yield Case("dialogue", name, question, {"steps": answer})


def refused(op: str, *given: str) -> Any:
    def cases(entry: Json, _: Json) -> Iterator[Case]:
        yield Case(op, entry["name"], some(entry, *given), entry["expect"])

    return cases


KINDS = {
    "parse": parse,
    "negotiate": negotiate,
    "handshakes": handshakes,
    "chains": chains,
    "dialogues": dialogues,
    "public_keys": refused("exchange", "tep", "private", "public"),
    "init_messages": refused("take-init", "tep", "message", "aeads", "stream"),
    "frames": refused("open", "aead", "keys", "offset", "stream"),
}


def every_case() -> Iterator[Case]:
    for path in sorted(HERE.glob("*.json")):
        if path.name != "sample.json":  # another reading's, of the same things
            whole = json.loads(path.read_text())
            for kind in KINDS.keys() & whole.keys():
                for entry in whole[kind]:
                    for case in KINDS[kind](entry, whole):
                        yield case._replace(name=f"{path.name}: {case.name}")


# -- comparing


def same(wanted: Any, given: Any) -> bool:
    """A long value is wanted as its length, hash and ends; for null anything will do."""
    if wanted is None:
        return True
    if isinstance(wanted, dict) and "sha256" in wanted:
        raw = bytes.fromhex(given)
        digest = hashlib.sha256(raw).hexdigest()
        return (len(raw), digest) == (wanted["length"], wanted["sha256"])
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(same_or_absent, wanted, given))
    if isinstance(wanted, dict) and isinstance(given, dict):
        return all(same_or_absent(value, given.get(name)) for name, value in wanted.items())
    return bool(wanted == given)


def same_or_absent(wanted: Any, given: Any) -> bool:
    return given is None or same(wanted, given)


def differences(case: Case, given: Json) -> list[str]:
    """What is answered and wrong; a refusal without a reason is right."""
    return [
        f"{name} is {short(given[name])}, not {short(wanted)}"
        for name, wanted in case.answer.items()
        if given.get(name) is not None and not same(wanted, given[name])
    ]


def missing(wanted: Any, given: Any) -> int:
    """How many values an implementation keeps to itself."""
    if isinstance(wanted, dict) and isinstance(given, dict):
        return sum(missing(value, given.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(given, list):
        return sum(map(missing, wanted, given))
    return int(given is None and wanted is not None)


def short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 160 else f"{text[:120]}... ({len(text)} characters)"


# -- the command


class Implementation:
    """The command, asked one question after another."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def ask(self, number: int, case: Case) -> Json:
        """ValueError for what is no answer."""
        question = json.dumps({"id": number, "op": case.op, **case.question})
        assert self.process.stdin is not None and self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it ended: what it answered comes first
            self.process.stdin.write(f"{question}\n")
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise ValueError(f"no answer in {PATIENCE:g} s to {short(question)}")
        line = self.process.stdout.readline()
        if not line:
            raise ValueError(f"the command ended at {short(question)}")
        answer = json.loads(line)
        if not isinstance(answer, dict) or answer.get("id") != number:
            raise ValueError(f"no answer to {short(question)}: {short(answer)}")
        return answer

    def __enter__(self) -> "Implementation":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()


def checked(cases: list[Case], implementation: Implementation) -> dict[str, Counter[str]]:
    """By operation, how many were what; differences are printed as they are found."""
    tally: dict[str, Counter[str]] = {}
    for number, case in enumerate(cases):
        answer = implementation.ask(number, case)
        count = tally.setdefault(case.op, Counter())
        if "unsupported" in answer:
            count["unsupported"] += 1
            continue
        wrong = differences(case, answer)
        if "ok" in case.answer and not isinstance(answer.get("ok"), bool):
            wrong.append("ok is neither true nor false")
        if not any(answer.get(name) is not None for name in case.answer):
            wrong.append("nothing was answered")
        for difference in wrong:
            print(f"DIFFERS  {case.op}  {case.name}: {difference}")
        count["differ" if wrong else "same"] += 1
        count["not given"] += missing(case.answer, answer)
    return tally


def summed_up(tally: dict[str, Counter[str]]) -> None:
    columns = ("same", "differ", "unsupported", "not given")
    print(f"{'':12}" + "".join(f"{column:>13}" for column in columns))
    for op, count in sorted(tally.items()):
        print(f"{op:12}" + "".join(f"{count[column]:13}" for column in columns))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--list", action="store_true", help="name the cases, ask nothing")
    parser.add_argument("--op", action="append", help="only this operation; may be repeated")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    cases = [case for case in every_case() if options.op is None or case.op in options.op]
    if options.list:
        for case in cases:
            print(f"{case.op:12} {case.name}")
        return 0
    if not options.command or not cases:
        parser.error("name a command" if cases else f"no such operation: {options.op}")
    try:
        with Implementation(options.command) as implementation:
            tally = checked(cases, implementation)
    except (ValueError, OSError) as error:
        print(f"check.py: {error}", file=sys.stderr)
        return 1
    summed_up(tally)
    total = sum(tally.values(), Counter())
    return 1 if total["differ"] or not total["same"] else 0


if __name__ == "__main__":
    sys.exit(main())
