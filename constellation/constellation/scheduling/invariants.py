"""What is always true of a scheduler between two events; validate mode looks at it after each.

It recounts everything the slow way and never changes anything, so it finds the first event after which counters, queue,
attempts and fleet disagree, not the one at which that shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

from ..graph import IN_FLIGHT, SETTLED, Prompt, StarId, StarState, ToolCall
from ..graph.invariants import check_invariants
from .errors import InvariantBroken
from .events import RunId
from .placement import DeviceLoad
from .run import RunMachine

if TYPE_CHECKING:
    from .scheduler import Scheduler


def check_scheduler(scheduler: Scheduler) -> None:
    """Check all runs and devices.

    Raises:
        InvariantBroken: something does not hold; the message names the run or device, and what differs.
    """
    problems = [
        *(problem for run in scheduler.runs for problem in _of_run_and_queue(scheduler, run)),
        *(
            f"device {id!r}: {problem}"
            for id, device in scheduler.fleet.devices.items()
            for problem in _of_device(device)
        ),
        *_of_attempts(scheduler),
    ]
    if problems:
        raise InvariantBroken("; ".join(problems))


def check_run(scheduler: Scheduler, run: RunId) -> None:
    """Check one run and its place in the queue, whatever devices there are: on a replay there are none.

    Raises:
        InvariantBroken: something does not hold.
    """
    problems = list(_of_run_and_queue(scheduler, run))
    if problems:
        raise InvariantBroken("; ".join(problems))


def _of_run_and_queue(scheduler: Scheduler, run: RunId) -> Iterator[str]:
    machine = scheduler.runs[run]
    for problem in (*_of_run(machine), *_of_queue(scheduler, machine)):
        yield f"run {run!r}: {problem}"


def _of_run(machine: RunMachine) -> Iterator[str]:
    graph = machine.graph
    try:
        check_invariants(graph)
    except AssertionError as error:
        yield str(error)
    for star in graph:
        node = graph._node(star)
        yield from _of_star(machine, star)
        holds = machine._holds.get(star, 0) + (star in machine._reviews)
        if node.holds != holds:
            yield f"star {star!r} has {node.holds} holds, but the run knows of {holds}"
    gone = [attempt.id for attempt in machine.attempts.values() if attempt.star not in graph]
    if gone:
        yield f"there are attempts of stars that are not in the graph: {gone}"
    if machine.ended and (machine.attempts or not graph.settled):
        yield f"it has {machine.state}, but has stars or attempts that have not ended"


def _of_star(machine: RunMachine, star: StarId) -> Iterator[str]:
    state, tries = machine.graph.state(star), machine.tries.get(star)
    attempt = tries.attempt if tries else None
    if attempt is not None and machine.attempts.get(attempt.id) is not attempt:
        yield f"star {star!r} has an attempt that the run does not know"
    live = [found.id for found in machine.attempts.values() if found.star == star]
    if len(live) > 1 or (live and attempt is None):
        yield f"star {star!r} has the live attempts {live}"
    on_device = isinstance(machine.graph[star].work, (ToolCall, Prompt))
    if (state in IN_FLIGHT and on_device) is not (attempt is not None):
        yield f"star {star!r} is {state.value}, and its attempt is {attempt and attempt.id}"
    elif attempt is not None and attempt.started is not (state is StarState.RUNNING):
        yield f"star {star!r} is {state.value}, but its attempt has {'' if attempt.started else 'not '}started"
    if state in SETTLED and tries is not None:
        yield f"star {star!r} has {state.value}, but its tries are remembered"


def _of_queue(scheduler: Scheduler, machine: RunMachine) -> Iterator[str]:
    """A ready star is in one place: waits for a device, for a delay to pass, or for a pause to end."""
    for star in machine.graph:
        state, tries = machine.graph.state(star), machine.tries.get(star)
        places = {
            "the queue": scheduler.fleet.is_queued(machine.run, star),
            "a delay": tries is not None and tries.waiting,
            "the pause": star in machine._parked,
        }
        found = [place for place, there in places.items() if there]
        if len(found) != int(state is StarState.READY):
            yield f"star {star!r} is {state.value}, and waits for {' and '.join(found) or 'nothing'}"


def _of_device(device: DeviceLoad) -> Iterator[str]:
    if device.free_slots != device.offer.slots - len(device.attempts):
        yield f"{device.free_slots} slots are free, of {device.offer.slots} with {len(device.attempts)} attempts on it"
    reserved: dict[str, float] = {}
    for needs in device.attempts.values():
        for name, need in needs.items():
            reserved[name] = reserved.get(name, 0.0) + need
    for name, free in device.free_resources.items():
        expected = device.offer.resources.get(name, 0.0) - reserved.get(name, 0.0)
        if not isclose(free, expected, abs_tol=1e-6):
            yield f"{free:g} {name} is free, but should be {expected:g}"


def _of_attempts(scheduler: Scheduler) -> Iterator[str]:
    for machine in scheduler.runs.values():
        for attempt in machine.attempts.values():
            device = scheduler.fleet.devices.get(attempt.device)
            if device is None or device.epoch != attempt.epoch:
                if not attempt.unconfirmed:
                    yield f"attempt {attempt.id!r} is with a session of {attempt.device!r} that is over"
            elif attempt.id not in device.attempts:
                yield f"attempt {attempt.id!r} holds no slot of {attempt.device!r}"
