"""What is known of a call while it is under way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio

from ..dialects import ToolCall, ToolResult
from ..tool import Tool
from .batch import Entry
from .life import CallLife

KEYS = count(1)
"""Keys of calls, unlike any other in this process: models repeat their ids."""


@dataclass(slots=True, eq=False)
class Record:
    """One call under way.

    Attributes:
        call: What is called, as hooks want it.
        entry: Its place in a batch; a call that a tool makes has a fresh one.
        parent: The call whose tool has made this one; None for a model's.
        tool: The tool, once it is known.
        life: Where it stands.
        scope: Cancels it, and nothing else.
        children: The calls that its tool is making.
        result: What has become of it, once it has ended.
        error: What its tool has raised at last.
        reason: Why it is being cancelled.
        explanation: Why it still has to be approved, once it goes on in the background.
        paused: Whether it has been put aside until somebody decides.
        handle: What it goes by in the background; empty where it does not go on there.
        acknowledgement: What its caller was told when it went there.
        undo: What is to be undone should it not complete.
        running: Whether its tool runs, and may call others.
    """

    call: ToolCall
    entry: Entry
    parent: Record | None = None
    tool: Tool[..., Any] | None = None
    life: CallLife = field(default_factory=CallLife)
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    children: set[Record] = field(default_factory=set)
    result: ToolResult | None = None
    error: Exception | None = None
    reason: str = ""
    explanation: str = ""
    paused: bool = False
    handle: str = ""
    acknowledgement: ToolResult | None = None
    undo: list[Callable[[], None]] = field(default_factory=list)
    running: bool = False
    key: int = field(default_factory=lambda: next(KEYS))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def in_background(self) -> bool:
        """Whether it may be answered with a handle: calls that tools make are waited for."""
        return self.parent is None and self.tool is not None and self.tool.background

    def child(self, name: str, arguments: dict[str, Any]) -> Record:
        """The record of a call that the tool of this one makes."""
        call = ToolCall(f"{self.call.id}/{next(self._numbers)}", name, arguments)
        return Record(call, Entry(call), parent=self)

    def cancel(self, reason: str) -> None:
        """Cancel the call, and with it those that its tool makes."""
        if not self.life.state.settled:
            self.reason = self.reason or reason
            self.scope.cancel()


CURRENT: ContextVar[Record] = ContextVar("constellation_tools.current_call")
"""The call whose tool runs in this task."""
