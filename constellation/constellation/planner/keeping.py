"""Keeping a conversation within its bound: what is told back in one answer, and in all of them.

A model may look at many stars in one answer, and in answer after answer; each look is bounded, and so is their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..llm import Message, ToolResult
from ..llm.messages import Part, Text
from .fencing import tokens_in

OLD_ANSWERS = 3
"""How many answers' worth of results a conversation keeps."""

MIN_RESULT_TOKENS = 60
"""How much is told back of every call, however many there are: enough to say what is wrong with one."""

CUT = "left out, for too much was asked for at once: look at fewer stars in one answer"
OLD = "left out, for it is long ago: look again if you need it"


def told_back(results: Sequence[ToolResult], *, tokens: int) -> list[ToolResult]:
    """The results of one answer, of which those that are too long together are left out, the longest ones first."""
    sizes = [_tokens(result) for result in results]
    left_out: set[int] = set()
    total = sum(sizes)
    for place in sorted(range(len(results)), key=lambda place: -sizes[place]):
        if total <= tokens or sizes[place] <= MIN_RESULT_TOKENS:
            break
        total -= sizes[place]
        left_out.add(place)
    return [_without(result, CUT) if place in left_out else result for place, result in enumerate(results)]


def kept(messages: Sequence[Message], *, tokens: int) -> list[Message]:
    """A conversation in which the oldest results are left out that are too long together; calls keep a result each."""
    used = 0
    found: list[Message] = []
    for message in reversed(messages):
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                size = _tokens(part)
                used += size
                if used > tokens and size > MIN_RESULT_TOKENS:
                    part = _without(part, OLD)
            parts.append(part)
        found.append(replace(message, parts=tuple(parts)))
    return found[::-1]


def _without(result: ToolResult, why: str) -> ToolResult:
    return replace(result, content=(Text(why),))


def _tokens(result: ToolResult) -> int:
    return sum(tokens_in(part.text) for part in result.content if isinstance(part, Text))
