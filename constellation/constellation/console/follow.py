"""Following a run to its end: its events go to the screen, its questions to whoever answers them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import ObjectReceiveStream

from ..orchestrator.errors import ConstellationError
from ..orchestrator.events import ApprovalRequested, Event, RunFinished, StarSettled
from ..orchestrator.report import RunReport
from ..orchestrator.run import Run
from ..scheduling.errors import SchedulingError
from .approvals import Approver

MAX_QUESTIONS = 100_000
"""How many approvals may wait for their answer: more than a graph has stars."""


class Screen(Protocol):
    """Where events are shown."""

    def show(self, event: Event) -> None:
        """Show an event."""


async def follow(
    run: Run,
    screen: Screen,
    approver: Approver,
    *,
    note: Callable[[str], None],
    write_report: Callable[[], Awaitable[Path]] | None = None,
) -> tuple[RunReport, Path | None]:
    """Show a run until it has ended.

    Args:
        run: What to follow.
        screen: Where its events go.
        approver: Who answers its approvals.
        note: Says something to the person on the side.
        write_report: Writes the report when the run has ended, before the last event is shown, which names it.

    Returns:
        The run's report, and the file that it was written to.

    Raises:
        OutputClosed: the reader of the output has gone away.
        OSError: the report can't be written; raised after the last event has been shown.
    """
    desk = _Desk(run, approver, note)
    path: Path | None = None
    failure: OSError | None = None
    ask, asked = anyio.create_memory_object_stream[ApprovalRequested](MAX_QUESTIONS)
    async with ask, asked, anyio.create_task_group() as tasks:
        tasks.start_soon(desk.answer_all, asked)
        async for event in run.events():
            if isinstance(event, RunFinished) and write_report is not None:
                try:
                    path = await write_report()
                    event = replace(event, report=str(path))
                except OSError as error:
                    failure = error  # the run has ended all the same, and that is said first
            screen.show(event)
            if isinstance(event, ApprovalRequested):
                desk.open.add(event.star)
                ask.send_nowait(event)
            elif isinstance(event, StarSettled):
                desk.settled(event.star)
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return await run.wait(), path


@dataclass(slots=True)
class _Desk:
    """Takes one question after another; drops those that settle without an answer from here."""

    run: Run
    approver: Approver
    note: Callable[[str], None]
    open: set[str] = field(default_factory=set)
    _asking: tuple[str, anyio.CancelScope] | None = None

    async def answer_all(self, asked: ObjectReceiveStream[ApprovalRequested]) -> None:
        async for request in asked:
            if request.star in self.open:
                await self._answer(request)

    def settled(self, star: str) -> None:
        self.open.discard(star)
        if self._asking is not None and self._asking[0] == star:
            self._asking[1].cancel()

    async def _answer(self, request: ApprovalRequested) -> None:
        with anyio.CancelScope() as scope:
            self._asking = (request.star, scope)
            try:
                answer = await self.approver.decide(request)
            finally:
                self._asking = None
            try:
                await self.run.approve(request.star, answer.approved, by=answer.by, comment=answer.comment)
            except (ConstellationError, SchedulingError) as error:
                # Someone else was faster, or its time was up: the run knows, and goes on.
                self.note(f"the answer to {request.star} came to nothing: {error}")
