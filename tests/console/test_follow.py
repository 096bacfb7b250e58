"""Following a run: events are shown in order, questions answered one by one, and the report named by the last event."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from constellation import RunReport
from constellation.console.approvals import Answer
from constellation.console.follow import follow
from constellation.console.output import OutputClosed
from constellation.graph import TaskConstellation
from constellation.orchestrator import events as ev
from constellation.orchestrator.report import make_report
from constellation.orchestrator.run import Run
from constellation.scheduling import SchedulingError

pytestmark = pytest.mark.anyio

FINISHED = ev.RunFinished(time=9.0, run="r1", state="succeeded", stars={"succeeded": 1}, width=1, makespan_s=1.0)


def question(star: str) -> ev.ApprovalRequested:
    return ev.ApprovalRequested(time=1.0, run="r1", star=star, question="Go?", arguments={})


def settled(star: str) -> ev.StarSettled:
    return ev.StarSettled(time=2.0, run="r1", star=star, state="succeeded")


class ScriptedRun:
    """A run whose events a test sends, and which remembers the answers it gets."""

    id = "r1"
    name = "flow"

    def __init__(self, *, refuses_answers: bool = False) -> None:
        self._events: list[ev.Event] = []
        self._more = anyio.Event()
        self.answers: list[tuple[str, bool, str, str]] = []
        self.answered = anyio.Event()
        self._refuses_answers = refuses_answers

    def tell(self, *events: ev.Event) -> None:
        self._events += events
        self._more.set()

    async def events(self, *, after: int = 0) -> AsyncIterator[ev.Event]:
        told = 0
        while FINISHED not in self._events[:told]:
            if told == len(self._events):
                self._more = anyio.Event()
                await self._more.wait()
            told += 1
            yield self._events[told - 1]

    async def wait(self) -> RunReport:
        return make_report("r1", TaskConstellation("flow"), "succeeded")

    async def approve(self, star: str, approved: bool = True, *, by: str = "", comment: str = "") -> None:
        self.answers.append((star, approved, by, comment))
        self.answered.set()
        if self._refuses_answers:
            raise SchedulingError("nobody waits")

    def as_run(self) -> Run:
        return typing.cast("Run", self)


class Shown:
    """A screen that remembers; it may be closed."""

    def __init__(self, *, closed: bool = False) -> None:
        self.events: list[ev.Event] = []
        self._closed = closed

    def show(self, event: ev.Event) -> None:
        if self._closed:
            raise OutputClosed
        self.events.append(event)


class Thinking:
    """An approver that answers when it is let."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.asking = anyio.Event()
        self.go = anyio.Event()
        self.dropped: list[str] = []

    async def decide(self, request: ev.ApprovalRequested) -> Answer:
        self.asked.append(request.star)
        self.asking.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.dropped.append(request.star)
            raise
        return Answer(True, "me", "fine")


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return typing.cast("str", getattr(request, "param", "asyncio"))


async def test_events_are_shown_while_a_question_waits_and_it_is_answered_in_the_end() -> None:
    run, screen, approver = ScriptedRun(), Shown(), Thinking()

    async def play() -> None:
        run.tell(question("gate"), settled("other"))
        await approver.asking.wait()
        approver.go.set()
        await run.answered.wait()
        run.tell(settled("gate"), FINISHED)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            report, path = await follow(run.as_run(), screen, approver, note=pytest.fail)
    assert run.answers == [("gate", True, "me", "fine")]
    assert screen.events == [question("gate"), settled("other"), settled("gate"), FINISHED]
    assert (report.state, path) == ("succeeded", None)


async def test_questions_that_settle_themselves_are_dropped_asked_or_not() -> None:
    run, screen, approver = ScriptedRun(), Shown(), Thinking()

    async def play() -> None:
        run.tell(question("first"))
        await approver.asking.wait()
        run.tell(question("second"), settled("second"), settled("first"), FINISHED)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            await follow(run.as_run(), screen, approver, note=pytest.fail)
    assert run.answers == []
    assert (approver.asked, approver.dropped) == (["first"], ["first"])


async def test_an_answer_that_comes_too_late_is_noted_and_the_run_goes_on() -> None:
    run, screen, approver = ScriptedRun(refuses_answers=True), Shown(), Thinking()
    approver.go.set()
    notes: list[str] = []

    async def play() -> None:
        run.tell(question("gate"))
        await run.answered.wait()
        run.tell(FINISHED)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(play)
            await follow(run.as_run(), screen, approver, note=notes.append)
    assert notes == ["the answer to gate came to nothing: nobody waits"]


async def test_the_report_is_written_before_the_last_event_which_names_it(tmp_path: Path) -> None:
    run, screen = ScriptedRun(), Shown()
    run.tell(FINISHED)
    order: list[str] = []

    async def write() -> Path:
        order.append(f"written after {len(screen.events)} events")
        return tmp_path / "report.md"

    _, path = await follow(run.as_run(), screen, Thinking(), note=pytest.fail, write_report=write)
    last = screen.events[-1]
    assert isinstance(last, ev.RunFinished)
    assert last.report == str(tmp_path / "report.md") == str(path)
    assert order == ["written after 0 events"]


async def test_a_report_that_cannot_be_written_does_not_hide_the_end() -> None:
    run, screen = ScriptedRun(), Shown()
    run.tell(FINISHED)

    async def write() -> Path:
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match="no space left"):
        await follow(run.as_run(), screen, Thinking(), note=pytest.fail, write_report=write)
    assert screen.events == [FINISHED]


async def test_a_closed_output_ends_the_following_with_nothing_else_beside_it() -> None:
    run = ScriptedRun()
    run.tell(FINISHED)
    with pytest.raises(ExceptionGroup) as caught:
        await follow(run.as_run(), Shown(closed=True), Thinking(), note=pytest.fail)
    assert [type(error) for error in caught.value.exceptions] == [OutputClosed]
