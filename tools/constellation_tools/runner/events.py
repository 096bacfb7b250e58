"""What a runner tells whoever watches it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..dialects import ToolCall, ToolResult
from .approvals import Approval
from .life import CallState


@dataclass(frozen=True, slots=True)
class CallChanged:
    """A call has come into another state. Every call comes into exactly one state of the end.

    Attributes:
        call: The call.
        state: Where it stands now.
        result: Its result, once it has ended.
        approval: What has to be decided, while it waits for that.
    """

    call: ToolCall
    state: CallState
    result: ToolResult | None = None
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class CallProgress:
    """A tool has reported how far it is. Told in the tool's own thread.

    Attributes:
        call: The call.
        text: A log line.
        fraction: The share of the work done, from 0 to 1.
        data: Partial output, as JSON types.
    """

    call: ToolCall
    text: str | None = None
    fraction: float | None = None
    data: Any = None
