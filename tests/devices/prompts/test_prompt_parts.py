"""The parts that prompts are made of, one by one."""

from __future__ import annotations

import os
import string
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.llm import Conversation, Image, Message, Text, ToolResult, ToolUse, assistant, system, user
from constellation_devices import BadDeviceSetup
from constellation_devices.agent_options import agent_of, options_of
from constellation_devices.prompts import compaction
from constellation_devices.prompts.offering import ToolOffer, dialect_of
from constellation_devices.prompts.pauses import PauseBook
from constellation_devices.prompts.permissions import policy_of
from constellation_devices.prompts.quoting import fenced, quoted_result, shortened, task_text
from constellation_devices.prompts.reporting import BUNDLE_S, Reporter
from constellation_devices.prompts.shelf import MAX_PIECE_CHARS, Shelf
from constellation_devices.prompts.transcripts import MAX_MESSAGES, transcript, write_transcript
from constellation_devices.secret_environment import take_agent_key
from constellation_protocol.kinds import A2AAgent, ModelAgent
from constellation_tools import ToolFailed, tool

# --- quoting ----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_the_end_of_what_is_fenced_is_where_it_was_put(text: str) -> None:
    whole = fenced(text)
    mark = whole[1:].partition(">")[0]
    assert whole == f"<{mark}>\n{text}\n</{mark}>"
    assert mark not in text


