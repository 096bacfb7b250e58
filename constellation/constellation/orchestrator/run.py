"""A run as its owner sees it: its events, its result, and the means to change its course."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import anyio

from ..graph import AddStar, EditBatch, EditBuilder, StarId, TaskConstellation, TaskStar, UnknownStar, UpdateStar
from ..graph.snapshot import Snapshot, owned
from ..scheduling import RunEnded, RunId, RunMachine, UnknownRun
from ..scheduling import events as ev
from ..scheduling.nesting import find_inside
from .engine import check_size
from .event_log import EventLog
from .events import Event, RunFinished, StarSettled
from .report import RunReport, make_report, outputs_of

if TYPE_CHECKING:
    from ..planner import Remark
    from .engine import Engine

Offer = Callable[[Mapping[str, Callable[..., Any]]], Awaitable[None]]
"""Has the devices of this process offer functions, by tool name; raises DeviceUnsuited when they can't."""


Admit = Callable[[Iterable[TaskStar]], None]
"""Sees whether the connected devices can carry stars out; raises AdmissionRefused when they can't."""


class Run(Protocol):
    """A run, be it in this process or on a hub."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """The name of its graph."""

    def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """All its events numbered above `after`, as they come; ends after `RunFinished`.

        Raises:
            OrchestratorStopped, RunInUse: nothing more comes, for its orchestrator is closed or has lost it to another.
            HubUnreachable: the connection to its hub is gone.
        """

    async def wait(self) -> RunReport:
        """Wait for its end and return its report, however it ended; raises what `events` raises."""

    async def result(self) -> dict[str, Any]:
        """Wait for its end and return the outputs of the stars that nothing waits for, by their ids.

        Raises:
            RunFailed: it has not succeeded.
        """

    async def graph(self) -> TaskConstellation:
        """A copy of its graph, with the states and outcomes of the stars at this moment."""

    async def edit(self, edit: EditBatch | EditBuilder) -> None:
        """Change its graph; functions that a builder was given as work are offered by the devices of this process.

        Raises:
            EditRejected: it does not fit.
            AdmissionRefused: the connected devices can't carry out a star that it brings.
            DeviceUnsuited: it uses functions of this process, but the devices live in others.
            RunEnded: the run is over.
        """

    async def pause(self) -> None:
        """Start nothing new until `unpause`; raises RunEnded."""

    async def unpause(self) -> None:
        """Go on after a pause; raises RunEnded."""

    async def cancel(self, star: str | None = None, *, subtree: bool = False, reason: str = "") -> None:
        """End the run, or one star, or (`subtree`) a star and all that waits for it; raises RunEnded, UnknownStar."""

    async def approve(self, star: str, approved: bool = True, *, by: str = "", comment: str = "") -> None:
        """Answer an approval; one inside a nested constellation is named `<star>/<inner star>`; raises NotWaiting."""

    async def propose(self, question: str, arguments: Mapping[str, Any], *, timeout_s: float) -> Verdict:
        """Ask a person something that is no star's question, such as whether an edit may be made.

        It is asked, and answered with `approve`, like an approval that is called `planner/<name>`.

        Args:
            question: What the person is asked.
            arguments: JSON that is shown with it.
            timeout_s: Seconds after which no answer counts as a no.

        Raises:
            RunEnded: the run is over.
        """

    async def note(self, remark: Remark) -> None:
        """Have the journal and observers know what a planner says of its work; nothing once the run has ended."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person has said to a proposal.

    Attributes:
        approved: Whether it was a yes; no answer is a no.
        comment: What was said with it.
    """

    approved: bool
    comment: str = ""


class LocalRun:
    """A run of an orchestrator in this process; implements `Run`.

    Attributes:
        machine: Its state machine, to read.
        log: Where its events are published.
        devices_lost: The devices that went away while it went on.
        moved: The stars that lost a device, each with the last one that it lost.
    """

    def __init__(self, machine: RunMachine, log: EventLog, engine: Engine, offer: Offer, admit: Admit) -> None:
        self.machine = machine
        self.log = log
        self._engine = engine
        self._offer = offer
        self._admit = admit
        self.devices_lost: list[str] = []
        self.moved: dict[str, str] = {}

    @property
    def id(self) -> str:
        """See `Run.id`."""
        return self.machine.run

    @property
    def name(self) -> str:
        """See `Run.name`."""
        return self.machine.graph.name

    def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """See `Run.events`."""
        return self.log.read(after=after)

    async def wait(self) -> RunReport:
        """See `Run.wait`."""
        await self.log.wait_finished()
        return self.report()

    def report(self) -> RunReport:
        """Its report as it stands."""
        finished = self.log.finished
        error = finished.error["message"] if finished is not None and finished.error else None
        machine = self.machine
        return make_report(
            machine.run,
            machine.graph,
            machine.state,
            error=error,
            devices_lost=self.devices_lost,
            moved=self.moved,
            span=(finished.width, finished.makespan_s) if finished is not None else None,
        )

    async def result(self) -> dict[str, Any]:
        """See `Run.result`."""
        finished = await self.log.wait_finished()
        if finished.state != "succeeded":
            self.report().raise_for_state()
        return outputs_of(self.machine.graph)

    async def graph(self) -> TaskConstellation:
        """See `Run.graph`."""
        return Snapshot(self.machine.graph, once=True).graph()

    async def _ask(self, event: ev.RunEvent) -> None:
        if self.machine.ended:
            raise RunEnded(self.machine.run, self.machine.state)
        await self._engine.ask(event)

    async def edit(self, edit: EditBatch | EditBuilder) -> None:
        """See `Run.edit`."""
        if isinstance(edit, EditBuilder):
            await self._offer(edit.functions)
            edit = edit.build()
        self._admit(operation.star for operation in edit.operations if isinstance(operation, (AddStar, UpdateStar)))
        edited = ev.GraphEdited(self._engine.clock(), self.machine.run, owned(edit))
        check_size(edited)
        await self._ask(edited)

    async def pause(self) -> None:
        """See `Run.pause`."""
        await self._ask(ev.RunPaused(self._engine.clock(), self.machine.run))

    async def unpause(self) -> None:
        """See `Run.unpause`."""
        await self._ask(ev.RunUnpaused(self._engine.clock(), self.machine.run))

    async def cancel(self, star: str | None = None, *, subtree: bool = False, reason: str = "") -> None:
        """See `Run.cancel`."""
        if star is not None and not isinstance(star, str):
            raise UnknownStar(str(star))
        target = StarId(star) if star is not None else None
        await self._ask(ev.CancelRequested(self._engine.clock(), self.machine.run, target, subtree, reason))

    async def approve(self, star: str, approved: bool = True, *, by: str = "", comment: str = "") -> None:
        """See `Run.approve`."""
        if star in self.machine.planning.proposals:
            run, asked = self.machine.run, StarId(star)
            await self._ask(ev.ApprovalAnswered(self._engine.clock(), run, asked, approved, by, comment))
            return
        run, asked = find_inside(self._engine.scheduler.runs, self.machine, star)
        await self._ask(ev.ApprovalAnswered(self._engine.clock(), run, asked, approved, by, comment))

    async def propose(self, question: str, arguments: Mapping[str, Any], *, timeout_s: float) -> Verdict:
        """See `Run.propose`."""
        proposal = await self.begin_proposal(question, arguments)
        verdict = None
        try:
            with anyio.move_on_after(timeout_s):
                verdict = await self.verdict_on(proposal)
        finally:
            if verdict is None:
                await self.withdraw_proposal(proposal, f"nobody answered within {timeout_s:g} s")
        return verdict or Verdict(False, "nobody has answered")

    async def begin_proposal(self, question: str, arguments: Mapping[str, Any]) -> StarId:
        """Ask a person, and return what the proposal is called; raises RunEnded."""
        machine = self.machine
        proposal = StarId(f"planner/proposal-{machine.planning.asked + 1}")
        await self._ask(ev.ProposalMade(self._engine.clock(), machine.run, proposal, question, dict(arguments)))
        return proposal

    async def verdict_on(self, proposal: StarId) -> Verdict:
        """Wait for the answer to a proposal; the end of the run is a no."""
        async for event in self.log.read():
            if isinstance(event, StarSettled) and event.star == proposal:
                said = event.output["comment"] if event.state == "succeeded" else (event.error or {}).get("message", "")
                return Verdict(event.state == "succeeded", str(said))
            if isinstance(event, RunFinished):
                break
        return Verdict(False, "the run has ended")

    async def withdraw_proposal(self, proposal: StarId, reason: str) -> None:
        """Take a question back that nobody has answered."""
        if proposal in self.machine.planning.proposals:
            self._engine.post(ev.ProposalWithdrawn(self._engine.clock(), self.machine.run, proposal, reason))

    async def note(self, remark: Remark) -> None:
        """See `Run.note`."""
        if not self.machine.ended:
            await self._engine.ask(noted(self._engine.clock(), self.machine.run, remark))


def noted(at: float, run: RunId, remark: Remark) -> ev.PlannerNoted:
    """A planner's remark as an event of a run."""
    spent = remark.spent
    return ev.PlannerNoted(
        at,
        run,
        tuple(map(StarId, remark.stars)),
        remark.kind,
        remark.text,
        spent.calls,
        spent.input_tokens,
        spent.output_tokens,
        None if spent.usd is None else str(spent.usd),
        spent.seconds,
    )


def find_run(runs: Iterable[LocalRun], run: str) -> LocalRun:
    """The one of some runs that has an id, or that is nested in none and whose id begins so; raises UnknownRun."""
    held = list(runs)
    found = [each for each in held if each.id == run] or [
        each for each in held if each.id.startswith(run) and each.machine.parent is None
    ]
    if len(found) != 1:
        raise UnknownRun(run)
    return found[0]
