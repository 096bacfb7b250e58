"""Making a conversation shorter without breaking it: old outputs are cut first, then old turns become a summary.

A conversation is a head (what the model is, and what it is asked) and turns: an answer of the model, and the results of
its calls. Calls and their results are in one turn, and turns go whole, so no call ever loses its result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from constellation.llm import Image, Message, Part, Text, ToolResult, ToolUse, user
from constellation.llm.messages import File, Reasoning

from .quoting import fenced

CHARS_PER_TOKEN = 3.5
"""What is reckoned with where nobody has counted tokens: less than is usual, to be rather too early than too late."""

PICTURE_TOKENS = 1_500
"""What a picture or a file is taken to be worth."""

CUT_TO_CHARS = 300
"""How much of an old output stays."""

SUMMARISE = (
    "The conversation is getting too long. Sum up what has been done so far, for yourself: what was found out, with "
    "the facts and names that are still needed; what was decided; what remains to be done. Do not call tools, and do "
    "not answer the task yet."
)

_SUMMARY_HEAD = "What you did before, summed up by yourself:"
_DIGEST_HEAD = "What you did before was too long to keep. These were your calls:"

MAX_DIGEST_CHARS = 4_000


def estimated_tokens(messages: Sequence[Message]) -> int:
    """About how many tokens messages take."""
    return sum(_message_tokens(message) for message in messages)


def _message_tokens(message: Message) -> int:
    chars, others = 0, 0
    for part in message.parts:
        match part:
            case Text() | Reasoning():
                chars += len(part.text)
            case ToolUse():
                chars += len(part.name) + len(part.arguments)
            case ToolResult():
                chars += sum(len(each.text) for each in part.content if isinstance(each, Text))
                others += sum(isinstance(each, Image) for each in part.content)
            case Image() | File():
                others += 1
    return 4 + int(chars / CHARS_PER_TOKEN) + others * PICTURE_TOKENS


def turns_of(messages: Sequence[Message]) -> tuple[tuple[Message, ...], list[tuple[Message, ...]]]:
    """A conversation's head and its turns, each of which begins with an answer of the model."""
    starts = [at for at, message in enumerate(messages) if message.role == "assistant"]
    if not starts:
        return tuple(messages), []
    ends = [*starts[1:], len(messages)]
    return tuple(messages[: starts[0]]), [tuple(messages[start:end]) for start, end in zip(starts, ends, strict=True)]


def cut_outputs(messages: Sequence[Message], *, keep_turns: int, to_chars: int = CUT_TO_CHARS) -> tuple[Message, ...]:
    """The conversation with old outputs cut to their beginning; those of the last turns stay whole."""
    head, turns = turns_of(messages)
    old = turns[: len(turns) - keep_turns] if keep_turns else turns
    recent = turns[len(old) :]
    cut = [
        replace(message, parts=tuple(_cut(part, to_chars) for part in message.parts))
        for turn in old
        for message in turn
    ]
    return (*head, *cut, *(message for turn in recent for message in turn))


def _cut(part: Part, to_chars: int) -> Part:
    if not isinstance(part, ToolResult):
        return part
    text = "".join(each.text for each in part.content if isinstance(each, Text))
    pictures = sum(isinstance(each, Image) for each in part.content)
    if len(text) <= 2 * to_chars and not pictures:
        return part
    note = f'[an old result of {len(text)} characters, cut to save room; read_more("{part.call}") gives it]'
    shown = text if len(text) <= to_chars else f"{fenced(_unfenced(text)[:to_chars])}\n{note}"
    if pictures:
        shown += f"\n[{pictures} pictures left out]"
    return replace(part, content=(Text(shown),))


def _unfenced(text: str) -> str:
    first, _, rest = text.partition("\n")
    return rest if first.startswith("<data-") else text


def to_sum_up(messages: Sequence[Message], *, keep_turns: int) -> tuple[Message, ...]:
    """What the model is asked so that it sums up all but the last turns; empty where there is nothing to sum up."""
    head, turns = turns_of(messages)
    old = turns[: len(turns) - keep_turns]
    if not old:
        return ()
    return (*head, *(message for turn in old for message in turn), user(SUMMARISE))


def with_summary(messages: Sequence[Message], summary: str, *, keep_turns: int) -> tuple[Message, ...]:
    """The conversation with a summary in place of all but its last turns."""
    return _replaced(messages, f"{_SUMMARY_HEAD}\n{fenced(summary)}", keep_turns)


def with_digest(messages: Sequence[Message], *, keep_turns: int) -> tuple[Message, ...]:
    """The same without the model's help: a list of the calls."""
    _, turns = turns_of(messages)
    lines: list[str] = []
    for turn in turns[: len(turns) - keep_turns]:
        failed = {
            part.call for message in turn for part in message.parts if isinstance(part, ToolResult) and part.is_error
        }
        for use in turn[0].tool_uses:
            shown = json.dumps(use.arguments[:120], ensure_ascii=False)
            lines.append(f"{use.id}: {use.name}({shown}){' failed' if use.id in failed else ''}")
    text = "\n".join(lines)
    if len(text) > MAX_DIGEST_CHARS:
        text = f"… {text[-MAX_DIGEST_CHARS:]}"
    return _replaced(messages, f"{_DIGEST_HEAD}\n{fenced(text)}\nread_more gives their results.", keep_turns)


def _replaced(messages: Sequence[Message], text: str, keep_turns: int) -> tuple[Message, ...]:
    head, turns = turns_of(messages)
    recent = turns[len(turns) - keep_turns :] if keep_turns else []
    return (*_without_summary(head), user(text), *(message for turn in recent for message in turn))


def _without_summary(head: Sequence[Message]) -> list[Message]:
    """The head without an earlier summary, which the later one holds."""
    return [message for message in head if not message.text.startswith((_SUMMARY_HEAD, _DIGEST_HEAD))]
