"""Whole runs in a world where everything fails, one per seed; `CONSTELLATION_SEEDS` asks for more of them."""

from __future__ import annotations

import os

import pytest

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
