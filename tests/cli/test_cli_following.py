"""How a run is shown, questions answered and breakdowns told, on devices in this process."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import sys
import termios
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, cast

import pytest

from constellation import Approval, Orchestrator, Run, TaskConstellation
from constellation.cli.errors import RunBroken
from constellation.cli.following import CUT_OFF, Following
from constellation.cli.options import Approve
from constellation.graph import UnknownStar
from constellation.orchestrator.events import Event, RunStarted

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def gated() -> TaskConstellation:
    graph = TaskConstellation("gated")
    graph.star("gate", Approval("Go\x1b?"), after=[graph.star("scan", "system_profile")])
    return graph


async def follow(following: Following, graph: TaskConstellation | None = None) -> int:
    async with Orchestrator.local(1) as orchestrator:
        return await following.follow(await orchestrator.submit(graph or gated()))


async def test_a_run_in_a_pipe_is_plain_lines_and_a_summary(capsys: pytest.CaptureFixture[str]) -> None:
    assert await follow(Following(approve=Approve.ALL)) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].endswith(": gated (2 stars, 1 line)")
    assert any(line.endswith("gate waits for approval: Go\\e?") for line in lines)
    assert "  stars    2 succeeded" in lines
    assert captured.err == ""


async def test_as_json_there_are_events_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert await follow(Following(as_json=True, approve=Approve.NONE)) == 1
    captured = capsys.readouterr()
    events = [json.loads(line) for line in captured.out.splitlines()]
    assert events[-1]["event"] == "run_finished"
    (settled,) = (event for event in events if event["event"] == "star_settled" and event["star"] == "gate")
    assert "refused by --approve none" in settled["error"]["message"]
    assert captured.err == ""


async def test_without_a_terminal_a_question_is_refused_and_how_to_allow_it_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await follow(Following()) == 1
    assert capsys.readouterr().err == (
        "approval of gate refused: there is no terminal to ask at; to approve everything, give --approve all\n"
    )


async def test_on_a_terminal_notes_wait_until_the_picture_is_gone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    person, program = os.openpty()
    fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", 8, 60, 0, 0))
    monkeypatch.setenv("TERM", "xterm-256color")
    errors = tmp_path / "errors"
    with os.fdopen(program, "w", encoding="utf-8") as stream, errors.open("w", encoding="utf-8") as complaints:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", complaints)
        assert await follow(Following()) == 1, "there is a screen, but no keyboard"
        assert os.read(person, 1_000_000).decode().count("\x1b[?1049l") == 1
    os.close(person)
    assert errors.read_text(encoding="utf-8").startswith("approval of gate refused")


async def test_an_application_writes_its_own_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written: list[str] = []

    async def write(run: Run, path: Path) -> None:
        written.append(f"{run.name} {path.name}")

    assert await follow(Following(approve=Approve.ALL, report=tmp_path / "own.md", write=write)) == 0
    assert written == ["gated own.md"]
    assert f"  report   {tmp_path / 'own.md'}" in capsys.readouterr().out


async def test_a_report_in_a_place_that_is_gone_breaks_after_the_run_has_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RunBroken, match=r"r\.md: No such file or directory; the run itself has ended$"):
        await follow(Following(as_json=True, approve=Approve.ALL, report=tmp_path / "gone" / "r.md"))
    assert '"event":"run_finished"' in capsys.readouterr().out


class BrokenRun:
    """A run whose events end in an error."""

    id = "r1"

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def events(self) -> AsyncIterator[Event]:
        yield RunStarted(seq=1, time=1.0, run="r1", name="x", stars=1, lines=0)
        raise self._error


async def broken(following: Following, error: Exception) -> int:
    return await cast("Awaitable[int]", following.follow(cast("Any", BrokenRun(error))))


async def test_what_breaks_off_a_run_is_told_with_how_to_go_on() -> None:
    following = Following(resume_options=["--journal", "a b.db"])
    with pytest.raises(RunBroken) as caught:
        await broken(following, UnknownStar("x"))
    told = str(caught.value)
    assert told == "run r1: there is no star 'x'; resume it with: constellation resume r1 --journal 'a b.db'"


async def test_a_bug_in_the_middle_of_a_run_stays_a_bug() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        await broken(Following(), ZeroDivisionError())
    assert caught.group_contains(ZeroDivisionError)


def test_a_stop_says_how_to_go_on_and_an_end_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert Following(run_id="r1").after(1) == 1
    assert capsys.readouterr().err == ""
    assert Following(run_id="r1").after(130) == 130
    assert capsys.readouterr().err == f"stopped; resume it with: constellation resume r1\n{CUT_OFF}\n"
    assert Following(run_id="r1", at_hub=True, resume_options=["--hub", "ws://h"]).after(130) == 130
    assert capsys.readouterr().err == (
        "stopped watching; the run goes on at the hub; see it with: constellation resume r1 --hub ws://h\n"
    )
    assert Following().after(143) == 143
    assert capsys.readouterr().err == "stopped before the run had begun\n"
    Following(run_id="r1", lasting=False).after(130)
    assert "can't be resumed" in capsys.readouterr().err


async def test_a_stop_behind_the_end_of_a_run_does_not_say_that_it_could_go_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    following = Following(as_json=True, approve=Approve.ALL)
    await follow(following)
    following.after(130)
    assert capsys.readouterr().err == f"stopped; run {following.run_id} has ended\n"


async def test_a_stop_before_the_answer_of_a_request_says_how_to_get_it(capsys: pytest.CaptureFixture[str]) -> None:
    following = Following(as_json=True, approve=Approve.ALL, ends_with_us=True)
    await follow(following)
    following.after(130)
    answered = f"has ended; have it answered with: constellation resume {following.run_id}\n"
    assert capsys.readouterr().err == f"stopped; run {following.run_id} {answered}"
    following.answered = True
    following.after(130)
    assert capsys.readouterr().err == f"stopped; run {following.run_id} has ended\n"


async def test_a_user_without_a_name_can_answer_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert await follow(Following(as_json=True, approve=Approve.ALL)) == 0
    assert '"by":"someone at the terminal"' in capsys.readouterr().out
