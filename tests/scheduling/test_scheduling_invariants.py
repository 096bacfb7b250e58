"""Validate mode finds a state that does not agree with itself, and says where."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from constellation.graph import Outcome, StarState
from constellation.scheduling import DeviceId, DeviceLoad, InvariantBroken, Scheduler
from constellation.scheduling.attempts import Attempt
from constellation.scheduling.inputs import Tick
from constellation.scheduling.invariants import check_scheduler

from .harness import Harness, R, star

Damage = Callable[[Harness], object]


def _device(h: Harness):  # type: ignore[no-untyped-def]
    return h.scheduler.fleet.devices[DeviceId("d0")]


def _another_attempt(h: Harness) -> None:
    second = Attempt("r/a/9", "a", "d0", 1, idempotent=True, memory="", assigned_at=0.0)  # type: ignore[arg-type]
    h.machine.attempts[second.id] = second


def _attempt_of_a_stranger(h: Harness) -> None:
    second = Attempt("r/z/1", "z", "d0", 1, idempotent=True, memory="", assigned_at=0.0)  # type: ignore[arg-type]
    h.machine.attempts[second.id] = second


def _unknown_attempt(h: Harness) -> None:
    h.machine.attempts.clear()


def _end(h: Harness) -> None:
    h.machine.state = "succeeded"


def _settle_but_remember(h: Harness) -> None:
    h.graph.settle("b", StarState.CANCELLED, Outcome())  # type: ignore[arg-type]


DAMAGE: dict[str, tuple[Damage, str]] = {
    "a counter": (lambda h: h.graph.counts.update({StarState.FAILED: 3}), "run 'r': counts"),
    "a hold": (lambda h: h.graph.hold("a"), "star 'a' has 1 holds, but the run knows of 0"),
    "a slot": (lambda h: setattr(_device(h), "free_slots", 7), "device 'd0': 7 slots are free, of 1 with 1 attempts"),
    "a resource": (lambda h: _device(h).free_resources.update(gpu=9.0), "9 gpu is free, but should be 0.5"),
    "an attempt without a slot": (lambda h: _device(h).attempts.clear(), "attempt 'r/a/1' holds no slot of 'd0'"),
    "a session": (lambda h: setattr(_device(h), "epoch", 8), "with a session of 'd0' that is over"),
    "the queue": (lambda h: h.scheduler.fleet.unqueue(R, "b"), "star 'b' is ready, and waits for nothing"),  # type: ignore[arg-type]
    "two places": (lambda h: setattr(h.machine.tries["b"], "waiting", True), "waits for the queue and a delay"),  # type: ignore[index]
    "two attempts": (_another_attempt, "star 'a' has the live attempts"),
    "an attempt of nobody": (_attempt_of_a_stranger, "stars that are not in the graph"),
    "an unknown attempt": (_unknown_attempt, "star 'a' has an attempt that the run does not know"),
    "a start": (
        lambda h: setattr(h.attempt("a"), "started", True),
        "star 'a' is assigned, but its attempt has started",
    ),
    "a missing attempt": (lambda h: setattr(h.machine.tries["a"], "attempt", None), "its attempt is None"),  # type: ignore[index]
    "an end": (_end, "it has succeeded, but has stars or attempts that have not ended"),
    "tries": (_settle_but_remember, "star 'b' has cancelled, but its tries are remembered"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_agree_is_found_and_named(damage: str) -> None:
    h = Harness()
    h.join(slots=1, resources={"gpu": 1})
    h.start(star("a", requires={"gpu": 0.5}), star("b"))
    check_scheduler(h.scheduler)
    do, message = DAMAGE[damage]
    do(h)
    with pytest.raises(InvariantBroken, match=message):
        h.handle(Tick(h.now))


def test_the_end_of_a_star_that_the_policy_could_not_place_is_looked_at_as_well() -> None:
    h = Harness()

    def choose(*_: object) -> DeviceLoad:
        h.graph.counts[StarState.FAILED] += 3
        raise LookupError

    h.scheduler.fleet._policy.choose = choose  # type: ignore[method-assign]
    h.start(star("a"))
    with pytest.raises(InvariantBroken, match="run 'r': counts"):
        h.join()


def test_without_validate_mode_nothing_is_looked_at() -> None:
    h = Harness()
    h.scheduler = Scheduler()
    h.start(star("a"))
    h.graph.counts[StarState.FAILED] = 3
    h.handle(Tick(h.now))
