"""Admission: what the devices can't carry out is named before anything runs."""

from __future__ import annotations

from typing import Any

import pytest

from constellation import Approval, Nested, Outcome, Prompt, StarState, TaskConstellation
from constellation.graph.documents import dump
from constellation.orchestrator.admission import admit, find_problems
from constellation.orchestrator.errors import AdmissionRefused, EmptyGraph
from constellation_protocol.messages import DeviceProfile, ToolInfo

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 1},
        "names": {"type": "array", "items": {"type": "string"}},
        "where": {
            "type": "object",
            "properties": {"path": {"type": "string"}, "depth": {"type": "integer"}},
            "required": ["path"],
            "additionalProperties": False,
        },
        "either": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    },
    "required": ["count"],
    "additionalProperties": False,
}
SCAN = ToolInfo(name="scan", input_schema=SCHEMA)
LOOSE = ToolInfo(name="scan", input_schema={"type": "object"})
REF = {"$ref": "first#"}
INPUT = {"$input": "/count"}


def profiles(**tools: tuple[ToolInfo, ...]) -> dict[str, DeviceProfile]:
    return {name: DeviceProfile(labels={"os": "linux"}, tools=offered) for name, offered in tools.items()}


def graph_with(arguments: dict[str, Any], **fields: Any) -> TaskConstellation:
    graph = TaskConstellation("g")
    graph.star("first", "scan", count=1)
    graph.star("star", "scan", **arguments, **fields)
    return graph


def messages(graph: TaskConstellation, offered: dict[str, DeviceProfile]) -> dict[str, str]:
    return {problem.star: problem.message for problem in find_problems(graph, offered)}


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": 3},
        {"count": 3, "names": ["a"], "where": {"path": "x", "depth": 2}, "either": None},
        {"count": REF},
        {"count": 1, "names": REF},
        {"count": 1, "names": ["a", REF]},
        {"count": 1, "where": REF},
        {"count": 1, "where": {"path": REF}},
        {"count": 1, "where": {"path": "x", "depth": REF}},
        {"count": 1, "either": REF},
        {"count": INPUT},
    ],
    ids=str,
)
def test_arguments_that_fit_or_may_come_to_fit_are_let_through(arguments: dict[str, Any]) -> None:
    assert messages(graph_with(arguments), profiles(one=(SCAN,))) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'count' is missing (it takes count, [names], [where], [either])"),
        ({"count": "many"}, "count: 'many' is not of type 'integer'"),
        ({"count": 0}, "count: 0 is less than the minimum of 1"),
        ({"count": 1, "cuont": 2}, "there is no argument 'cuont'"),
        ({"count": 1, "names": ["a", 5]}, "names[1]: 5 is not of type 'string'"),
        ({"count": 1, "names": [REF, 5]}, "names[1]: 5 is not of type 'string'"),
        ({"count": 1, "where": {"depth": REF}}, "where: 'path' is missing"),
        ({"count": 1, "where": {"path": REF, "deep": 1}}, "where: there is no argument 'deep'"),
        ({"count": 1, "either": "x"}, "either: 'x' is not valid under any of the given schemas"),
        ({"count": REF, "names": "x" * 1000}, "…"),
        ({"count": [REF]}, "is not of type 'integer'"),
        ({"count": 1, "names": [{"first": [REF]}]}, "names[0]: {'first': [{'$ref': "),
        ({"count": 1, "where": [REF]}, "is not of type 'object'"),
    ],
    ids=str,
)
def test_arguments_that_can_not_fit_are_named_with_their_place(arguments: dict[str, Any], words: str) -> None:
    found = messages(graph_with(arguments), profiles(one=(SCAN,)))
    assert list(found) == ["star"]
    assert words in found["star"]
    assert len(found["star"]) < 500


def test_one_device_whose_tool_takes_the_arguments_is_enough() -> None:
    assert messages(graph_with({"cuont": 1}), profiles(strict=(SCAN,), loose=(LOOSE,))) == {}


def test_an_unknown_tool_is_named_with_one_that_is_close_or_with_what_to_do() -> None:
    graph = TaskConstellation("g")
    graph.star("near", "scam", count=1)
    graph.star("far", "transmogrify")
    found = messages(graph, profiles(one=(SCAN,), two=()))
    assert found["near"] == "no connected device (one, two) has a tool 'scam'; did you mean 'scan'?"
    assert "--tools" in found["far"]
    assert "start one with `constellation device`" in messages(graph, {})["far"]


