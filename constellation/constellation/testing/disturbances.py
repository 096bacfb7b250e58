"""What happens to a world from outside at some moment, chosen by chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import TYPE_CHECKING

from .network import Direction

if TYPE_CHECKING:
    from .world import SimulatedWorld


def _cut(world: SimulatedWorld, rng: Random) -> None:
    world.cut(rng.choice(world.device_ids))


def _partition(world: SimulatedWorld, rng: Random) -> None:
    choices: list[tuple[Direction, ...]] = [("up",), ("down",), ("up", "down")]
    world.partition(rng.choice(world.device_ids), ways=rng.choice(choices), for_s=rng.uniform(0.5, 8.0))


def _kill_device(world: SimulatedWorld, rng: Random) -> None:
    world.kill_device(rng.choice(world.device_ids), forget=rng.random() < 0.3)


def _drain_device(world: SimulatedWorld, rng: Random) -> None:
    world.drain_device(rng.choice(world.device_ids))


def _change_device(world: SimulatedWorld, rng: Random) -> None:
    world.change_device(rng.choice(world.device_ids), slots=rng.randint(1, 3))


def _freeze_device(world: SimulatedWorld, rng: Random) -> None:
    world.freeze_device(rng.choice(world.device_ids), for_s=rng.uniform(0.5, 10.0))


DISTURBANCES: Mapping[str, tuple[Callable[[SimulatedWorld, Random], None], int]] = {
    "cut": (_cut, 3),
    "partition": (_partition, 2),
    "kill device": (_kill_device, 2),
    "drain device": (_drain_device, 1),
    "change device": (_change_device, 1),
    "freeze device": (_freeze_device, 1),
    "kill orchestrator": (lambda world, rng: world.kill_orchestrator(), 1),
    "edit": (lambda world, rng: world.people.edit(), 4),
    "two edits": (lambda world, rng: world.people.edit_from_two_sides(), 2),
    "replace": (lambda world, rng: world.people.replace(), 2),
    "pause": (lambda world, rng: world.people.pause(), 1),
    "hold": (lambda world, rng: world.people.hold(), 2),
    "cancel": (lambda world, rng: world.people.cancel(), 1),
}
"""Each disturbance with how often it comes, compared with the others."""


def disturb(world: SimulatedWorld, rng: Random) -> None:
    """Let one of them happen."""
    disturbances = list(DISTURBANCES.values())
    chosen, _ = rng.choices(disturbances, [weight for _, weight in disturbances])[0]
    chosen(world, rng)
