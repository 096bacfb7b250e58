"""The simulated world: an orchestrator, devices, a network, a disk and people, in one thread under virtual time.

Everything that decides anything is the product's own code: the scheduler in validate mode, the turns of the engine, the
records of the journal, the sessions of the protocol on both sides, the translation between messages and events. What is
simulated is what surrounds it. All chance comes from one seed, so a world that fails, fails again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from ..graph import Outcome, StarId, TaskConstellation
from ..graph.documents import dump
from ..orchestrator.planning import Planner
from ..scheduling import PlacementPolicy, RunId, RunMachine, RunOptions
from ..scheduling import events as ev
from . import invariants as inv
from .device import FakeDevice
from .device_host import DeviceHost
from .disk import SimulatedDisk
from .disturbances import disturb
from .errors import TestingError
from .faults import START, Faults, Scene
from .graphs import random_graph
from .journal import SimulatedJournal
from .network import Direction, Network
from .orchestrator import SimulatedOrchestrator
from .people import People
from .trace import Trace
from .watch import Watch

RUN = RunId("run")
"""The run of every world."""

PROPOSING = 8
"""In one world out of so many a planner asks people before it acts; which ones follows from the seed without chance."""

PATIENCE_S = 400.0
"""How long a world may take to come to its end once nothing goes wrong any more, in virtual seconds."""

ACKNOWLEDGED_S = 60.0
"""How long it may take after that until devices owe no results any more, in virtual seconds."""


class SimulatedWorld:
    """One run of one graph, and everything that can happen to it.

    Attributes:
        seed: Where all chance comes from.
        trace: What has happened, with counts of faults, commands and events.
        people: Those outside, who can be told to interfere.
    """

    def __init__(
        self,
        seed: int,
        *,
        graph: TaskConstellation | None = None,
        devices: Sequence[FakeDevice] | None = None,
        options: RunOptions | None = None,
        policy: PlacementPolicy | None = None,
        planner: Planner | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Make a world; what is not given follows from the seed.

        Args:
            seed: Where all chance comes from.
            graph: What is run; a random graph when None.
            devices: What it is run on; up to three devices when None.
            options: How it is run.
            policy: Chooses among devices; the product's own when None.
            planner: A plain function that looks at every star that ends.
            faults: What goes wrong.
        """
        scene = self._scene = Scene(seed, faults if faults is not None else Faults())
        rng = scene.rng
        self.seed = seed
        self.trace: Trace = scene.trace
        self._devices = list(devices) if devices is not None else _some_devices(scene)
        graph = graph if graph is not None else random_graph(rng, rng.randint(2, 8))
        if options is None:
            review = planner is not None or (not scene.calm and rng.random() < 0.4)
            options = RunOptions(
                deadline_s=None if scene.calm else rng.choice([None, None, None, 15.0]),
                cancel_grace_s=1.0,
                timeout_margin_s=0.5,
                max_losses=2,
                review=review,
                review_timeout_s=3.0,
                accept_s=6.0,
            )
        self._first = ev.RunStarted(scene.clock.now, RUN, dump(graph), options)
        self._policy = policy
        self._disk = SimulatedDisk()
        self._network = Network(scene)
        self._watch = Watch(scene, self._devices)
        self.people: People = People(scene, planner)
        self._hosts = {
            device.id: DeviceHost(scene, self._network, self._watch, device, self._devices) for device in self._devices
        }
        self._orchestrator = self.people.orchestrator = self._new_orchestrator()
        self._begun = False

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Self:
        """Let everything happen: faults for a while, then none, until the run has ended.

        Raises:
            InvariantBreached: something happened that must never happen.
        """
        self.run_until(self._scene.faults.until_s)
        return self.finish()

    def run_until(self, at_s: float) -> None:
        """Go on until an instant in virtual seconds after the beginning, or the end; raises InvariantBreached."""
        self._begin()
        clock, until = self._scene.clock, START + at_s
        with self._nothing_raises():
            while not self.over and (due_at := clock.next_at) is not None and due_at <= until:
                clock.step()

    def step(self) -> bool:
        """Let the next thing happen; False when nothing will, or the run has ended. Raises InvariantBreached."""
        self._begin()
        with self._nothing_raises():
            return not self.over and self._scene.clock.step()

    def finish(self) -> Self:
        """Let nothing go wrong any more, and see that everything ends; raises InvariantBreached."""
        self._begin()
        clock = self._scene.clock
        with self._nothing_raises():
            self._calm_down()
            limit = clock.now + PATIENCE_S
            while not self.over and clock.now < limit and clock.step():
                pass
            limit = clock.now + ACKNOWLEDGED_S
            while any(device.kept for device in self._devices) and clock.now < limit and clock.step():
                pass
            self._check_the_end()
        return self

    @contextmanager
    def _nothing_raises(self) -> Iterator[None]:
        try:
            yield
        except TestingError:
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise self._watch.breach(inv.nothing_raises_unasked, problem, None) from error

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        for host in self._hosts.values():
            host.start()
        self._scene.clock.after(self._scene.soon(), self._orchestrator.start, self._first)
        self._plan_disturbance()
        if self.seed % PROPOSING == PROPOSING - 1:
            self._scene.clock.after(self._scene.soon(), self.people.propose)

    @property
    def over(self) -> bool:
        """Whether the run has ended, and nobody has anything left to do for it."""
        return RUN in self._watch.finished and self._orchestrator.alive and not self._orchestrator.scheduler.runs

    def _calm_down(self) -> None:
        if not self._scene.calm:
            self._scene.calm = True
            self._scene.trace.say("from now on nothing goes wrong")
        if self._scene.faults.until_s > 0:
            for host in self._hosts.values():
                host.finish_all()
        if not self.over:
            self.people.let_go_on()
            # What was on its way just now may still come to hang or to wait for an answer.
            self._scene.clock.after(5.0, self._calm_down)

    def _check_the_end(self) -> None:
        watch = self._watch
        problem = inv.everything_ends(self._orchestrator.scheduler.runs.values())
        if problem is None and RUN not in watch.finished:
            problem = "the run was never taken up again"
        watch.check(inv.everything_ends, problem, None)
        watch.check(inv.results_are_acknowledged, inv.results_are_acknowledged(self._devices), None)
        watch.check_effects()
        watch.check_replays(SimulatedJournal(self._disk))

    # --- lives of the orchestrator -----------------------------------------------------------------------------------

    def _new_orchestrator(self) -> SimulatedOrchestrator:
        return SimulatedOrchestrator(
            self._scene,
            self._disk,
            self._network,
            self._watch,
            self.people,
            policy=self._policy,
            review=self._first.options.review,
            on_death=self._orchestrator_died,
        )

    def _orchestrator_died(self) -> None:
        self._scene.clock.after(self._scene.rng.choice([0.1, 1.0, 6.0]), self._start_again)

    def _start_again(self) -> None:
        journal = SimulatedJournal(self._disk)
        self._watch.reborn(journal)
        self._orchestrator = self.people.orchestrator = self._new_orchestrator()
        self._scene.trace.say("another orchestrator starts")
        self._orchestrator.start(self._first)

    # --- misfortune --------------------------------------------------------------------------------------------------

    def _plan_disturbance(self) -> None:
        rate = self._scene.faults.disturbances_per_s
        if rate > 0:
            self._scene.clock.after(self._scene.rng.expovariate(rate), self._disturb)

    def _disturb(self) -> None:
        if not self._scene.calm:
            if self._orchestrator.alive:
                disturb(self, self._scene.rng)
            self._plan_disturbance()

    @property
    def device_ids(self) -> list[str]:
        """The names of the devices."""
        return list(self._hosts)

    def cut(self, device: str) -> None:
        """Cut a device's connection, if it has one; each end is told of it, or left to find out."""
        self._network.cut(device)

    def partition(self, device: str, *, for_s: float, ways: Sequence[Direction] = ("up", "down")) -> None:
        """Let nothing through from a device (`up`) or to it (`down`) for a while."""
        self._network.partition(device, ways=ways, for_s=for_s)

    def kill_device(self, device: str, *, forget: bool = False) -> None:
        """End a device in the middle of its work; it comes back, with its record of attempts or without."""
        self._hosts[device].kill(forget=forget)

    def drain_device(self, device: str) -> None:
        """Have a device finish what it has, leave, and come back."""
        self._hosts[device].drain()

    def change_device(self, device: str, *, slots: int) -> None:
        """Have a device offer another number of slots from now on."""
        self._hosts[device].change(slots=slots)

    def freeze_device(self, device: str, *, for_s: float) -> None:
        """Have a device do nothing for a while, with its connection open."""
        self._hosts[device].stand_still(for_s)

    def kill_orchestrator(self) -> None:
        """End the orchestrator, with whatever it has not synced; another one starts after a while."""
        if self._orchestrator.alive:
            self._orchestrator.die("at some moment")

    # --- what came of it ---------------------------------------------------------------------------------------------

    @property
    def machine(self) -> RunMachine:
        """The run as it ended, to read; raises KeyError before that."""
        return self._watch.finished[RUN]

    @property
    def state(self) -> str:
        """How the run has ended."""
        return self.machine.state

    @property
    def outcomes(self) -> dict[StarId, Outcome]:
        """How each star has ended, by its id."""
        return inv.outcomes_of(self.machine)

    @property
    def digest(self) -> str:
        """The digest of the trace: the same for the same seed."""
        return self.trace.digest


def _some_devices(scene: Scene) -> list[FakeDevice]:
    return [FakeDevice(f"d{number}", slots=scene.rng.randint(1, 3)) for number in range(scene.rng.randint(1, 3))]
