"""Answering approvals: by the person at the terminal, or all alike.

What can't be answered is refused: an approval that nobody gives is none.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TextIO

import anyio

from ..orchestrator.events import ApprovalRequested
from .lines import Line, Tone
from .output import Printer
from .sanitise import visible, visible_lines

ARGUMENT_LINES = 20
"""How many lines of what an approval is about are shown."""

LINE_LIMIT = 300
ANSWER_BYTES = 4096

HOW_TO_ALLOW = "there is no terminal to ask at; to approve everything, give --approve all"


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of an approval.

    Attributes:
        approved: Whether it is given.
        by: Who decided.
        comment: Why, for the journal and for what follows.
    """

    approved: bool
    by: str
    comment: str = ""


class Approver(Protocol):
    """Decides on approvals."""

    async def decide(self, request: ApprovalRequested) -> Answer:
        """The answer to a request. It is cancelled when the question has settled itself."""


class AnswerAll:
    """Gives the same answer to everything.

    Args:
        answer: That answer.
        note: Told of every question that was answered so, where the person may not expect it.
    """

    def __init__(self, answer: Answer, *, note: Callable[[str], None] | None = None) -> None:
        self._answer = answer
        self._note = note

    async def decide(self, request: ApprovalRequested) -> Answer:
        """See `Approver.decide`."""
        if self._note is not None:
            verdict = "given" if self._answer.approved else "refused"
            self._note(f"approval of {visible(request.star)} {verdict}: {self._answer.comment}")
        return self._answer


class AskAtTerminal:
    """Asks the person at the terminal, with the view out of the way meanwhile.

    Args:
        by: What the person is called.
        suspended: Gives the screen back for as long as its context lasts.
        source: Where answers are typed: a terminal, which hands over a line at a time.
        target: Where questions are written.
    """

    def __init__(
        self,
        *,
        by: str,
        suspended: Callable[[], AbstractContextManager[None]] = nullcontext,
        source: TextIO | None = None,
        target: TextIO | None = None,
    ) -> None:
        self._by = by
        self._suspended = suspended
        self._source = sys.stdin if source is None else source
        self._target = sys.stdout if target is None else target

    async def decide(self, request: ApprovalRequested) -> Answer:
        """See `Approver.decide`."""
        with self._suspended():
            printer = Printer(self._target)
            for line in question_lines(request):
                printer.line(line)
            while True:
                self._target.write("Approve? [y]es or [n]o, and a comment if you like: ")
                self._target.flush()
                typed = await self._read_line()
                if not typed:  # the terminal has been closed, or Ctrl-D was pressed
                    return Answer(False, self._by, "no answer was given")
                answer = parse_answer(typed.decode("utf-8", "replace"), self._by)
                if answer is not None:
                    return answer

    async def _read_line(self) -> bytes:
        # Not in a thread: one that is stuck in reading could not be stopped when the question settles itself.
        await anyio.wait_readable(self._source.fileno())
        return os.read(self._source.fileno(), ANSWER_BYTES)


def parse_answer(typed: str, by: str) -> Answer | None:
    """What was typed as an answer: `y` or `n`, and whatever follows as the comment; None when it is neither."""
    word, _, comment = typed.strip().partition(" ")
    word = word.rstrip(",:").lower()
    if word in ("y", "yes"):
        return Answer(True, by, comment.strip())
    if word in ("n", "no"):
        return Answer(False, by, comment.strip())
    return None


def question_lines(request: ApprovalRequested) -> list[Line]:
    """A question with what it is about, for a person to judge by."""
    lines = [Line(f"approval wanted by {visible(request.star)}", Tone.HEAD)]
    lines += [Line(f"  {text}", Tone.WARN) for text in visible_lines(request.question, limit=LINE_LIMIT)]
    if request.arguments:
        shown = _readable(request.arguments).split("\n")
        lines += [Line(f"    {visible(text, limit=LINE_LIMIT)}", Tone.DIM) for text in shown[:ARGUMENT_LINES]]
        if len(shown) > ARGUMENT_LINES:
            lines.append(Line(f"    … and {len(shown) - ARGUMENT_LINES} more lines", Tone.DIM))
    return lines


def _readable(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, indent=2, ensure_ascii=False, default=str)
