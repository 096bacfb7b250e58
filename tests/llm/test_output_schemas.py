"""Structured answers by a JSON Schema alone, without a type at hand."""

from __future__ import annotations

from typing import Any

import pytest

from constellation.llm import InvalidOutput, InvalidRequest, SchemaOutput

POINT = {
    "$defs": {"number": {"type": "number"}},
    "type": "object",
    "title": "Point",
    "properties": {"x": {"$ref": "#/$defs/number"}},
    "required": ["x"],
}


def test_an_object_is_asked_for_as_it_is() -> None:
    output = SchemaOutput.of(POINT)
    assert output.schema == POINT
    assert output.response_format["json_schema"]["name"] == "Point"
    assert output.parse('```json\n{"x": 1.5}\n```') == {"x": 1.5}


def test_all_else_is_asked_for_inside_an_object() -> None:
    numbers = {"$defs": POINT["$defs"], "type": "array", "items": {"$ref": "#/$defs/number"}}
    output = SchemaOutput.of(numbers)
    assert output.schema["required"] == ["result"]
    assert output.schema["$defs"] == POINT["$defs"]
    assert output.parse('{"result": [1, 2]}') == [1, 2]
    with pytest.raises(InvalidOutput, match=r"result\.1: 'b' is not of type 'number'"):
        output.parse('{"result": [1, "b"]}')


@pytest.mark.parametrize(
    ("text", "problem"),
    [('{"x": "y"}', "x: 'y' is not of type 'number'"), ("{}", "the answer: 'x' is a required"), ("x", "it is no JSON")],
)
def test_what_does_not_fit_is_said_where_and_why(text: str, problem: str) -> None:
    with pytest.raises(InvalidOutput, match=problem) as caught:
        SchemaOutput.of(POINT).parse(text)
    assert caught.value.text == text


@pytest.mark.parametrize("schema", [{"type": "objekt"}, {"properties": []}, {"required": "x"}])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="schema"):
        SchemaOutput.of(schema)


def test_a_schema_never_fetches_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("it has fetched something"))
    output = SchemaOutput.of({"type": "object", "properties": {"x": {"$ref": "http://127.0.0.1:1/schema.json"}}})
    with pytest.raises(InvalidOutput, match="can't be used"):
        output.parse('{"x": 1}')
