"""The world bites: every bug that is planted in the product's code is found, and without it the same seed passes.

`FOUND_AT` says which seed finds each, of those from 0 on the first. `CONSTELLATION_PLANTED=all` searches for them anew.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from typing import Any, NamedTuple

import pytest

from constellation.graph.batches import _Edit
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
    """A bug: what is replaced, by what, and how it shows."""

    owner: type
    name: str
    broken: Any
    found_at: int
    invariant: str


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


def never_recovered() -> property:
    return property(lambda attempt: False, lambda attempt, value: None)


BUGS = {
    "fences are ignored": Planted(RunMachine, "_fenced", ignore_fences, 0, "stale_reports_are_inert"),
    "leases do not run out": Planted(RunMachine, "expired", lambda machine, at: [], 0, "everything_ends"),
    "lines lead into stars that have been dispatched": Planted(
        _Edit, "_open", _Edit._find, 0, "counters_match_a_recount"
    ),
    "work is sent before it is stored": Planted(
        SimulatedOrchestrator, "_write", send_before_it_is_stored, 0, "sent_is_stored"
    ),
    "results are acknowledged before they are stored": Planted(
        SimulatedHub, "_take_in", acknowledge_before_it_is_stored, 0, "forgotten_is_stored"
    ),
    "a session takes repeated frames for new": Planted(
        Inbox, "accept", take_everything_for_new, 0, "messages_arrive_once"
    ),
    "a session does not send again what was lost": Planted(
        Outbox, "rewind", lambda outbox: None, 0, "results_are_acknowledged"
    ),
    "an attempt that has ended can end again": Planted(
        RunMachine, "_end_attempt", keep_what_has_ended, 0, "counters_match_a_recount"
    ),
    "whatever is lost is repeated": Planted(RunMachine, "_lose", repeat_everything, 0, "nothing_is_repeated_silently"),
    "whatever is lost counts as never begun": Planted(
        RunMachine, "_lose", call_nothing_begun, 0, "nothing_is_repeated_silently"
    ),
    "what was said before a run was taken up counts as never said": Planted(
        Attempt, "recovered", never_recovered(), 0, "nothing_is_repeated_silently"
    ),
    "slots are not given back": Planted(Fleet, "release", lambda *_: None, 0, "everything_ends"),
    "unqueued stars stay queued": Planted(Fleet, "unqueue", lambda *_: None, 0, "counters_match_a_recount"),
    "reviews are never given up": Planted(RunMachine, "_end_review", lambda *_: False, 0, "everything_ends"),
    "what a device knows is not adopted": Planted(RunMachine, "_adopted", lambda *_: False, 0, "forgotten_is_stored"),
    "a recovered run does not ask again": Planted(
        RunMachine, "_begin_without_device", lambda *_: None, 0, "everything_ends"
    ),
    "numbers of attempts are forgotten": Planted(
        RunMachine, "_forget", lambda machine, star: machine.tries.pop(star, None), 0, "a_star_has_one_lease_at_most"
    ),
    "a late cancel has no deadline": Planted(
        RunMachine, "_stopped", lambda *_, **__: None, 0, "counters_match_a_recount"
    ),
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


@pytest.mark.parametrize("name", BUGS)
def test_the_world_finds_a_planted_bug_and_passes_without_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bug = BUGS[name]
    assert bug.found_at < MOST_SEEDS
    assert breach_of(bug.found_at) is None
    plant(bug, monkeypatch)
    breach = breach_of(bug.found_at)
    assert breach is not None
    assert breach.invariant == bug.invariant, breach


@pytest.mark.skipif(os.environ.get("CONSTELLATION_PLANTED") != "all", reason="takes a minute")
@pytest.mark.parametrize("name", BUGS)
def test_the_first_seed_that_finds_a_planted_bug_is_the_one_that_is_written_down(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(BUGS[name], monkeypatch)
    assert next(seed for seed in count() if breach_of(seed) is not None) == BUGS[name].found_at