@given(st.text(max_size=3_000), st.integers(8, 500))
def test_what_is_shortened_has_its_beginning_and_its_end_and_says_what_is_missing(text: str, limit: int) -> None:
    short = shortened(text, limit, source="c1")
    if len(text) <= limit:
        assert short == text
        return
    assert short.startswith(text[: limit * 3 // 4])
    assert short.endswith(text[len(text) - limit // 4 :])
    assert f'read_more("c1", {limit * 3 // 4})' in short


def test_numbers_are_shown_bare() -> None:
    assert quoted_result(7, 100, source="c") == "7"
    assert quoted_result(None, 100, source="c") == "null"
    assert quoted_result({"a": 1}, 100, source="c") == fenced('{"a": 1}')


def test_a_task_without_arguments_is_the_instruction() -> None:
    assert task_text("Do it.", {}, 10) == "Do it."


# --- what was left out ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["", "\n", "\nwhy\nmore", "why"])
def test_a_call_that_fails_without_a_word_is_reported(problem: str) -> None:
    told: list[str | None] = []
    Reporter(lambda text=None, **_: told.append(text)).call("f", "c", "failed", problem)  # type: ignore[arg-type, misc]
    assert told == ["f failed: why" if "why" in problem else "f failed"]


def test_the_shelf_gives_a_text_piece_by_piece() -> None:
    shelf = Shelf()
    text = string.ascii_letters * 1_000
    shelf.keep("c1", text)
    read, offset = "", 0
    while offset < len(text):
        piece = shelf.read_more("c1", offset)[:MAX_PIECE_CHARS]
        piece = piece if offset + MAX_PIECE_CHARS < len(text) else piece.partition("\n[…")[0]
        read += piece
        offset += len(piece)
    assert read == text


def test_the_shelf_forgets_the_oldest_first_and_never_holds_more_than_it_may() -> None:
    shelf = Shelf(max_chars=10)
    shelf.keep("a", "12345")
    shelf.keep("b", "12345")
    shelf.keep("c", "123456789012345")
    with pytest.raises(ToolFailed, match="there is c"):
        shelf.read_more("a")
    assert shelf.read_more("c") == "1234567890"
    with pytest.raises(ToolFailed, match="from 0 to 9"):
        shelf.read_more("c", 10)


# --- compaction -------------------------------------------------------------------------------------------------------

turns = st.lists(st.tuples(st.integers(0, 3), st.text(max_size=400), st.booleans()), max_size=8)


def conversation(shape: list[tuple[int, str, bool]]) -> list[Message]:
    messages = [system("rules"), user("the task")]
    for number, (calls, text, failed) in enumerate(shape):
        uses = [ToolUse(f"c{number}-{each}", "read") for each in range(calls)]
        messages.append(assistant(Text("so"), *uses))
        if calls:
            results = [ToolResult(use.id, (Text(text), Image(url="http://x/y")), failed) for use in uses]
            messages.append(user(*results))
    return messages


def check_whole(messages: tuple[Message, ...]) -> None:
    waiting: list[str] = []
    for message in messages:
        results = [part.call for part in message.parts if isinstance(part, ToolResult)]
        if message.role == "user" and waiting:
            assert results == waiting
            waiting = []
        else:
            assert not results
        waiting += [part.id for part in message.parts if isinstance(part, ToolUse)]
    assert not waiting


@given(turns, st.integers(0, 4))
def test_no_way_of_making_it_shorter_parts_a_call_from_its_result(
    shape: list[tuple[int, str, bool]], keep: int
) -> None:
    messages = conversation(shape)
    for shorter in (
        compaction.cut_outputs(messages, keep_turns=keep, to_chars=20),
        compaction.with_summary(messages, "a summary", keep_turns=keep),
        compaction.with_digest(messages, keep_turns=keep),
    ):
        check_whole(shorter)
        assert shorter[:2] == tuple(messages[:2])
        recent = compaction.turns_of(messages)[1][len(shape) - keep :] if keep < len(shape) else []
        if recent and keep:
            assert compaction.turns_of(shorter)[1][-len(recent) :] == recent


def test_a_later_summary_takes_the_place_of_an_earlier_one() -> None:
    messages = conversation([(1, "x", False)] * 4)
    once = compaction.with_summary(messages, "first", keep_turns=2)
    twice = compaction.with_summary(once, "second", keep_turns=1)
    texts = [message.text for message in twice]
    assert any("second" in text for text in texts)
    assert not any("first" in text for text in texts)


# --- what is learned --------------------------------------------------------------------------------------------------


def test_pauses_say_nothing_before_there_are_enough() -> None:
    book = PauseBook()
    book.paused("read", 1.0)
    book.paused("read", 1.0)
    assert book.pause("read") is None
    book.paused("read", 4.0)
    pause = book.pause("read")
    assert pause is not None
    assert (pause.mean_s, pause.p95_s) == (2.0, 4.0)
    assert book.pause("other") == pause  # those of all tools, for one that is not known


def test_a_tool_that_follows_nearly_always_is_expected() -> None:
    book = PauseBook()
    for then in ("read", "read", "read", "write"):
        book.followed(None, then)
    assert book.next_tool(None) == "read"
    book.followed(None, "write")
    assert book.next_tool(None) is None  # three of five are too few
    assert book.next_tool("read") is None


def test_remaining_steps_come_from_prompts_that_took_longer() -> None:
    book = PauseBook()
    for steps in (2, 4, 6):
        book.ended(steps)
    assert book.remaining_steps(0) == 3.0
    assert book.remaining_steps(3) == 1.0
    assert book.remaining_steps(6) is None


# --- what the model may -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "tool", "verdict"),
    [
        (ModelAgent("m"), "files_read", "allow"),
        (ModelAgent("m"), "shell_run", "ask"),
        (ModelAgent("m", allow=["shell_*"]), "shell_run", "allow"),
        (ModelAgent("m", allow=["*"], deny=["shell_run"]), "shell_run", "deny"),
        (ModelAgent("m", allow=["*"], ask=["files_*"]), "files_write", "ask"),
    ],
)
def test_the_owner_decides_and_programs_are_asked_for(agent: ModelAgent, tool: str, verdict: str) -> None:
    assert policy_of(agent).decide(tool, {}).verdict == verdict


# --- what it is told --------------------------------------------------------------------------------------------------


def test_text_is_told_in_bundles() -> None:
    told: list[object] = []

    def report(text: str | None = None, *, fraction: float | None = None, data: object = None) -> None:
        told.append(data)

    reporter = Reporter(report)
    for at, text in ((0.0, "a"), (0.1, "b"), (BUNDLE_S, "c"), (9.0, "d"), (9.0, "x" * 5_000)):
        reporter.text(text, at)
    reporter.text("e", 20.0)
    reporter.used({"steps": 1})
    assert told == [
        {"agent": "text", "text": "abc"},
        {"agent": "text", "text": "d" + "x" * 5_000},
        {"agent": "text", "text": "e"},
        {"agent": "usage", "steps": 1},
    ]


@tool
def book(title: str, notes: dict[str, str] | None = None) -> str:
    """Book something."""
    return title


def test_tools_are_told_in_the_words_of_the_provider_and_calls_in_those_of_the_tool() -> None:
    assert dialect_of("anthropic/claude") == "anthropic"
    assert dialect_of("vllm/qwen3@http://h:1") == "openai-chat"
    assert dialect_of("no model string") == "openai-chat"
    offer = ToolOffer([book], "gemini-openapi")
    assert "additionalProperties" not in offer.specs[0].input_schema
    call = offer.call_of(ToolUse("1", "book", '{"title": "x", "notes": "{\\"a\\": \\"b\\"}"}'))
    assert call.arguments == {"title": "x", "notes": {"a": "b"}}
    assert "no JSON" in str(offer.call_of(ToolUse("1", "book", "{")).problem)


def test_tools_that_are_too_many_for_the_provider_are_left_out_and_said_to_be() -> None:
    offer = ToolOffer([book.renamed(f"book_{number}") for number in range(130)], "openai-chat")
    assert len(offer.specs) == 128
    assert offer.skipped == {"book_128": "more than 128 tools", "book_129": "more than 128 tools"}


# --- transcripts ------------------------------------------------------------------------------------------------------


def test_a_transcript_is_bounded_and_without_secrets() -> None:
    messages = [user("my key is hunter2-hunter2", Image(b"\x89PNG")), *[assistant("x" * 50_000)] * MAX_MESSAGES]
    document = transcript(messages, ["hunter2-hunter2"])
    saved = Conversation.from_json(document)
    assert len(saved.messages) == MAX_MESSAGES + 1
    assert saved.messages[0].text == "my key is [secret][a file of the type image/png left out]"
    assert b"hunter2" not in document
    assert len(document) < 21_000 * (MAX_MESSAGES + 2)


def test_the_id_of_an_attempt_is_no_way_out_of_the_folder(tmp_path: Path) -> None:
    path = write_transcript(tmp_path / "kept", "../../evil/1", b"{}")
    assert path.parent == tmp_path / "kept"
    assert path.stat().st_mode & 0o777 == 0o600


# --- the command line -------------------------------------------------------------------------------------------------


def parsed(options: list[str]) -> ModelAgent | A2AAgent | None:
    """What the command line makes of options, as typer hands them over."""
    found: dict[str, list[str]] = {}
    for name, value in zip(options[::2], options[1::2], strict=True):
        found.setdefault(name.removeprefix("--").replace("-", "_"), []).append(value)
    one = {name: values[0] for name, values in found.items()}
    whole = {name: int(one[name]) if name in one else None for name in ("context_tokens", "max_tokens")}
    return agent_of(
        one.get("model"),
        one.get("a2a"),
        instructions=one.get("instructions", ""),
        max_steps=int(one.get("max_steps", "50")),
        max_time_s=float(one["max_time"]) if "max_time" in one else None,
        budget_usd=one.get("budget"),
        prices_usd=one.get("prices"),
        allow=tuple(found.get("allow_tool", ())),
        ask=tuple(found.get("ask_tool", ())),
        deny=tuple(found.get("deny_tool", ())),
        transcripts=Path(one["transcripts"]) if "transcripts" in one else None,
        **whole,
    )


@pytest.mark.parametrize(
    "agent",
    [
        None,
        A2AAgent("https://agent.example"),
        ModelAgent("openai/gpt-5"),
        ModelAgent(
            "vllm/q@http://h:1",
            instructions="Be brief.\n--no",
            context_tokens=32_000,
            max_steps=7,
            max_tokens=9,
            max_time_s=2.5,
            budget_usd=Decimal("0.5"),
            prices_usd=(Decimal("2.50"), Decimal("10")),
            allow=("a*", "b"),
            ask=("c",),
            deny=("d",),
            transcripts=Path("/t"),
        ),
    ],
)
def test_options_written_for_a_child_are_read_as_they_were_meant(agent: ModelAgent | A2AAgent | None) -> None:
    assert parsed(options_of(agent)) == agent


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model", "openai/x", "--a2a", "https://h"], "exclude each other"),
        (["--budget", "1"], "--budget goes with --model"),
        (["--a2a", "https://h", "--max-steps", "7"], "--max-steps goes with --model"),
        (["--model", "openai/x", "--budget", "much"], "--budget much is no amount"),
        (["--model", "openai/x", "--budget", "-1"], "--budget -1 is no amount"),
        (["--model", "openai/x", "--prices", "2.50"], "--prices 2.50 is no pair"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: list[str], problem: str) -> None:
    with pytest.raises(BadDeviceSetup, match=problem):
        parsed(options)


@pytest.mark.parametrize(
    ("agent", "variable", "taken"),
    [
        (ModelAgent("openai/gpt-5"), "OPENAI_API_KEY", True),
        (ModelAgent("openai/gpt-5@http://elsewhere:1"), "OPENAI_API_KEY", False),
        (ModelAgent("llm-d/q@http://h:1"), "LLM_D_API_KEY", True),
        (ModelAgent("litellm/anthropic/claude"), "ANTHROPIC_API_KEY", True),
        (A2AAgent("https://h"), "A2A_TOKEN", True),
        (None, "OPENAI_API_KEY", False),
    ],
)
def test_the_key_of_the_agent_is_taken_out_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, agent: ModelAgent | A2AAgent | None, variable: str, taken: bool
) -> None:
    monkeypatch.setenv(variable, "secret")
    assert take_agent_key(agent) == ("secret" if taken else None)
    assert (variable in os.environ) is not taken
