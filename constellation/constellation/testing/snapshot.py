"""The whole state of a run as plain values that can be compared: what a replay has to give again."""

from __future__ import annotations

from dataclasses import astuple
from operator import attrgetter
from typing import Any

from ..graph.node import Node
from ..scheduling import RunMachine
from ..scheduling.attempts import Attempt, Tries

_of_tries = attrgetter(*(name for name in Tries.__annotations__ if name != "attempt"))
"""The attempt that is going on is among the attempts."""

_of_attempt = attrgetter(*(name for name in Attempt.__annotations__ if name not in ("unconfirmed", "recovered")))
"""Those two are about the orchestrator that looks, not about the run."""

State = tuple[Any, ...]
"""A state; two are equal when nothing that a run's future depends on tells them apart."""


def state_of(machine: RunMachine) -> State:
    """The state of a run. What was counted for curiosity, and what one orchestrator thinks of a device, is left out."""
    graph = machine.graph
    return (
        machine.state,
        machine.review,
        machine._closing,
        astuple(machine.planning),
        graph.version,
        tuple(graph.counts.items()),
        tuple([_of_node(node) for node in graph._nodes.values()]),
        tuple(machine._holds.items()),
        tuple(machine._reviews),
        tuple(machine._parked),
        tuple(machine._failed),
        tuple(machine.artifact_bytes.items()),
        tuple([(star, _of_tries(tries)) for star, tries in machine.tries.items()]),
        tuple([_of_attempt(attempt) for attempt in machine.attempts.values()]),
    )


def _of_node(node: Node) -> State:
    return (
        node.star,
        node.state,
        node.outcome,
        node.holds,
        node.unresolved,
        node.unmet,
        node.edited_at,
        tuple([(edge.line, edge.status, edge.problem) for edge in node.inbound.values()]),
        tuple(node.outbound),
    )
