"""The simulated world: an orchestrator, devices, a network, a disk and people, in one thread under virtual time.

Everything that decides anything is the product's own code: the scheduler in validate mode, the turns of the engine, the
records of the journal, the sessions of the protocol on both sides, the translation between messages and events. What is
simulated is what surrounds it. All chance comes from one seed, so a world that fails, fails again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from .errors import TestingError
from .faults import Faults, Scene
from .graphs import random_graph
from .journal import SimulatedJournal
from .network import Direction, Network
from .orchestrator import SimulatedOrchestrator
from .people import People
from .trace import Trace
from .watch import Watch

RUN = RunId("run")
"""The run of every world."""

PATIENCE_S = 400.0
"""How long a world may take to come to its end once nothing goes wrong any more, in virtual seconds."""


class SimulatedWorld:
    """One run of one graph, and everything that can happen to it.

    Attributes:
        seed: Where all chance comes from.
        trace: What has happened, with counts of faults, commands and events.
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
        self._people = People(scene, planner)
        self._hosts = [
            DeviceHost(scene, self._network, device, self._devices, self._watch.forgotten) for device in self._devices
        ]
        self._orchestrator = self._people.orchestrator = self._new_orchestrator()

    # --- running -----------------------------------------------------------------------------------------------------

    def run(self) -> Self:
        """Let everything happen: faults for a while, then none, until the run has ended.

        Raises:
            InvariantBreached: something happened that must never happen.
        """
        try:
            self._run()
        except TestingError:
            raise
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            raise self._watch.breach(nothing_raises, problem, None) from error
        return self

    def _run(self) -> None:
        clock, scene = self._scene.clock, self._scene
        for host in self._hosts:
            host.start()
        clock.after(scene.soon(), self._orchestrator.start, self._first)
        self._plan_disturbance()
        calm_at = clock.now + scene.faults.until_s
        while not self._over and clock.now < calm_at and clock.step():
            pass
        self._calm_down()
        limit = clock.now + PATIENCE_S
        while not self._over and clock.now < limit and clock.step():
            pass
        self._check_the_end()

    @property
    def _over(self) -> bool:
        return RUN in self._watch.finished and self._orchestrator.alive and not self._orchestrator.scheduler.runs

    def _calm_down(self) -> None:
        scene = self._scene
        scene.calm = True
        scene.trace.say("from now on nothing goes wrong")
        for host in self._hosts:
            host.finish_all()
        if not self._over:
            self._people.let_go_on()
            # What was on its way just now may still come to hang or to wait for an answer.
            scene.clock.after(5.0, self._calm_down)

    def _check_the_end(self) -> None:
        watch = self._watch
        runs = self._orchestrator.scheduler.runs
        watch.check(inv.everything_ends, inv.everything_ends(runs.values()), None)
        if RUN not in watch.finished:
            watch.check(inv.everything_ends, "the run was never taken up again", None)
        watch.check_effects()
        watch.check_replays(SimulatedJournal(self._disk))

    # --- lives of the orchestrator -----------------------------------------------------------------------------------

    def _new_orchestrator(self) -> SimulatedOrchestrator:
        return SimulatedOrchestrator(
            self._scene,
            self._disk,
            self._network,
            self._watch,
            self._people,
            policy=self._policy,
            review=self._first.options.review,
            on_death=self._orchestrator_died,
        )

    def _orchestrator_died(self) -> None:
        self._scene.clock.after(self._scene.rng.choice([0.1, 1.0, 6.0]), self._start_again)

    def _start_again(self) -> None:
        journal = SimulatedJournal(self._disk)
        self._watch.reborn(journal)
        self._orchestrator = self._people.orchestrator = self._new_orchestrator()
        self._scene.trace.say("another orchestrator starts")
        self._orchestrator.start(self._first)

    # --- disturbances ------------------------------------------------------------------------------------------------

    def _plan_disturbance(self) -> None:
        rate = self._scene.faults.disturbances_per_s
        if rate > 0:
            self._scene.clock.after(self._scene.rng.expovariate(rate), self._disturb)

    def _disturb(self) -> None:
        if self._scene.calm:
            return
        people = self._people
        actions: list[tuple[Callable[[], None], int]] = [
            (self._cut, 3),
            (self._partition, 2),
            (self._kill_device, 2),
            (self._drain_device, 1),
            (self._freeze_device, 1),
            (self._kill_orchestrator, 1),
            (people.edit, 4),
            (people.edit_from_two_sides, 2),
            (people.replace, 2),
            (people.pause, 1),
            (people.hold, 2),
            (people.cancel, 1),
        ]
        chosen = self._scene.rng.choices([action for action, _ in actions], [weight for _, weight in actions])[0]
        if self._orchestrator.alive:
            chosen()
        self._plan_disturbance()

    def _some_host(self) -> DeviceHost:
        return self._scene.rng.choice(self._hosts)

    def _cut(self) -> None:
        self._network.cut(self._some_host().device.id)

    def _partition(self) -> None:
        rng = self._scene.rng
        choices: list[tuple[Direction, ...]] = [("up",), ("down",), ("up", "down")]
        self._network.partition(self._some_host().device.id, ways=rng.choice(choices), for_s=rng.uniform(0.5, 8.0))

    def _kill_device(self) -> None:
        self._some_host().kill(forget=self._scene.rng.random() < 0.3)

    def _drain_device(self) -> None:
        self._some_host().drain()

    def _freeze_device(self) -> None:
        self._some_host().stand_still(self._scene.rng.uniform(0.5, 10.0))

    def _kill_orchestrator(self) -> None:
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


def nothing_raises() -> None:
    """Nothing that happens from outside makes the product's own code raise what it does not document."""


def _some_devices(scene: Scene) -> list[FakeDevice]:
    return [FakeDevice(f"d{number}", slots=scene.rng.randint(1, 3)) for number in range(scene.rng.randint(1, 3))]
