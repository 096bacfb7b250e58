"""Shapes of answers that only some servers have, and values that could not be kept or counted."""

from __future__ import annotations

from typing import Any

import pytest

from constellation.llm import (
    InvalidOutput,
    InvalidToolArguments,
    MalformedResponse,
    RequestRefused,
    ToolUse,
    Usage,
    assistant,
)
from constellation.llm.hints.fields import HintMemory, body
from constellation.llm.output import SchemaOutput
from constellation.llm.rate_limits import retry_after_s
from constellation.llm.wire.faults import fault_of
from constellation.llm.wire.requests import wire_messages
from constellation.llm.wire.responses import Reading, read_usage

from .test_retrying import NOW
from .test_wire_responses import call, calls_of, chunk


def read(*chunks: dict[str, Any]) -> Any:
    reading = Reading("p")
    for each in chunks:
        for delta in reading.feed(each):
            getattr(delta, "text", "").encode()
    return reading.response()


def test_content_in_parts_is_text_and_thought() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "he"},
        {"type": "text", "text": "y"},
    ]
    response = read(chunk("stop", content=parts))
    assert (response.text, response.message.reasoning) == ("hey", "hm")


@pytest.mark.parametrize("content", [5, {"text": "x"}, [{"type": "text", "text": 5}], [5]])
def test_content_that_is_none_is_malformed(content: Any) -> None:
    with pytest.raises(MalformedResponse):
        Reading("p").feed(chunk(content=content))


def test_a_reason_of_the_end_that_is_no_text_is_malformed() -> None:
    with pytest.raises(MalformedResponse):
        Reading("p").feed(chunk(["stop"]))  # type: ignore[arg-type]


def test_arguments_may_be_an_object() -> None:
    given: Any = {"a": 1}
    assert calls_of(chunk(tool_calls=[call(given, index=0, id="one", name="f")])) == [("one", "f", '{"a": 1}')]


def test_calls_without_index_and_id_are_told_apart_when_they_are_whole() -> None:
    both = [call('{"a":1}', name="f"), call('{"b":2}', name="f")]
    wanted = [("f", '{"a":1}'), ("f", '{"b":2}')]
    assert [found[1:] for found in calls_of(chunk(tool_calls=both))] == wanted
    assert [found[1:] for found in calls_of(*(chunk(tool_calls=[each]) for each in both))] == wanted


def test_whole_calls_of_one_answer_are_apart_whatever_their_index() -> None:
    calls = [call("{}", name="f", index=0, id="x"), call("{}", name="g", index=0, id="x")]
    message = {"role": "assistant", "tool_calls": calls}
    response = Reading("p").take({"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    assert [use.name for use in response.message.tool_uses] == ["f", "g"]


def test_calls_with_one_index_that_come_in_turns_are_put_together_by_their_ids() -> None:
    found = calls_of(
        chunk(tool_calls=[call('{"a"', index=0, id="one", name="f")]),
        chunk(tool_calls=[call('{"b"', index=0, id="two", name="g")]),
        chunk(tool_calls=[call(":1}", index=0, id="one")]),
        chunk(tool_calls=[call(":2}", index=0, id="two")]),
    )
    assert found == [("one", "f", '{"a":1}'), ("two", "g", '{"b":2}')]


def test_an_end_for_calls_without_any_call_is_an_end() -> None:
    assert read(chunk("tool_calls", content="done")).finish_reason == "other"


def test_halves_of_a_character_are_joined_and_replaced_where_they_are_alone() -> None:
    assert read(chunk(content="\ud83d"), chunk("stop", content="\ude00")).text == "\U0001f600"
    assert read(chunk("stop", content="a\ud83d")).text == "a\ufffd"


def test_usage_that_makes_no_sense_is_nothing() -> None:
    told = {"prompt_tokens": "12", "completion_tokens": -4, "cost": float("nan"), "prompt_tokens_details": None}
    assert read_usage(told) == Usage()
    assert read_usage({"prompt_tokens": 3.0, "cost": -1}) == Usage(3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": "\\ud83d"}', "half of a character"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "nested over 200 deep"),
        ('{"a": ' + "[" * 100_000, "nested over 200 deep"),
    ],
)
def test_arguments_that_nobody_could_pass_on_are_the_models_to_mend(arguments: str, problem: str) -> None:
    with pytest.raises(InvalidToolArguments, match=problem):
        ToolUse("c", "f", arguments).decoded()


def test_a_whole_character_in_two_halves_is_taken() -> None:
    assert ToolUse("c", "f", '{"a": "\\ud83d\\ude00"}').decoded() == {"a": "\U0001f600"}


def test_an_answer_that_is_no_number_is_none() -> None:
    with pytest.raises(InvalidOutput, match="NaN"):
        SchemaOutput.of({"type": "object"}).parse('{"a": NaN}')


def test_an_answer_that_said_nothing_is_sent_again_as_empty_text() -> None:
    assert wire_messages([assistant("")], provider="p") == [{"role": "assistant", "content": ""}]


@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
@pytest.mark.parametrize("text", ["nan", "Mon, 01 Jan 99999999999 00:00:00 GMT", "-nan", "soon"])
def test_a_wait_that_is_none_is_not_waited_for(name: str, text: str) -> None:
    assert retry_after_s({name: text}, now=NOW) is None


def test_a_complaint_that_repeats_the_request_names_no_hint() -> None:
    sent = {"priority": 1, "messages": []}
    complaint = {"detail": [{"loc": ["body", "messages"], "msg": "too short", "input": sent}]}
    fault = fault_of(422, complaint, {}, provider="p")
    assert isinstance(fault, RequestRefused)
    assert str(fault) == "p answered 422: body.messages: too short"
    assert not HintMemory().learn(str(fault.args[0]), [body("priority", value=1)])


def test_a_code_of_any_length_is_a_code() -> None:
    assert fault_of(400, {"error": {"message": "no", "code": "4" * 5_000}}, {}, provider="p").status == 400
