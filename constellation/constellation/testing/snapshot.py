"""The whole state of a run as plain values that can be compared: what a replay has to give again."""

from __future__ import annotations

from typing import Any

from ..graph.node import Node
from ..scheduling import RunMachine
from ..scheduling.attempts import Attempt, Tries

State = tuple[Any, ...]
"""A state; two are equal when nothing that a run's future depends on tells them apart."""


def state_of(machine: RunMachine) -> State:
    """The state of a run. What was counted for curiosity, and what one orchestrator thinks of a device, is left out."""
    graph = machine.graph
    return (
        machine.state,
        machine.review,
        machine._closing,
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


def _of_tries(tries: Tries) -> State:
    return (tries.arguments, tries.attempts, tries.failures, tries.losses, tries.waiting, tries.avoid)


def _of_attempt(attempt: Attempt) -> State:
    return (
        attempt.id,
        attempt.star,
        attempt.device,
        attempt.epoch,
        attempt.idempotent,
        attempt.memory,
        attempt.assigned_at,
        attempt.started,
        attempt.stopping,
        attempt.reason,
        attempt.overdue_at,
    )
