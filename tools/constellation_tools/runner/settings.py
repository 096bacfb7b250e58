"""What a runner was made with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..context import ToolContext
from ..retry import Retry
from ..tool import Tool
from .approvals import Answer, Approval, Ledger
from .events import CallChanged, CallProgress
from .hooks import ToolHook
from .policy import Policy
from .tracing import Tracing

Approver = Callable[[Approval], Awaitable[Answer | None]]
"""Asks somebody; None leaves the call waiting in its batch."""

Observer = Callable[[CallChanged | CallProgress], None]
"""Is told what happens to calls."""

Invoke = Callable[[Tool[..., Any], Mapping[str, Any], ToolContext], Awaitable[Any]]
"""Runs a tool, once all has been said about whether it may run; `Tool.call`, unless the host runs tools elsewhere."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What its arguments have come to; `ToolRunner` describes them.

    Attributes:
        find: Finds a tool by its name, or raises UnknownTool.
        wait_tool: The one that waits for background calls.
    """

    find: Callable[[str], Tool[..., Any]]
    policy: Policy
    approver: Approver | None
    hooks: Sequence[ToolHook]
    device: str
    context: ToolContext
    timeout_s: float | None
    max_output_bytes: int
    retry: Retry
    ledger: Ledger
    unit: Callable[[], float]
    invoke: Invoke
    wait_tool: Tool[..., Any]
    tracing: Tracing | None
