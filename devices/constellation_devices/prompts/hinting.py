"""What the model's server is told of each step, and what is learned for that from the steps before."""

from __future__ import annotations

from collections.abc import Sequence

from constellation.llm import ToolUse, WorkflowHint

from .commands import Outcome
from .pauses import PauseBook
from .work import PromptWork


class Hinting:
    """The hints of one prompt."""

    def __init__(self, work: PromptWork, pauses: PauseBook, *, began: float) -> None:
        """Know the prompt, and what the device has learned; `began` is the time."""
        self._work = work
        self._pauses = pauses
        self._began = began
        self._last_tool: str | None = None
        self._away: tuple[str, float] | None = None

    def called(self, uses: Sequence[ToolUse], now: float) -> None:
        """The model has answered with calls for the device: it is away until the next request."""
        self._pauses.followed(self._last_tool, uses[0].name if uses else None)
        self._away = (uses[0].name, now) if uses else None

    def returned(self, outcomes: Sequence[Outcome]) -> None:
        """The calls have ended: it was the slowest one that kept the session away."""
        slowest = max(outcomes, key=lambda outcome: outcome.seconds, default=None)
        if slowest is not None and self._away is not None:
            self._last_tool = slowest.tool
            self._away = slowest.tool, self._away[1]

    def ended(self, steps: int) -> None:
        """The prompt is done after so many steps."""
        self._pauses.followed(self._last_tool, None)
        self._pauses.ended(steps)

    def hint(self, step: int, now: float, *, last: bool) -> WorkflowHint:
        """What goes with the next request."""
        if self._away is not None:
            tool, since = self._away
            self._pauses.paused(tool, now - since)
            self._away = None
        work = self._work
        following = None if last else self._pauses.next_tool(self._last_tool)
        return WorkflowHint(
            workflow=work.run,
            session=f"{work.run}/{work.star}",
            step=step,
            remaining_steps=0.0 if last else self._pauses.remaining_steps(step),
            last_tool=self._last_tool,
            next_tool=following,
            pause=None if last else self._pauses.pause(following),
            priority=work.priority,
            deadline_s=None if work.timeout_s is None else max(work.timeout_s - (now - self._began), 0.0),
            last_step=last,
        )
