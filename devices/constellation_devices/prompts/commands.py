"""What the loop wants done next, and what it is told of calls: values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from constellation.llm import ModelRequest, ToolUse


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the model; tell `answered` or `failed`.

    Attributes:
        request: What it is asked.
        step: Which request of this prompt it is, from 0.
        why: For the next step, for the last one, or for a summary of what has been done.
    """

    request: ModelRequest
    step: int
    why: Literal["step", "last step", "summary"]


@dataclass(frozen=True, slots=True)
class RunCalls:
    """Run calls, all at once; tell `returned` once each has its outcome or its handle."""

    calls: tuple[ToolUse, ...]


@dataclass(frozen=True, slots=True)
class AwaitResults:
    """Wait for the results of all calls that still go on; tell `arrived`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """It is done: the output, as JSON types."""

    output: Any


@dataclass(frozen=True, slots=True)
class Fail:
    """It can't be done.

    Attributes:
        type: A stable name to decide by.
        message: Why, for people.
    """

    type: str
    message: str


Command = Ask | RunCalls | AwaitResults | Finish | Fail


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call.

    Attributes:
        call: The id that the model has given it.
        tool: The tool.
        value: What it returned, as JSON types; for a failure, what the model is to know of it.
        is_error: Whether it failed.
        seconds: How long it took.
        handle: What the model is told to know it by while it goes on; empty for a call that has ended.
    """

    call: str
    tool: str
    value: Any = field(default=None, hash=False)
    is_error: bool = False
    seconds: float = 0.0
    handle: str = ""
