"""Those who want something of a run in the simulated world: people who answer, edit and interfere, and planners."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import cast

from ..graph import AddStar, Approval, EditBatch, EditBuilder, EditConflict, RemoveStar, StarId, StarState
from ..orchestrator.planning import Planned, Planner, review_of
from ..orchestrator.turns import Refusal
from ..scheduling import RunId, RunMachine
from ..scheduling import events as ev
from .faults import Scene
from .graphs import random_batch, random_star
from .orchestrator import SimulatedOrchestrator

MAX_LOOKS = 5
"""How often a planner looks at one star when other edits keep coming in between."""


class People:
    """Everybody outside.

    Attributes:
        orchestrator: The one that they talk to now.
    """

    def __init__(self, scene: Scene, planner: Planner | None) -> None:
        """Let people act; `planner` looks at stars that have ended, and edits at random where it is None."""
        if inspect.iscoroutinefunction(planner):
            raise TypeError("a simulated world has no event loop: give a planner that is a plain function")
        self.orchestrator: SimulatedOrchestrator
        self._scene = scene
        self._planner = planner
        self._proposals = 0

    def _request(self, event: ev.RunEvent, done: Callable[[Refusal | None], None] = lambda refusal: None) -> None:
        self.orchestrator.request(event, done)

    @property
    def _now(self) -> float:
        return self._scene.clock.now

    # --- answering ---------------------------------------------------------------------------------------------------

    def asked_approval(self, run: RunId, star: str) -> None:
        """Answer an approval after a while, or never."""
        rng = self._scene.rng
        if self._scene.chance(0.2):
            self._scene.trace.fault("approval ignored", f"{run}/{star}")
            return
        approved = not self._scene.chance(0.3)
        after = rng.uniform(0.05, 2.0)
        self._scene.clock.after(after, self._answer, self.orchestrator, run, StarId(star), approved)

    def _answer(self, orchestrator: SimulatedOrchestrator, run: RunId, star: StarId, approved: bool) -> None:
        orchestrator.request(ev.ApprovalAnswered(self._now, run, star, approved, "someone"))

    def asked_review(self, run: RunId, star: str) -> None:
        """Have the planner look at a star after a while, or never."""
        if self._scene.chance(0.1):
            self._scene.trace.fault("review never ends", f"{run}/{star}")
            return
        self._scene.clock.after(self._scene.rng.uniform(0.05, 1.5), self._review, self.orchestrator, run, star, 1)

    def _review(self, orchestrator: SimulatedOrchestrator, run: RunId, star: str, look: int) -> None:
        machine = orchestrator.machine(run)
        if not orchestrator.alive or machine is None or star not in machine.graph:
            return
        note = ""
        batch: EditBatch | None = None
        try:
            batch = self._plan(machine, StarId(star))
        except Exception as error:  # what a planner raises is its affair here as in the product; scripts tell of it
            note = f"{type(error).__name__}: {error}"
        if batch is None:
            self._release(orchestrator, run, star, note)
            return

        def done(refusal: Refusal | None) -> None:
            if isinstance(refusal, EditConflict) and look < MAX_LOOKS:
                self._review(orchestrator, run, star, look + 1)
            else:
                self._release(orchestrator, run, star, str(refusal or ""))

        orchestrator.request(ev.GraphEdited(self._now, run, batch), done)

    def _plan(self, machine: RunMachine, star: StarId) -> EditBatch | None:
        if self._planner is None:
            return self._random_edit(machine) if self._scene.chance(0.5) else None
        planned = cast("Planned", self._planner(review_of(machine.run, machine.graph, star)))
        if isinstance(planned, EditBuilder):
            planned = planned.build()
        return planned if planned is not None and planned.operations else None

    def _release(self, orchestrator: SimulatedOrchestrator, run: RunId, star: str, note: str) -> None:
        if orchestrator.alive:
            orchestrator.post(ev.HoldReleased(self._now, run, StarId(star), note))

    # --- proposing ---------------------------------------------------------------------------------------------------

    def propose(self) -> None:
        """Ask about what a planner wants to do, say what that has used, perhaps withdraw it, and go on like that."""
        if self._scene.calm:
            return
        rng = self._scene.rng
        machine = self._some_run() if self.orchestrator.alive else None
        if machine is not None:
            self._proposals += 1
            run, proposal = machine.run, StarId(f"planner/{self._proposals}")
            self._scene.trace.faults["proposal"] += 1
            usd = rng.choice([None, "0", "0.25"])
            self._request(ev.PlannerNoted(self._now, run, (), "edited", "it seemed better", calls=1, usd=usd))
            self._request(ev.ProposalMade(self._now, run, proposal, "may this be done?"))
            if rng.random() < 0.5:
                self._scene.clock.after(rng.uniform(0.05, 2.0), self._withdraw, self.orchestrator, run, proposal)
        self._scene.clock.after(rng.uniform(0.5, 3.0), self.propose)

    def _withdraw(self, orchestrator: SimulatedOrchestrator, run: RunId, proposal: StarId) -> None:
        orchestrator.request(ev.ProposalWithdrawn(self._now, run, proposal, "it took too long"))

    # --- interfering -------------------------------------------------------------------------------------------------

    def _some_run(self) -> RunMachine | None:
        going_on = [machine for machine in self.orchestrator.scheduler.runs.values() if not machine.ended]
        return self._scene.rng.choice(going_on) if going_on else None

    def _random_edit(self, machine: RunMachine) -> EditBatch:
        version = machine.graph.version
        base = self._scene.rng.choice([None, version, version, max(0, version - 1)])
        return random_batch(self._scene.rng, machine.graph, base=base, author="planner")

    def edit(self) -> None:
        """Edit some run at random."""
        machine = self._some_run()
        if machine is not None:
            self._scene.trace.faults["edit"] += 1
            self._request(ev.GraphEdited(self._now, machine.run, self._random_edit(machine)))

    def edit_from_two_sides(self) -> None:
        """Two planners edit what they have both looked at, one of them a little later."""
        machine = self._some_run()
        if machine is None:
            return
        self._scene.trace.faults["two edits of one version"] += 1
        rng, version, orchestrator = self._scene.rng, machine.graph.version, self.orchestrator
        for author in ("one", "other"):
            batch = random_batch(rng, machine.graph, base=version, author=author)
            late = rng.choice([0.0, rng.uniform(0.0, 1.0)])
            self._scene.clock.after(late, self._edit_late, orchestrator, machine.run, batch)

    def _edit_late(self, orchestrator: SimulatedOrchestrator, run: RunId, batch: EditBatch) -> None:
        orchestrator.request(ev.GraphEdited(self._now, run, batch))

    def replace(self) -> None:
        """Remove a star that was tried before, and bring another under its id."""
        for machine in self.orchestrator.scheduler.runs.values():
            for star, tries in machine.tries.items():
                if tries.attempts and tries.attempt is None and star in machine.graph:
                    self._scene.trace.faults["star replaced"] += 1
                    again = AddStar(random_star(self._scene.rng, star, [], depth=1))
                    self._request(ev.GraphEdited(self._now, machine.run, EditBatch((RemoveStar(star), again))))
                    return

    def pause(self) -> None:
        """Pause some run for a while."""
        machine = self._some_run()
        if machine is not None:
            self._scene.trace.faults["pause"] += 1
            self._request(ev.RunPaused(self._now, machine.run))
            self._scene.clock.after(self._scene.rng.uniform(0.5, 4.0), self._unpause, machine.run)

    def _unpause(self, run: RunId) -> None:
        self._request(ev.RunUnpaused(self._now, run))

    def hold(self) -> None:
        """Hold what comes after some star, for a while."""
        machine = self._some_run()
        if machine is not None and len(machine.graph):
            star = self._scene.rng.choice(list(machine.graph))
            self._scene.trace.faults["hold"] += 1
            self._request(ev.HoldTaken(self._now, machine.run, star))
            if not self._scene.chance(0.2):
                self._scene.clock.after(self._scene.rng.uniform(0.1, 3.0), self._unhold, machine.run, star)

    def _unhold(self, run: RunId, star: StarId) -> None:
        self._release(self.orchestrator, run, star, "")

    def cancel(self) -> None:
        """Cancel a star, a star with all that waits for it, or now and then a run."""
        machine = self._some_run()
        if machine is not None and len(machine.graph):
            rng = self._scene.rng
            star = None if rng.random() < 0.1 else rng.choice(list(machine.graph))
            self._scene.trace.faults["cancel" if star is not None else "cancel of a run"] += 1
            self._request(ev.CancelRequested(self._now, machine.run, star, subtree=rng.random() < 0.5))

    # --- calming down ------------------------------------------------------------------------------------------------

    def let_go_on(self) -> None:
        """Answer what waits for an answer, and take back what keeps runs from going on."""
        for run, machine in list(self.orchestrator.scheduler.runs.items()):
            if machine.closing:
                continue
            if machine.state == "paused":
                self._request(ev.RunUnpaused(self._now, run))
            for star in list(machine._holds):
                self._release(self.orchestrator, run, star, "")
            for star in machine.graph:
                if machine.graph.state(star) is StarState.RUNNING and isinstance(machine.graph[star].work, Approval):
                    self._answer(self.orchestrator, run, star, True)
