"""Between the language of devices and that of the scheduler: messages to events, and commands to messages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from constellation_protocol.messages import (
    Accept,
    ArtifactInfo,
    Assign,
    Cancel,
    DeviceProfile,
    ErrorInfo,
    Hello,
    Progress,
    Reject,
    Result,
    ToolWork,
)
from constellation_protocol.nesting import MAX_VALUE_NESTING, nests_deeper

from ..graph import Prompt, StarError, TaskStar
from ..scheduling import AttemptId, DeviceId, Offer, RunEvent
from ..scheduling import commands as cmd
from ..scheduling import events as ev
from ..scheduling.events import parse_attempt
from ..scheduling.inputs import DeviceJoined

_DESCRIBED = ("size", "name", "media_type")


def offer_of(profile: DeviceProfile) -> Offer:
    """What the scheduler needs to know of a device's profile."""
    return Offer(
        labels=profile.labels,
        resources=profile.resources,
        slots=profile.slots,
        tools={tool.name: tool.idempotent for tool in profile.tools},
    )


def joined_event(hello: Hello, profile: DeviceProfile, epoch: int, now: float) -> DeviceJoined:
    """The event that the opening of a session is; `profile` is what counts of the one in the hello."""
    known = frozenset(AttemptId(attempt) for attempt in (*hello.running, *hello.finished))
    return DeviceJoined(now, DeviceId(hello.device), epoch, offer_of(profile), known, hello.memory)


def attempt_event(message: Accept | Reject | Result, device: DeviceId, now: float) -> RunEvent | None:
    """The event that a device's word on an attempt is; None when the attempt's id is none of ours.

    The device is the one that the connection belongs to, whatever the message says.
    """
    where = parse_attempt(message.attempt)
    if where is None:
        return None
    run, star = where
    attempt: Any = message.attempt
    if isinstance(message, Result) and not (message.output is None and message.error is None):
        message = _flat_enough(message)
    if isinstance(message, Result) and message.status == "succeeded":
        size = sum(artifact.size for artifact in message.artifacts) if message.artifacts else 0
        return ev.AttemptSucceeded(
            now, run, star, attempt, device, message.epoch, message.output, message.duration_s, size
        )
    if isinstance(message, Accept):
        return ev.AttemptStarted(now, run, star, attempt, device, message.epoch)
    if isinstance(message, Reject):
        return ev.AttemptRejected(now, run, star, attempt, device, message.epoch, message.code, message.message)
    if message.status == "cancelled":
        return ev.AttemptCancelled(now, run, star, attempt, device, message.epoch)
    error = message.error
    return ev.AttemptFailed(
        now,
        run,
        star,
        attempt,
        device,
        message.epoch,
        StarError(error.type, error.message, error.details) if error else StarError("Failed", "it gave no reason"),
        message.duration_s,
    )


def _flat_enough(result: Result) -> Result:
    """The result, or a failure in its place when no client could read what this hub would tell it of its output."""
    if nests_deeper(result.output, MAX_VALUE_NESTING):
        error = ErrorInfo(type="InvalidOutput", message=f"its output nests deeper than {MAX_VALUE_NESTING} levels")
        return replace(result, status="failed", output=None, artifacts=(), error=error)
    if result.error is not None and nests_deeper(result.error.details, MAX_VALUE_NESTING):
        return replace(result, error=result.error.model_copy(update={"details": {}}))
    return result


def readable(progress: Progress) -> Progress:
    """What a device reports, without partial output that nests deeper than every client reads."""
    if not nests_deeper(progress.data, MAX_VALUE_NESTING):
        return progress
    return progress.model_copy(update={"data": None})


def unfit_event(message: Assign, device: DeviceId, reason: str, now: float) -> RunEvent | None:
    """The event that an assignment is which no frame can hold; None when the attempt's id is none of ours."""
    where = parse_attempt(message.attempt)
    if where is None:
        return None
    error = StarError("ArgumentsTooLarge", f"its arguments can't be sent to device {device!r}: {reason}")
    return ev.AttemptFailed(now, *where, AttemptId(message.attempt), device, message.epoch, error, 0.0)


def assign_message(command: cmd.Dispatch) -> Assign:
    """The message that sends an attempt to its device."""
    star = command.star
    work: Any = star.work  # only what is for devices is dispatched
    arguments = dict(command.arguments)
    if isinstance(work, Prompt):
        arguments = _prompt_arguments(star, work, arguments)
    return Assign(
        command.run,
        star.id,
        command.attempt,
        command.epoch,
        ToolWork(work.tool, arguments),
        star.name or star.id,
        star.timeout_s,
        tuple(find_artifacts(arguments)) if arguments else (),
    )


def _prompt_arguments(star: TaskStar, work: Prompt, given: dict[str, Any]) -> dict[str, Any]:
    """What the tool `prompt` is called with; what has its default value is left out."""
    arguments: dict[str, Any] = {"instruction": work.instruction, "arguments": given}
    if work.output is not None:
        arguments["output"] = dict(work.output)
    if star.priority:
        arguments["priority"] = star.priority
    return arguments


def cancel_message(command: cmd.CancelAttempt) -> Cancel:
    """The message that tells a device to stop an attempt."""
    return Cancel(attempt=command.attempt, epoch=command.epoch, reason=command.reason, grace_s=command.grace_s)


def find_artifacts(value: Any) -> list[ArtifactInfo]:
    """The files that some JSON refers to, each once; what only looks like a reference to a file is none."""
    found: dict[str, ArtifactInfo] = {}
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            info = _artifact_info(item) if "$artifact" in item else None
            if info is None:
                stack.extend(item.values())
            else:
                found.setdefault(info.sha256, info)
        elif isinstance(item, (list, tuple)):
            stack.extend(item)
    return list(found.values())


def _artifact_info(item: dict[str, Any]) -> ArtifactInfo | None:
    described = {"sha256": item["$artifact"], **{key: item[key] for key in _DESCRIBED if item.get(key) is not None}}
    try:
        return ArtifactInfo.model_validate(described, strict=True)
    except ValidationError:
        return None
