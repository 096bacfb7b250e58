"""Devices of the simulated world: they take work, finish it, fail, hang, refuse, lie, die and come back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from constellation.graph import StarError
from constellation.scheduling import AttemptId, DeviceId, Offer
from constellation.scheduling import events as ev
from constellation.scheduling.attempt_rules import OUTCOME_UNKNOWN
from constellation.scheduling.commands import Dispatch

TOOLS = {"pure": True, "effect": False}
"""The tools of every device: `pure` may be repeated, `effect` may not."""


@dataclass
class Faults:
    """How likely each misbehaviour is, for one piece of work."""

    fail: float = 0.08
    hang: float = 0.04
    refuse: float = 0.05
    lie: float = 0.08
    deaf: float = 0.15


class FakeDevice:
    """One device; the world delivers what it sends.

    Attributes:
        running: What it works on, and whether that was told to have started.
        results: What it is done with and has not been told to forget: a report survives the death of the device.
        effects: How often each star's work was done to its end, whoever heard of it.
        memory: The name of its record of attempts, which it may lose when it dies.
    """

    def __init__(self, id: str, slots: int, faults: Faults, rng: Random, effects: Counter[tuple[str, str]]) -> None:
        self.id = DeviceId(id)
        self.offer = Offer({"os": "linux", "name": id}, {"gpu": 1.0}, slots, TOOLS)
        self.faults = faults
        self.rng = rng
        self.effects = effects
        self.epoch = 0
        self.online = False
        self.running: dict[AttemptId, Dispatch] = {}
        self.results: dict[AttemptId, ev.RunEvent] = {}
        self.memory = f"{id} from the beginning"

    @property
    def known(self) -> frozenset[AttemptId]:
        return frozenset(self.running) | frozenset(self.results)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def take(self, work: Dispatch, at: float) -> tuple[ev.RunEvent, float | None]:
        """Take work or refuse it: the report, and in how many seconds the work ends, None for never."""
        fence = (at, work.run, work.star.id, work.attempt, self.id, self.epoch)
        if len(self.running) >= self.offer.slots:
            return ev.AttemptRejected(*fence, "no-slot", "all slots are in use"), None
        if self.chance(self.faults.refuse):
            return ev.AttemptRejected(*fence, self.rng.choice(["draining", "invalid-arguments"]), "not today"), None
        self.running[work.attempt] = work
        ends = None if self.chance(self.faults.hang) else self.rng.uniform(0.05, 2.0)
        return ev.AttemptStarted(*fence), ends

    def finish(self, attempt: AttemptId, at: float) -> ev.RunEvent | None:
        """The work is done, or fails; None when it was stopped before."""
        work = self.running.pop(attempt, None)
        if work is None:
            return None
        fence = (at, work.run, work.star.id, attempt, self.id, self.epoch)
        report: ev.RunEvent
        if self.chance(self.faults.fail):
            report = ev.AttemptFailed(*fence, StarError(self.rng.choice(["Flaky", "Fatal"]), "it broke"), 0.1)
        else:
            self.effects[work.run, work.star.id] += 1
            report = ev.AttemptSucceeded(*fence, {"n": self.rng.randrange(4)}, self.rng.uniform(0.05, 2), 10)
        self.results[attempt] = report
        return report

    def cancel(self, attempt: AttemptId, at: float) -> ev.RunEvent | None:
        """Stop work, unless it is deaf to that."""
        work = self.running.get(attempt)
        if work is None or self.chance(self.faults.deaf):
            return None
        del self.running[attempt]
        report = ev.AttemptCancelled(at, work.run, work.star.id, attempt, self.id, self.epoch)
        self.results[attempt] = report
        return report

    def die(self, at: float) -> None:
        """End in the middle of work, which may have had its effect; with the record of it, or without."""
        self.online = False
        remembers = self.chance(0.5)
        for attempt, work in self.running.items():
            if self.chance(0.5):
                self.effects[work.run, work.star.id] += 1
            if remembers:
                fence = (at, work.run, work.star.id, attempt, self.id, self.epoch)
                self.results[attempt] = ev.AttemptFailed(*fence, StarError(OUTCOME_UNKNOWN, "died in the middle"))
        self.running.clear()
        if not remembers:
            self.memory = f"{self.id} since {at}"

    def reliable(self) -> None:
        """From now on nothing goes wrong, and what hangs was a fault that ends too."""
        self.faults = Faults(0, 0, 0, 0, 0)


@dataclass
class Link:
    """What is on its way to or from a device in one session; none of it arrives in another."""

    device: FakeDevice
    epoch: int = field(default=0)

    @property
    def up(self) -> bool:
        return self.device.online and self.device.epoch == self.epoch
