"""What the orchestrator is told while a prompt is carried out: text as it comes, in bundles, and what happens to calls.

Each report is a line for people, data for programs, or both. The data's `agent` says what it is of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .commands import Ask
from .work import Report

BUNDLE_S = 0.25
"""How long text is gathered before it is told."""

BUNDLE_CHARS = 4_000
"""How much text is gathered at most."""


class Reporter:
    """Reports of one prompt. The time is told to it."""

    def __init__(self, report: Report) -> None:
        """Report by this."""
        self._report = report
        self._gathered: list[str] = []
        self._chars = 0
        self._since = 0.0

    def asked(self, ask: Ask) -> None:
        """The model is being asked."""
        self._report(data={"agent": "step", "step": ask.step, "why": ask.why})

    def text(self, text: str, now: float) -> None:
        """The model says more."""
        if not self._gathered:
            self._since = now
        self._gathered.append(text)
        self._chars += len(text)
        if now - self._since >= BUNDLE_S or self._chars >= BUNDLE_CHARS:
            self.flush()

    def flush(self) -> None:
        """Tell the text that has been gathered."""
        if self._gathered:
            self._report(data={"agent": "text", "text": "".join(self._gathered)})
            self._gathered.clear()
            self._chars = 0

    def used(self, spent: Mapping[str, Any]) -> None:
        """An answer is whole; what the prompt has used by now."""
        self.flush()
        self._report(data={"agent": "usage", **spent})

    def call(self, tool: str, call: str, state: str, problem: str | None = None) -> None:
        """A call has come into another state."""
        first = problem.strip().partition("\n")[0] if problem is not None else ""
        line = f"{tool} {state}: {first[:200]}" if first else f"{tool} {state}"
        told = {"agent": "call", "tool": tool, "call": call, "state": state}
        self._report(line, data=told if problem is None else {**told, "problem": problem[:1_000]})
