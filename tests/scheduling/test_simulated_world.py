"""Whole runs in a world where everything fails, one per seed; `CONSTELLATION_SEEDS` asks for more of them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from constellation.graph import GraphError
from constellation.scheduling import InvariantBroken, RunMachine, run
from constellation.scheduling.attempts import Attempt
from constellation.scheduling.fleet import Fleet

from .world import RUN, World

SEEDS = int(os.environ.get("CONSTELLATION_SEEDS", "200"))
CHUNK = 20


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_run_ends_and_no_invariant_breaks_whatever_fails(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SEEDS)):
        world = World(seed)
        try:
            world.run()
        except Exception as error:
            error.add_note(f"seed {seed} at {world.now - 1000:.3f} s")
            raise
        assert world.scheduler.runs[RUN].ended


def _ignore_fences(machine: RunMachine, event: Any) -> Any:
    return machine.attempts.get(event.attempt)


def _repeat_everything(machine: RunMachine, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
    attempt.idempotent = True
    LOSE(machine, attempt, reason, begun=begun)


def _nothing_was_begun(machine: RunMachine, attempt: Attempt, reason: str, *, begun: bool = True) -> None:
    LOSE(machine, attempt, reason, begun=False)


LOSE = RunMachine._lose
PLANTED: dict[str, tuple[type, str, Any]] = {
    "fences are ignored": (RunMachine, "_fenced", _ignore_fences),
    "whatever is lost is repeated": (RunMachine, "_lose", _repeat_everything),
    "whatever is lost counts as never begun": (RunMachine, "_lose", _nothing_was_begun),
    "slots are not given back": (Fleet, "release", lambda *_: None),
    "unqueued stars stay queued": (Fleet, "unqueue", lambda *_: None),
    "reviews are never given up": (RunMachine, "_end_review", lambda *_: False),
    "what a device knows is not adopted": (RunMachine, "_adopted", lambda *_: False),
    "a recovered run does not ask again": (RunMachine, "_begin_without_device", lambda *_: None),
    "numbers of attempts are forgotten": (RunMachine, "_forget", lambda machine, star: machine.tries.pop(star, None)),
    "a late cancel has no deadline": (RunMachine, "_stopped", lambda *_, **__: None),
}


@pytest.mark.parametrize("bug", PLANTED)
def test_the_world_finds_a_planted_bug(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, broken = PLANTED[bug]
    monkeypatch.setattr(owner, name, broken)
    handlers = {kind: broken if handler.__name__ == name else handler for kind, handler in run._HANDLERS.items()}
    monkeypatch.setattr(run, "_HANDLERS", handlers)
    with pytest.raises((AssertionError, InvariantBroken, GraphError, LookupError)):  # noqa: PT012 - any seed may find it
        for seed in range(150):
            World(seed).run()
