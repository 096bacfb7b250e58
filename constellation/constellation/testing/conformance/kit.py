"""The conformance kit: runs checks against a device, each on a stage of its own, and reports what came of them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from anyio import current_time

from .errors import CheckFailed, CheckSkipped
from .stage import Stage, Start, stage

PATIENCE_S = 10.0
"""How long the kit waits for what a device has to do, in seconds."""

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the protocol asks of a device.

    Attributes:
        name: The name that it is chosen by.
        sentence: What the device has to do.
        run: Plays it on a stage; raises `CheckFailed` or `CheckSkipped`.
    """

    name: str
    sentence: str
    run: Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What came of a check.

    Attributes:
        name: The check's name.
        sentence: What the device has to do.
        outcome: Whether it does; `skipped` where the device does not offer what is checked.
        reason: Why it failed or was skipped, empty where it passed.
        frames: For a failed check the last frames that were exchanged, oldest first.
        duration_s: How long it took, in seconds.
    """

    name: str
    sentence: str
    outcome: Outcome
    reason: str = ""
    frames: tuple[str, ...] = ()
    duration_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**asdict(self), "frames": list(self.frames)}


def check(run: Callable[[Stage], Awaitable[None]]) -> Check:
    """Make a check of a function: its name is the check's, its docstring the sentence."""
    sentence = " ".join((run.__doc__ or "").split())
    return Check(run.__name__, sentence, run)


async def check_device(
    checks: Sequence[Check],
    start: Start | None,
    *,
    token: str | None = None,
    port: int = 0,
    patience_s: float = PATIENCE_S,
    ready: Callable[[str], None] | None = None,
) -> AsyncIterator[CheckReport]:
    """Check a device, and report on each check as it is done.

    Args:
        checks: What to check.
        start: Starts the device anew for each check; None for a device that somebody else starts, and that dials
            again after each check.
        token: The token that it has to show; one is made when None.
        port: The port to listen on; any that is free when 0. Give one for a device that somebody else starts.
        patience_s: How long to wait for what the device has to do, in seconds.
        ready: Called with the URL each time that the kit begins to listen.

    Raises:
        OSError: the port can't be listened on, or the device can't be started.
    """
    token = token or secrets.token_urlsafe(24)
    for each in checks:
        with tempfile.TemporaryDirectory(prefix="constellation-conformance-") as folder:
            staged = stage(token=token, port=port, state_dir=Path(folder), start=start, patience_s=patience_s)
            async with staged as place:
                if ready is not None:
                    ready(place.invitation.url)
                report = await _play(each, place)
        yield report


async def _play(each: Check, place: Stage) -> CheckReport:
    began = current_time()
    outcome: Outcome = "passed"
    reason = ""
    try:
        await each.run(place)
    except CheckSkipped as skipped:
        outcome, reason = "skipped", str(skipped)
    except CheckFailed as failed:
        outcome, reason = "failed", str(failed)
    frames = place.log.lines if outcome == "failed" else ()
    return CheckReport(each.name, each.sentence, outcome, reason, frames, current_time() - began)
