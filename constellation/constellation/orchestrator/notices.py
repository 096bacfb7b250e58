"""Turning what the scheduler lets be known into events for observers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..graph import Outcome, StarError, stars_by_state
from ..scheduling import RunMachine
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from . import events as out
from .report import executed_span


def error_json(error: StarError | None) -> dict[str, Any] | None:
    """A star's error as JSON values."""
    if error is None:
        return None
    details: Mapping[str, Any] = error.details
    return {"type": error.type, "message": error.message, **({"details": dict(details)} if details else {})}


def duration_of(outcome: Outcome) -> float | None:
    """Seconds from the beginning of a star's last attempt to its end; None without an attempt."""
    return _duration_s(outcome.started_at, outcome.ended_at)


def _duration_s(started_at: float | None, ended_at: float | None) -> float | None:
    return None if started_at is None or ended_at is None else round(ended_at - started_at, 6)


Note = tuple[Any, ...]
"""What is kept of an event until somebody reads it: its kind, when it happened, and what it is made of.

It is flat and has plain values, so that the collector of garbage soon leaves it alone: every star has three of them,
and the latest are kept.
"""

Notes = tuple[Note, ...]
"""The notes of one command."""


def notes_of_assignment(command: cmd.Dispatch, at: float) -> Notes:
    """What is to be kept of it that a star was given to a device."""
    return (("star_assigned", at, command.star.id, command.attempt, command.device),)


def notes_of_start(command: cmd.StarStarted, at: float) -> Notes:
    """What is to be kept of it that a device has begun with a star."""
    return (("star_started", at, command.star, command.attempt, command.device),)


def notes_of_end(command: cmd.StarSettled, at: float) -> Notes:
    """What is to be kept of the end of a star, and of its beginning where the end is the first that was heard of it."""
    star, outcome, begun = command.star, command.outcome, command.begun
    device = outcome.device
    ended = (
        "star_settled",
        at,
        star,
        command.state._value_,
        device,
        outcome.attempts,
        outcome.started_at,
        outcome.ended_at,
        outcome.output,
        outcome.error,
    )
    return (ended,) if begun is None else (("star_started", at, star, begun, device), ended)


def notes_of_rarity(
    command: cmd.StarRetrying | cmd.EditApplied | cmd.AskApproval | cmd.ProposalSettled, at: float
) -> Notes:
    """What is to be kept of what happens to few stars: the command."""
    return (("command", at, command),)


def from_note(seq: int, run: str, note: Note) -> out.Event:
    """The event that a note stands for."""
    match note:
        case "star_assigned", time, star, attempt, device:
            return out.StarAssigned(seq=seq, time=time, run=run, star=star, device=device, attempt=number_of(attempt))
        case "star_started", time, star, attempt, device:
            return out.StarStarted(seq=seq, time=time, run=run, star=star, device=device, attempt=number_of(attempt))
        case "star_settled", time, star, state, device, attempts, started_at, ended_at, output, error:
            return out.StarSettled(
                seq=seq,
                time=time,
                run=run,
                star=star,
                state=state,
                device=device,
                attempts=attempts,
                duration_s=_duration_s(started_at, ended_at),
                output=output,
                error=error_json(error),
            )
        case _, time, command:
            return _from_command(seq, time, command)
    raise TypeError(f"{note!r} stands for no event")


def _from_command(seq: int, time: float, command: cmd.Command) -> out.Event:
    run = command.run
    match command:
        case cmd.StarRetrying(_, star_id, _, device_id, error, delay_s):
            return out.StarRetrying(
                seq=seq,
                time=time,
                run=run,
                star=star_id,
                device=device_id,
                error=error_json(error) or {},
                delay_s=round(delay_s, 3),
            )
        case cmd.EditApplied(_, applied, author, reason):
            return out.GraphEdited(
                seq=seq,
                time=time,
                run=run,
                version=applied.version,
                author=author,
                reason=reason,
                added=applied.added,
                removed=applied.removed,
                touched=applied.touched,
            )
        case cmd.AskApproval(_, star_id, question, arguments):
            return out.ApprovalRequested(
                seq=seq, time=time, run=run, star=star_id, question=question, arguments=arguments
            )
        case cmd.ProposalSettled(_, star_id, approved, by, comment):
            said = f"{f' by {by}' if by else ''}{f': {comment}' if comment else ''}"
            return out.StarSettled(
                seq=seq,
                time=time,
                run=run,
                star=star_id,
                state="succeeded" if approved else "failed",
                output={"approved": True, "by": by, "comment": comment} if approved else None,
                error=None if approved else {"type": "ApprovalDenied", "message": f"denied{said}"},
            )
    raise TypeError(f"{type(command).__name__} stands for no event")


def run_finished(seq: int, time: float, command: cmd.RunSettled, machine: RunMachine) -> out.RunFinished:
    """The event that the end of a run is."""
    width, makespan_s = executed_span(machine.graph)
    return out.RunFinished(
        seq=seq,
        time=time,
        run=machine.run,
        state=command.state,
        stars=stars_by_state(machine.graph),
        width=width,
        makespan_s=makespan_s,
        error=error_json(command.error),
    )


def from_entry(event: ev.RunEvent, machine: RunMachine, seq: int) -> out.Event | None:
    """The event that a journal entry is told as, where no command stands for it."""
    run, graph = machine.run, machine.graph
    match event:
        case ev.RunStarted(at):
            return out.RunStarted(
                seq=seq,
                time=at,
                run=run,
                name=graph.name,
                stars=len(graph),
                lines=graph.line_count,
                parent=machine.parent[0] if machine.parent else None,
            )
        case ev.RunRecovered(at):
            return out.RunRecovered(seq=seq, time=at, run=run, name=graph.name, stars=stars_by_state(graph))
        case ev.PlannerNoted(at):
            return out.PlannerNoted(
                seq=seq,
                time=at,
                run=run,
                about=event.about,
                text=event.text,
                stars=event.stars,
                calls=event.calls,
                input_tokens=event.input_tokens,
                output_tokens=event.output_tokens,
                usd=event.usd,
            )
        case ev.RunPaused(at):
            return out.RunPaused(seq=seq, time=at, run=run)
        case ev.RunUnpaused(at):
            return out.RunUnpaused(seq=seq, time=at, run=run)
    return None


def number_of(attempt: str) -> int:
    """Which try of its star an attempt is, from 1."""
    return int(attempt.rpartition("/")[2])
