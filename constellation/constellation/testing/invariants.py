"""What must always hold in a simulated world, one function each. All return what is wrong, or None.

Each works from what the world itself has seen: events that were stored, bytes on the disk, effects at the devices. So
none of them repeats what the scheduler thinks of its own state; `counters_match_a_recount` has that looked at as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import networkx

from constellation_protocol.messages import Message

from ..graph import Outcome, StarId, TaskConstellation
from ..scheduling import InvariantBroken, JournalEntry, RunEvent, RunId, RunMachine, Scheduler
from ..scheduling import events as ev
from ..scheduling.invariants import check_scheduler
from ..scheduling.quiescence import explain_waiting
from .device import LIE, FakeDevice
from .history import REPORTS, History
from .snapshot import State, state_of


def graphs_are_acyclic(graph: TaskConstellation) -> str | None:
    """No edit ever closes a cycle; networkx is the judge, not the graph's own order."""
    drawn: networkx.DiGraph[str] = networkx.DiGraph([(line.source, line.target) for line in graph.lines])
    if networkx.is_directed_acyclic_graph(drawn):
        return None
    return f"there is a cycle: {networkx.find_cycle(drawn)}"


def counters_match_a_recount(scheduler: Scheduler) -> str | None:
    """All that scheduler and graph keep up to date by increments is what a walk over everything gives."""
    try:
        check_scheduler(scheduler)
    except InvariantBroken as error:
        return str(error)
    return None


def a_star_has_one_lease_at_most(history: History, event: RunEvent) -> str | None:
    """A star is given to a device only when it is with no other."""
    if not isinstance(event, ev.StarAssigned):
        return None
    present = history.leases.get((event.run, event.star))
    if present is not None:
        return f"{event.star} is given to {event.device} as {event.attempt} while {present} goes on"
    if event.attempt in history.assigned:
        return f"the id {event.attempt} is used a second time"
    return None


def only_current_reports_count(history: History, event: RunEvent) -> str | None:
    """No result is applied twice, and none that comes under a fence which is not the present one."""
    if not isinstance(event, REPORTS) or history.is_current(event):
        return None
    return f"{event.kind} of {event.attempt} from {event.device} in epoch {event.epoch} counted, but is not current"


def only_true_results_count(devices: Mapping[str, FakeDevice], event: RunEvent) -> str | None:
    """What counts as done was done, by the device that it counts for."""
    if not isinstance(event, ev.AttemptSucceeded):
        return None
    if event.output == LIE or not devices[event.device].effects[event.attempt]:
        return f"{event.attempt} counts as done by {event.device}, which has not done it"
    return None


def stale_reports_are_inert(
    event: RunEvent, entries: Sequence[JournalEntry], before: State, after: State, *, counted: bool
) -> str | None:
    """A report under a stale fence leaves its run as it was, is not stored, and is counted."""
    if not counted:
        return f"{event.kind} is stale, and was not counted"
    if any(entry.event is event for entry in entries):
        return f"{event.kind} is stale, and was stored"
    if before != after and not any(entry.event.run == event.run for entry in entries):
        return f"{event.kind} is stale, and has changed the run"
    return None


def refusals_change_nothing(before: State, after: State) -> str | None:
    """An edit, or any other request, that is refused leaves everything as it was."""
    return None if before == after else f"a refused request has changed something: {_difference(before, after)}"


def stars_settle_once(settled: set[tuple[RunId, StarId]], run: RunId, star: StarId) -> str | None:
    """The end of a star is told once."""
    return f"{star} of {run} has ended a second time" if (run, star) in settled else None


def replays_give_every_state(run: RunId, entries: Sequence[JournalEntry], states: Mapping[int, State]) -> str | None:
    """After any number of its entries, read back from the disk, a run is what it was when they were taken in."""
    machine: RunMachine | None = None
    for seq, entry in enumerate(entries, 1):
        if machine is None:
            assert isinstance(entry.event, ev.RunStarted)
            machine = RunMachine(entry.event)
        if machine.apply(entry.event, [], entry.verdicts) is None:
            return f"record {seq} of {run} ({entry.event.kind}) means nothing on a replay"
        if seq in states and state_of(machine) != states[seq]:
            return f"a replay of {run} gives another state after record {seq} ({entry.event.kind}): " + _difference(
                states[seq], state_of(machine)
            )
    return None


def sent_is_stored(durable: History, attempt: str) -> str | None:
    """Nothing goes out to a device before the disk has that it was assigned."""
    return None if attempt in durable.assigned else f"{attempt} was sent to a device before it was stored"


def messages_arrive_once(sent: Sequence[Message], received: Message) -> str | None:
    """In a session every message arrives once, in the order of sending, whatever becomes of its connections."""
    if sent and sent[0] == received:
        return None
    expected = f"{sent[0].kind!r} was next" if sent else "nothing more was sent"
    return f"a {received.kind!r} message was received, but {expected}: {received}"


def forgotten_is_stored(durable: History, attempt: str) -> str | None:
    """A device is told to forget a result only when the disk has what became of the attempt."""
    return f"the result of {attempt} is to be forgotten, but it is not stored" if durable.is_open(attempt) else None


def nothing_is_repeated_silently(history: History, devices: Iterable[FakeDevice]) -> str | None:
    """What may not be repeated has had its effect once at most, whoever died in the middle of what."""
    last_done: dict[tuple[RunId, StarId], tuple[int, str]] = {}
    for attempt, assigned in history.assigned.items():
        times = sum(device.effects[attempt] for device in devices)
        if times > 1:
            return f"the work of {attempt} was done {times} times"
        if not times:
            continue
        number = int(attempt.rpartition("/")[2])
        before = last_done.get((assigned.run, assigned.star))
        if before is not None and before[0] < number:
            return f"{before[1]} may not be repeated and was done, and then {attempt} was done as well"
        if not assigned.idempotent:
            last_done[assigned.run, assigned.star] = (number, attempt)
    return None


def everything_ends(machines: Iterable[RunMachine]) -> str | None:
    """Once nothing goes wrong any more, every run comes to its end, and with it every star."""
    going_on = {
        machine.run: (machine.state, explain_waiting(machine.graph)) for machine in machines if not machine.ended
    }
    return f"these go on for ever: {going_on}" if going_on else None


def results_are_acknowledged(devices: Iterable[FakeDevice]) -> str | None:
    """Once nothing goes wrong any more, every result reaches the orchestrator, wanted or not, and may be forgotten."""
    owed = {device.id: sorted(device.kept) for device in devices if device.kept}
    return f"nobody acknowledges these results: {owed}" if owed else None


def nothing_raises_unasked() -> None:
    """Nothing from outside makes the product's own code raise, but for what is refused to whoever asked for it."""


def outcomes_of(machine: RunMachine) -> dict[StarId, Outcome]:
    """How the stars of a run have ended."""
    found = ((star, machine.graph.outcome(star)) for star in machine.graph)
    return {star: outcome for star, outcome in found if outcome is not None}


def _difference(live: State, replayed: State) -> str:
    """The first place where two states differ."""
    for one, other in zip(live, replayed, strict=True):
        if one != other:
            if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other) > 0:
                return _difference(one, other)
            return f"{one!r} became {other!r}"
    return "nothing"
