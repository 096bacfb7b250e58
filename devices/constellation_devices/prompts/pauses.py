"""How long a session stays away between two requests, learned by tool: from the end of an answer to the next request.

That, and not the tool's own time, is how long a server keeps what it has cached of the session for nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from constellation.llm import Pause

WINDOW = 200
"""How many of the latest pauses count, by tool."""

ENOUGH = 3
"""How many pauses of a tool there have to be before they say anything; before that those of all tools count."""

SURE = 0.7
"""How often a tool has to have followed another one for it to be expected."""

MAX_TOOLS = 256
"""How many tools are told apart; what comes after those counts only among all."""


class PauseBook:
    """What one device has learned of its tools, its prompts and what follows on what. Shared by all its prompts."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._all: deque[float] = deque(maxlen=WINDOW)
        self._by_tool: dict[str, deque[float]] = {}
        self._followers: dict[str | None, Counter[str | None]] = {}
        self._steps: deque[int] = deque(maxlen=WINDOW)

    def paused(self, tool: str, seconds: float) -> None:
        """A session was away for so long, because of this tool."""
        self._all.append(seconds)
        if tool in self._by_tool or len(self._by_tool) < MAX_TOOLS:
            self._by_tool.setdefault(tool, deque(maxlen=WINDOW)).append(seconds)

    def followed(self, last: str | None, then: str | None) -> None:
        """After one tool, None for the beginning, came another, None for the end."""
        if last in self._followers or len(self._followers) < MAX_TOOLS:
            counts = self._followers.setdefault(last, Counter())
            if then in counts or len(counts) < MAX_TOOLS:
                counts[then] += 1

    def ended(self, steps: int) -> None:
        """A prompt was done after so many steps."""
        self._steps.append(steps)

    def next_tool(self, last: str | None) -> str | None:
        """The tool that is expected after this one; None where that is not sure enough."""
        counts = self._followers.get(last)
        if not counts or counts.total() < ENOUGH:
            return None
        tool, times = counts.most_common(1)[0]
        return tool if times >= SURE * counts.total() else None

    def pause(self, tool: str | None) -> Pause | None:
        """How long a session is away for this tool, or for any when it is None or too little known of."""
        samples: Sequence[float] = self._by_tool.get(tool or "", ())
        if len(samples) < ENOUGH:
            samples = self._all
        if len(samples) < ENOUGH:
            return None
        ordered = sorted(samples)
        return Pause(sum(ordered) / len(ordered), ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)])

    def remaining_steps(self, step: int) -> float | None:
        """How many steps are expected to follow this one, counted from 0; None where too little is known."""
        longer = [steps for steps in self._steps if steps > step]
        if len(self._steps) < ENOUGH or not longer:
            return None
        return sum(longer) / len(longer) - step - 1
