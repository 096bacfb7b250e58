"""Approvals: asked at a terminal, or answered all alike; never given by accident."""

from __future__ import annotations

import io
import os
import typing
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from constellation.console.approvals import Answer, AnswerAll, AskAtTerminal, parse_answer, question_lines
from constellation.orchestrator.events import ApprovalRequested

pytestmark = pytest.mark.anyio


def request(question: str = "Go on?", **arguments: typing.Any) -> ApprovalRequested:
    return ApprovalRequested(time=1.0, run="r1", star="gate", question=question, arguments=arguments)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\n", Answer(True, "me")),
        ("YES, looks good \n", Answer(True, "me", "looks good")),
        ("n: too early\n", Answer(False, "me", "too early")),
        ("no\n", Answer(False, "me")),
        ("\n", None),
        ("yep\n", None),
        ("maybe y\n", None),
    ],
)
def test_only_a_plain_yes_or_no_is_an_answer(typed: str, answer: Answer | None) -> None:
    assert parse_answer(typed, "me") == answer


def test_the_question_shows_what_it_is_about_and_nothing_that_acts() -> None:
    lines = [line.text for line in question_lines(request("Really\x1b[2J?\nSure?", path="a\x07b", é=[1]))]
    assert lines == [
        "approval wanted by gate",
        "  Really\\e[2J?",
        "  Sure?",
        "    {",
        '      "path": "a\\u0007b",',
        '      "é": [',
        "        1",
        "      ]",
        "    }",
    ]


def test_a_long_subject_is_cut_with_the_number_of_lines_left_out() -> None:
    lines = question_lines(request(items=list(range(100))))
    assert lines[-1].text == "    … and 84 more lines"


async def test_one_answer_for_all_is_noted_where_it_may_surprise() -> None:
    notes: list[str] = []
    answer = Answer(False, "me", "no terminal")
    assert await AnswerAll(answer, note=notes.append).decide(request()) is answer
    assert await AnswerAll(answer).decide(request()) is answer
    assert notes == ["approval of gate refused: no terminal"]


class Terminal:
    """The two ends of a pseudo-terminal."""

    def __init__(self) -> None:
        self.person, program = os.openpty()
        self.source = os.fdopen(program, "r")
        self.target = io.StringIO()
        self.suspensions: list[str] = []

    @contextmanager
    def suspended(self) -> Iterator[None]:
        self.suspensions.append("begun")
        try:
            yield
        finally:
            self.suspensions.append("over")

    def approver(self) -> AskAtTerminal:
        return AskAtTerminal(by="me", suspended=self.suspended, source=self.source, target=self.target)

    def close(self) -> None:
        self.source.close()
        os.close(self.person)


@pytest.fixture
def pseudo_terminal() -> Iterator[Terminal]:
    terminal = Terminal()
    yield terminal
    terminal.close()


async def test_the_person_is_asked_until_the_answer_is_clear(pseudo_terminal: Terminal) -> None:
    os.write(pseudo_terminal.person, b"what?\ny fine\n")
    with anyio.fail_after(10):
        assert await pseudo_terminal.approver().decide(request()) == Answer(True, "me", "fine")
    assert pseudo_terminal.target.getvalue().count("Approve?") == 2
    assert pseudo_terminal.suspensions == ["begun", "over"]


async def test_an_end_of_input_refuses(pseudo_terminal: Terminal) -> None:
    os.write(pseudo_terminal.person, b"\x04")
    with anyio.fail_after(10):
        answer = await pseudo_terminal.approver().decide(request())
    assert answer == Answer(False, "me", "no answer was given")


async def test_a_question_that_settles_itself_gives_the_terminal_back(pseudo_terminal: Terminal) -> None:
    with anyio.move_on_after(0.05) as scope:
        await pseudo_terminal.approver().decide(request())
    assert scope.cancelled_caught
    assert pseudo_terminal.suspensions == ["begun", "over"]
