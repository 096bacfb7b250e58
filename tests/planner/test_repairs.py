"""A model that makes mistakes is told them, mends them, and each is in the story of the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import Orchestrator
from constellation.llm import ModelRequest, ToolResult
from constellation.orchestrator.asking import AskOptions
from constellation.orchestrator.events import EditRefused, PlannerNoted, StarStarted
from constellation.orchestrator.recovery import read_entries
from constellation.planner import EditPolicy, Limits, PlanFailed
from constellation.scheduling.story import run_story, story
from constellation.testing.models import Called, Reply, ScriptedModel
from constellation_tools import ToolFailed, tool

from .scripts import Interrupted, call, said

pytestmark = pytest.mark.anyio

RELEASE: list[anyio.Event] = []


@tool
def look(place: str) -> str:
    """Look somewhere."""
    return f"seen {place}"


@tool
async def slow(place: str) -> str:
    """Look somewhere, until the test lets it go."""
    await RELEASE[0].wait()
    return place


@tool
def fail(place: str) -> str:
    """Look somewhere where nothing is; the second time there is."""
    RELEASE.append(anyio.Event())
    if len(RELEASE) > 2:
        return f"found {place}"
    raise ToolFailed("nothing there")


@tool
def gather(found: list[str]) -> str:
    """Put together what was seen."""
    return ", ".join(map(str, found))


TOOLS = [look, slow, fail, gather]


@pytest.fixture(autouse=True)
def gate() -> anyio.Event:
    RELEASE[:] = [anyio.Event()]
    return RELEASE[0]


def star(id: str, tool: str, **arguments: Any) -> Called:
    return call("add_star", id=id, tool=tool, arguments=arguments)


def results_of(request: ModelRequest) -> list[str]:
    last = request.messages[-1].parts
    return ["".join(part.text for part in each.content) for each in last if isinstance(each, ToolResult)]  # type: ignore[union-attr]


async def test_a_cycle_an_unknown_device_a_malformed_call_and_an_edit_of_what_has_begun_are_mended(
    tmp_path: Path, gate: anyio.Event
) -> None:
    found = [{"$ref": "a"}, {"$ref": "b"}]
    journal = tmp_path / "journal.db"

    def free(request: ModelRequest) -> Reply:
        gate.set()
        return said(call("retry", star="b"), call("finish", reason="it may be elsewhere"))

    steps = [
        said(star("a", "slow", place="attic"), star("b", "fail", place="cellar"), star("all", "gather", found=found)),
        said(call("add_line", source="all", target="a")),  # a cycle
        said(
            call("update", star="a"), call("add_star", id="c", tool="look", arguments={"place": "hall"}, device="mars")
        ),
        said(Called("add_line", '{"source": "a", '), Called("add_line", {"source": "a"})),
        said(call("finish", reason="both at once")),
        said(call("update", star="a", arguments={"place": "roof"}), call("finish", reason="look at the roof")),
        free,
        "The cellar has it.",
    ]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(2, tools=TOOLS, journal=journal, home=tmp_path) as orchestrator:
            options = AskOptions(edits=EditPolicy("failure", gather_s=0))
            answer = await orchestrator.ask("Look in attic and cellar", model=model, options=options)
            entries = await read_entries(orchestrator.journal, answer.report.run)
    assert answer.report.state == "succeeded"
    assert answer.report.outputs == {"all": "attic, found cellar"}
    assert answer.text == "The cellar has it."
    told = "\n".join(run_story(entries))
    for mistake in (
        "add_line: this would close a cycle: a → all",
        "update: no tool is named 'update'",
        'there is no device "mars"; the devices are "device-1", "device-2"',
        "add_line: the arguments of add_line are no JSON",
        "the arguments do not fit the tool 'add_line'",
        "star 'a' has been",
    ):
        assert mistake in told
    assert told.count("the planner was told of a mistake") >= 6
    assert any("was told of a mistake" in line for line in story(entries, "b"))
    assert "it may be elsewhere" in told


async def test_what_is_told_back_names_the_thing_and_what_there_is_instead() -> None:
    steps = [
        said(star("a", "lok", place="x")),
        said(star("a", "look", plac="x")),
        said(star("a", "look", place={"$ref": "zero"})),
        said(call("add_star", id="a", tool="look", instruction="or this")),
        said(call("add_star", id="?", tool="look", arguments={"place": "x"})),
        said(star("a", "look", place="x"), star("a", "look", place="x")),
        said(call("add_star", id="b", tool="look", arguments={"place": "x"}, requires={"os": "plan9"})),
        said(call("add_star", id="b", instruction="think")),
        said(call("finish", reason="")),
        said(call("finish", reason="so")),
        "Fine.",
    ]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            options = AskOptions(edits=EditPolicy("never"), limits=Limits(repairs=20))
            await orchestrator.ask("Look", model=model, options=options)
    told = [results_of(request) for request in model.requests[1:-1]]
    expected = [
        'there is no tool "lok"; did you mean "look"?; the tools are',
        "there is no argument 'plac'",
        'there is no star "zero"; the stars are none',
        "a star has one of tool, instruction and question; this has tool and instruction",
        "'?' can't be a star's id",
        'there is a star "a" already',
        "os 'linux', not 'plan9'",
        "has an LLM agent",
        "reason",
    ]
    for results, words in zip(told, expected, strict=True):
        assert any(words in result for result in results), (words, results)


async def test_calls_of_one_answer_may_name_one_another_in_any_order() -> None:
    found = [{"$ref": "a"}, {"$ref": "b"}]
    steps = [
        said(
            star("all", "gather", found=found),
            call("add_star", id="b", tool="look", arguments={"place": "y"}, after=["a"]),
            star("a", "look", place="x"),
            call("finish", reason="so"),
        ),
        "Fine.",
    ]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Look", model=model, options=AskOptions(edits=EditPolicy("never")))
    assert answer.report.outputs == {"all": "seen x, seen y"}


async def test_a_plan_is_not_finished_while_another_call_of_the_answer_does_not_fit() -> None:
    steps = [
        said(star("a", "look", place="x"), star("b", "lok", place="y"), call("finish", reason="so")),
        said(star("b", "look", place="y"), call("finish", reason="so")),
        "Fine.",
    ]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Look", model=model, options=AskOptions(edits=EditPolicy("never")))
    assert set(answer.report.outputs) == {"a", "b"}


async def test_independent_stars_in_a_row_are_told_back_once() -> None:
    def place(id: str, *after: str) -> Called:
        return call("add_star", id=id, tool="look", arguments={"place": id}, after=list(after))

    chained = said(place("a"), place("b", "a"), place("c", "b"), call("finish", reason="one by one"))
    apart = said(
        call("remove_line", source="a", target="b"),
        call("remove_line", source="b", target="c"),
        call("finish", reason="at once"),
    )
    for second, lines in ((apart, 0), (said(call("finish", reason="their order matters")), 2)):
        with ScriptedModel([chained, second, "Fine."]) as model:
            async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
                async with orchestrator.asking(
                    "Look", model=model, options=AskOptions(edits=EditPolicy("never"))
                ) as asked:
                    await asked.answer()
                    assert len(asked.plan.graph.lines) == lines
        assert "a → b → c" in results_of(model.requests[1])[-1]


async def test_a_model_that_does_not_come_to_an_end_is_not_asked_for_ever() -> None:
    steps = [said(star("a", "lok", place="x")) for _ in range(4)]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            options = AskOptions(limits=Limits(repairs=3))
            with pytest.raises(PlanFailed, match="mistakes in 4 answers, and 3 are allowed") as caught:
                await orchestrator.ask("Look", model=model, options=options)
            assert await orchestrator.runs() == []
    assert "lok" in caught.value.problems[0]
    with ScriptedModel([Reply("I would rather talk.")] * 3) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            with pytest.raises(PlanFailed, match="has no call"):
                await orchestrator.ask("Look", model=model, options=AskOptions(limits=Limits(repairs=2)))


async def test_what_is_too_large_is_refused() -> None:
    many = [star(f"s{number}", "look", place="x") for number in range(4)]
    steps = [said(*many), said(call("finish", reason="three will do")), "Fine."]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            options = AskOptions(edits=EditPolicy("never"), limits=Limits(stars=3))
            answer = await orchestrator.ask("Look", model=model, options=options)
    assert len(answer.report.rows) == 3
    assert "a graph may have 3 stars" in results_of(model.requests[1])[-1]


async def test_an_edit_that_comes_too_late_is_told_back_with_how_things_are() -> None:
    """Somebody else changes the star that the model wants to change, between its look and its edit."""
    found = [{"$ref": "b"}]
    steps: list[Any] = [
        said(star("b", "fail", place="cellar"), star("all", "gather", found=found), call("finish", reason="so")),
        said(call("retry", star="b")),
        said(call("finish", reason="elsewhere")),
        said(call("retry", star="b"), call("finish", reason="elsewhere, again")),
        "Fine.",
    ]

    async def edit_by_hand(request: ModelRequest) -> None:
        edit = (await asked.run.graph()).edit(author="ann", reason="mine")
        edit.update("all", priority=3)
        await asked.run.edit(edit)

    model = Interrupted(ScriptedModel(steps), before=2, what=edit_by_hand)
    events = []
    async with Orchestrator.local(2, tools=TOOLS) as orchestrator:
        options = AskOptions(edits=EditPolicy("failure", gather_s=0))
        async with orchestrator.asking("Look", model=model, options=options) as asked:
            async for event in asked.run.events():
                events.append(event)
            answer = await asked.answer()
    model.model.check_used_up()
    assert answer.report.outputs == {"all": "found cellar"}
    refused = [event.text for event in events if isinstance(event, PlannerNoted) and event.about == "refused"]
    assert len(refused) == 1
    assert "'all' changed in between" in refused[0]
    assert not any(isinstance(event, EditRefused) for event in events)
    assert any(isinstance(event, StarStarted) and event.star == "b-again" for event in events)
