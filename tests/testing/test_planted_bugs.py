"""The world bites: every bug that is planted in the code is found, and without it the same seed passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, NamedTuple

import pytest

from constellation.graph.batches import Edit
from constellation.scheduling import RunMachine, run
from constellation.scheduling.attempts import Attempt
from constellation.scheduling.fleet import Fleet
from constellation.testing import InvariantBreached, SimulatedWorld
from constellation.testing.hub import SimulatedHub
from constellation.testing.orchestrator import SimulatedOrchestrator
from constellation_protocol.inbox import Inbox
from constellation_protocol.outbox import Outbox

MOST_SEEDS = 2_000
"""Within how many seeds a planted bug has to be found."""


class Planted(NamedTuple):
    """A bug: what is replaced, by what, and the first seed that was found to find it."""

    owner: type
    name: str
    broken: Any
    found_at: int


def ignore_fences(machine: RunMachine, event: Any) -> Attempt | None:
    return machine.attempts.get(event.attempt)


LOSE = RunMachine._lose


def repeat_everything(machine: RunMachine, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
    attempt.idempotent = True
    LOSE(machine, attempt, reason, begun=begun)


def call_nothing_begun(machine: RunMachine, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
    LOSE(machine, attempt, reason, begun=False)


END = RunMachine._end_attempt


def keep_what_has_ended(machine: RunMachine, attempt: Attempt) -> None:
    END(machine, attempt)
    machine.attempts[attempt.id] = attempt


def send_before_it_is_stored(orchestrator: SimulatedOrchestrator, turn: Any) -> None:
    orchestrator._turns.carry_out(turn, orchestrator, orchestrator._scene.clock.now)
    WRITE(orchestrator, turn)


WRITE = SimulatedOrchestrator._write
TAKE_IN = SimulatedHub._take_in


def acknowledge_before_it_is_stored(hub: SimulatedHub, served: Any, messages: Sequence[Any]) -> None:
    served.peer.session.settle()
    TAKE_IN(hub, served, messages)


ACCEPT = Inbox.accept


def take_everything_for_new(inbox: Inbox, seq: int, messages: Sequence[Any], size: int) -> bool:
    return ACCEPT(inbox, max(seq, inbox._arrived + 1), messages, size)


BUGS = {
    "fences are ignored": Planted(RunMachine, "_fenced", ignore_fences, 173),
    "leases do not run out": Planted(RunMachine, "expired", lambda machine, at: [], 146),
    "lines lead into stars that have been dispatched": Planted(Edit, "_open", Edit.find, 4),
    "work is sent before it is stored": Planted(SimulatedOrchestrator, "_write", send_before_it_is_stored, 0),
    "results are acknowledged before they are stored": Planted(
        SimulatedHub, "_take_in", acknowledge_before_it_is_stored, 2
    ),
    "a session takes repeated frames for new": Planted(Inbox, "accept", take_everything_for_new, 3),
    "a session does not send again what was lost": Planted(Outbox, "rewind", lambda outbox: None, 20),
    "an attempt that has ended can end again": Planted(RunMachine, "_end_attempt", keep_what_has_ended, 0),
    "whatever is lost is repeated": Planted(RunMachine, "_lose", repeat_everything, 11),
    "whatever is lost counts as never begun": Planted(RunMachine, "_lose", call_nothing_begun, 11),
    "what was said before a run was taken up counts as never said": Planted(
        Attempt, "recovered", property(lambda attempt: False, lambda attempt, value: None), 536
    ),
    "slots are not given back": Planted(Fleet, "release", lambda *_: None, 2),
    "unqueued stars stay queued": Planted(Fleet, "unqueue", lambda *_: None, 0),
    "reviews are never given up": Planted(RunMachine, "_end_review", lambda *_: False, 2),
    "what a device knows is not adopted": Planted(RunMachine, "_adopted", lambda *_: False, 5),
    "a recovered run does not ask again": Planted(RunMachine, "_begin_without_device", lambda *_: None, 8),
    "numbers of attempts are forgotten": Planted(
        RunMachine, "_forget", lambda machine, star: machine.tries.pop(star, None), 17
    ),
    "a late cancel has no deadline": Planted(RunMachine, "_stopped", lambda *_, **__: None, 0),
}


def plant(bug: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bug.owner, bug.name, bug.broken)
    handlers = {
        kind: bug.broken if handler.__name__ == bug.name else handler for kind, handler in run._HANDLERS.items()
    }
    monkeypatch.setattr(run, "_HANDLERS", handlers)


def breach_of(seed: int) -> InvariantBreached | None:
    try:
        SimulatedWorld(seed).run()
    except InvariantBreached as breach:
        return breach
    return None


def seed_that_finds(hint: int) -> int | None:
    """The seed that was the first to find a bug once, if it still does, or else the first one that does now."""
    return next((seed for seed in chain([hint], range(MOST_SEEDS)) if breach_of(seed) is not None), None)


@pytest.mark.parametrize("name", BUGS)
def test_the_world_finds_a_planted_bug_and_passes_without_it(
    name: str, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    bug = BUGS[name]
    with monkeypatch.context() as planted:
        plant(bug, planted)
        seed = seed_that_finds(bug.found_at)
    assert seed is not None, f"no seed below {MOST_SEEDS} finds it"
    record_property("found by seed", seed)
    assert breach_of(seed) is None, f"seed {seed} does not pass without the bug either"
