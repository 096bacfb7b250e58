"""The fuzzer: a short run in which nothing breaks, and planted bugs of every sort, which it finds and makes small."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from constellation.testing.fuzz import CodecTarget, SessionTarget, Tally, Target, fuzz
from constellation.testing.fuzz import running as running_module
from constellation.testing.fuzz.__main__ import main
from constellation.testing.fuzz.breach import CODES
from constellation.testing.fuzz.door_target import DoorTarget
from constellation.testing.fuzz.running import read_input
from constellation.testing.fuzz.spreading import TARGETS, shares
from constellation_protocol import codec, session
from constellation_protocol.errors import RemoteProtocolError
from constellation_protocol.inbox import Inbox
from constellation_protocol.session import Session

CODEC_INPUTS, SESSION_INPUTS, DOOR_INPUTS = 4000, 1500, 150


def unbroken(tally: Tally) -> set[str]:
    """What became of the inputs, none of which broke anything."""
    assert [(failure.seed, failure.problem, failure.steps) for failure in tally.failures] == []
    (fates,) = tally.fates.values()
    assert sum(fates.values()) == sum(tally.inputs.values())
    return set(fates)


def test_thousands_of_frames_are_understood_or_turned_down_by_every_code_of_the_codec() -> None:
    tally = fuzz(CodecTarget(), range(CODEC_INPUTS))
    assert unbroken(tally) == {
        "accepted", "malformed-frame", "version", "unknown-kind", "invalid-message", "frame-too-large",
    }  # fmt: skip
    assert tally.weighed == CODEC_INPUTS / running_module.WEIGHED_EVERY


def test_a_thousand_sessions_bear_what_peers_do() -> None:
    fates = unbroken(fuzz(SessionTarget(), range(SESSION_INPUTS)))
    assert {"open", "ended", "sequence", "credits", "direction", "handshake", "malformed-frame"} <= fates
    assert fates <= CODES | {"open", "ended", "refused"}


@pytest.mark.e2e
def test_a_hub_answers_or_closes_whatever_comes_to_its_door() -> None:
    with DoorTarget() as door:
        fates = unbroken(fuzz(door, range(DOOR_INPUTS)))
    assert {"closed", "malformed-frame", "sequence"} <= fates


def test_the_same_seed_makes_the_same_input() -> None:
    for target in (CodecTarget(), SessionTarget()):
        assert [target.make(Random(seed)) for seed in range(50)] == [target.make(Random(seed)) for seed in range(50)]


def test_seeds_are_shared_out_among_targets_and_none_is_left_out() -> None:
    split = shares(range(2000), list(TARGETS), each=False)
    assert sorted(seed for its in split.values() for seed in its) == list(range(2000))
    assert {name: len(its) for name, its in split.items()} == {name: 10 * share for name, share in TARGETS.items()}
    assert shares([7], ["codec", "door"], each=True) == {"codec": [7], "door": [7]}


# --- planted bugs ----------------------------------------------------------------------------------------------------


def crash_on_unknown_kinds(patch: pytest.MonkeyPatch) -> None:
    explain = codec._explain

    def explain_or_not(error: Any) -> RemoteProtocolError:
        told = explain(error)
        return {"unknown-kind": KeyError}.get(told.code, RemoteProtocolError)(told.code, told.message)  # type: ignore[return-value]

    patch.setattr(codec, "_explain", explain_or_not)


def hang_on_long_frames(patch: pytest.MonkeyPatch) -> None:
    decode_chunk = codec._decode_chunk

    def wait(data: bytes) -> codec.Frame:
        while len(data) == 54:
            pass
        return decode_chunk(data)

    patch.setattr(codec, "_decode_chunk", wait)
    patch.setattr(running_module, "HANG_S", 0.05)


def take_too_much_memory(patch: pytest.MonkeyPatch) -> None:
    check = codec._check_is_json

    def waste(text: str) -> None:
        bytes(8 * 2**20)
        check(text)

    patch.setattr(codec, "_check_is_json", waste)
    patch.setattr(running_module, "WEIGHED_EVERY", 1)


def tell_the_frame_back(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(codec, "_explain", lambda error: RemoteProtocolError("malformed-frame", str(error.errors()[0])))


def tell_an_unlisted_code(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(codec, "_explain", lambda error: RemoteProtocolError("what", "?"))


def count_no_credits(patch: pytest.MonkeyPatch) -> None:
    accept = Inbox.accept

    def accept_all(self: Inbox, *arguments: Any) -> bool:
        self._credits += 100
        try:
            return accept(self, *arguments)
        finally:
            self._credits -= 100

    patch.setattr(Inbox, "accept", accept_all)


def say_nothing_of_faults(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "fail", lambda self, error: self.end(str(error)))


def go_on_after_faults(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        Session,
        "fail",
        lambda self, error: self._control.append(session.ProtocolFault(code=error.code, message=error.message)),
    )


@pytest.mark.parametrize(
    ("target", "plant", "problem", "smallest"),
    [
        (CodecTarget(), crash_on_unknown_kinds, "crash with KeyError", 100),
        (CodecTarget(), hang_on_long_frames, "of CPU time", 60),
        (CodecTarget(), take_too_much_memory, "bytes of memory", 100_000),
        (CodecTarget(), tell_the_frame_back, "the error has", 600),
        (CodecTarget(), tell_an_unlisted_code, "which no document lists", 100),
        (SessionTarget(), count_no_credits, "there was credit for", 2500),
        (SessionTarget(), say_nothing_of_faults, "the peer is told None", 700),
        (SessionTarget(), go_on_after_faults, "goes on after the peer broke the rules", 700),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_planted_bug_is_found_made_small_and_found_again(
    target: Target,
    plant: Callable[[pytest.MonkeyPatch], None],
    problem: str,
    smallest: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch)
    failure = next(failure for seed in range(4000) for failure in fuzz(target, [seed]).failures)
    assert problem in failure.problem
    steps = read_input(failure.write(tmp_path).read_text(encoding="utf-8"))
    assert steps == list(failure.steps)
    assert sum(len(part) for step in steps for part in step if isinstance(part, str | bytes)) <= smallest
    again = fuzz(target, [failure.seed]).failures
    assert [found.steps for found in again] == [failure.steps]
    monkeypatch.undo()
    target.run(steps)


# --- the command -----------------------------------------------------------------------------------------------------


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "constellation.testing.fuzz", *arguments]
    return subprocess.run(program, cwd=cwd, capture_output=True, text=True, timeout=100)


@pytest.mark.e2e
def test_the_command_says_how_many_inputs_there_were_and_what_became_of_them(tmp_path: Path) -> None:
    done = command("--inputs", "2300", "--from", "100", "--jobs", "2", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["from"], told["inputs"], told["failures"]) == (100, 2300, [])
    assert set(told["by_target"]) == set(TARGETS)
    assert sum(sum(fates.values()) for fates in told["fates"].values()) == 2300
    assert not (tmp_path / "fuzz-failures").exists()


@pytest.mark.e2e
def test_the_command_carries_out_one_input_for_a_person(tmp_path: Path) -> None:
    done = command("--seed", "7", "--target", "codec", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("1 inputs of 1 steps from seed 7")
    assert done.stdout.endswith("nothing broke\n")


def test_the_command_carries_out_what_was_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        tell_an_unlisted_code(patch)
        failure = next(failure for seed in range(500) for failure in fuzz(CodecTarget(), [seed]).failures)
        place = failure.write(tmp_path / "kept")
        assert replayed(place, monkeypatch) == 1
        assert "which no document lists" in capsys.readouterr().out
    assert replayed(place, monkeypatch) == 0
    assert capsys.readouterr().out == f"{place}: malformed-frame\n"


def replayed(place: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--replay", str(place)])
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def test_an_unknown_target_is_refused(tmp_path: Path) -> None:
    done = command("--target", "window", cwd=tmp_path)
    assert done.returncode == 2
    assert "none of codec, session, door" in done.stderr