def test_long_lists_of_devices_are_cut() -> None:
    graph = TaskConstellation("g")
    graph.star("far", "transmogrify")
    offered = profiles(**{f"d{number:02}": () for number in range(11)})
    assert "d00, d01, d02, d03, d04, d05, d06, d07 and 3 more" in messages(graph, offered)["far"]


def test_requirements_and_pins_that_nobody_meets_are_named() -> None:
    graph = TaskConstellation("g")
    graph.star("pinned", "scan", count=1, device="elsewhere")
    graph.star("picky", "scan", count=1, requires={"os": "plan9"})
    graph.star("heavy", "scan", count=1, requires={"gpu": 8})
    found = messages(graph, profiles(one=(SCAN,)))
    assert "elsewhere" in found["pinned"]
    assert "plan9" in found["picky"]
    assert "gpu" in found["heavy"]


def test_a_prompt_needs_a_device_with_an_agent() -> None:
    graph = TaskConstellation("g")
    graph.star("ask", Prompt("Say something."))
    assert "has an LLM agent" in messages(graph, profiles(one=(SCAN,)))["ask"]
    assert messages(graph, profiles(one=(ToolInfo(name=Prompt.tool),))) == {}


def test_the_output_of_a_prompt_has_to_be_a_schema() -> None:
    graph = TaskConstellation("g")
    graph.star("fine", Prompt("Say something.", output={"type": "object"}))
    graph.star("wrong", Prompt("Say something.", output={"type": "objekt"}))
    found = messages(graph, profiles(one=(ToolInfo(name=Prompt.tool),)))
    assert set(found) == {"wrong"}
    assert "its output is no JSON Schema: type: 'objekt'" in found["wrong"]


def test_approvals_need_no_device_and_what_has_ended_needs_nothing() -> None:
    graph = TaskConstellation("g")
    graph.star("ask", Approval("Go?"))
    done = graph.star("done", "transmogrify")
    graph.settle(done.id, StarState.SKIPPED, Outcome())
    assert messages(graph, {}) == {}


def test_problems_inside_nested_constellations_are_found() -> None:
    innermost = TaskConstellation("innermost")
    innermost.star("deep", "scam", count=INPUT)
    inner = TaskConstellation("inner")
    inner.star("level", innermost, count=1)
    graph = TaskConstellation("g")
    graph.star("outer", inner)
    graph.star("broken", Nested({"format": 1, "stars": 5}))
    found = messages(graph, profiles(one=(SCAN,)))
    assert found["outer"].startswith("in its nested constellation, star 'level': in its nested constellation, star")
    assert "'scam'" in found["outer"]
    assert found["broken"].startswith("its nested constellation is not valid")


def test_a_graph_without_stars_is_refused_and_so_is_one_inside_another() -> None:
    with pytest.raises(EmptyGraph, match="'nothing' has no stars, so there is nothing to run: add stars"):
        admit(TaskConstellation("nothing"), {})
    graph = TaskConstellation("outer")
    graph.star("inner", Nested(dump(TaskConstellation("nothing"))))
    with pytest.raises(AdmissionRefused, match="star 'inner': its nested constellation has no stars"):
        admit(graph, {})


def test_a_refusal_names_all_stars_up_to_ten_and_counts_the_rest() -> None:
    graph = TaskConstellation("g")
    for number in range(12):
        graph.star(f"s{number}", "transmogrify")
    with pytest.raises(AdmissionRefused) as refusal:
        admit(graph, profiles(one=(SCAN,)))
    assert len(refusal.value.problems) == 12
    assert str(refusal.value).startswith("12 stars can't be served:")
    assert str(refusal.value).endswith("and 2 more")
    graph = TaskConstellation("g")
    graph.star("s", "scan", count=1)
    admit(graph, profiles(one=(SCAN,)))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strange"},
        {"properties": {"count": {"$ref": "http://127.0.0.1:9/schema"}}},
        {"properties": {"count": {"$ref": "#/nowhere"}}},
        {"$ref": "#"},
        {"properties": 5},
        {"properties": {"count": {"type": "integer", "minimum": "x"}}},
    ],
    ids=str,
)
def test_a_device_that_describes_its_tool_by_nonsense_is_named_and_reaches_no_address(
    schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: pytest.fail("an address was dialled"))
    strange = ToolInfo(name="scan", input_schema=schema)
    found = messages(graph_with({"count": 1}), profiles(one=(strange,)))
    assert "a device describes it by a schema that can't be used" in found["star"]
    assert messages(graph_with({"count": 1}), profiles(one=(strange,), two=(SCAN,))) == {}
