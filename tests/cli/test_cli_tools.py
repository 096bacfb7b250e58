"""`constellation tools`: what it lists, shows, calls and checks, and how mistakes are told."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constellation.cli import main

Out = pytest.CaptureFixture[str]

GARDEN = '''
"""Tools for the garden."""
from collections.abc import Iterator
from typing import Any

from constellation_tools import Retry, ToolContext, ToolFailed, tool


@tool(idempotent=True, timeout_s=5, destructive=False, open_world=False, runs_programs=False)
def water(bed: str, context: ToolContext, litres: float = 1.0) -> str:
    """Water a bed.

    It takes a while.

    Args:
        bed: Its name.
        litres: How much.
    """
    if litres > 50:
        raise ToolFailed("that would drown it")
    return f"{bed} is wet"


@tool(blocking=False)
def rows(count: int) -> Iterator[int]:
    """Count rows."""
    yield from range(count)


@tool
async def anything(x: Any):
    return x


@tool(exclusive=True, background=True, runs_programs=False, retry=Retry(on=(KeyError,)))
async def harvest(context: ToolContext, beds: int = 2) -> int:
    """Bring all in.

    Args:
        beds: How many beds.
    """
    for bed in range(beds):
        context.progress(f"bed {bed}\\x1b[2J", fraction=(bed + 1) / beds)
        await context.call("water", {"bed": str(bed)})
    return beds
'''

WAITS = '''
import time
from constellation_tools import ToolContext, tool

@tool
def patient(context: ToolContext) -> None:
    """Wait and listen."""
    context.progress("begun")
    while True:
        context.check_cancelled()
        time.sleep(0.01)

@tool
def deaf(context: ToolContext) -> None:
    """Wait and don't listen."""
    context.progress("begun")
    time.sleep(1000)
'''


@pytest.fixture
def garden(home: Path) -> str:
    Path("garden.py").write_text(GARDEN, encoding="utf-8")
    return str(Path("garden.py").absolute())


def test_tools_are_listed_with_their_arguments(garden: str, capsys: Out) -> None:
    assert main(["tools", "list", garden]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["NAME", "ARGUMENTS", "WHAT", "IT", "DOES"]
    assert lines[1] == ["water", "bed", "[litres]", "Water", "a", "bed."]
    assert [line[0] for line in lines[2:]] == ["rows", "anything", "harvest"]
    assert main(["tools", "list", garden, "--json"]) == 0
    first, *_ = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == {"name": "water", "description": "Water a bed.\n\nIt takes a while."}


def test_a_tool_is_shown_with_its_schemas_and_how_it_runs(garden: str, capsys: Out) -> None:
    assert main(["tools", "show", garden, "rows"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert shown["input_schema"]["required"] == ["count"]
    assert shown["output_schema"] == {"type": "array", "items": {"type": "integer"}}
    assert (shown["runs"], shown["timeout_s"]) == ("on the event loop, item by item", None)
    assert shown["reference"] == f"{garden}:rows"


def test_a_call_prints_the_result_or_each_item(garden: str, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["tools", "call", garden, "water", '{"bed": "roses"}']) == 0
    assert capsys.readouterr().out == '"roses is wet"\n'
    assert main(["tools", "call", garden, "rows", '{"count": 2}']) == 0
    assert capsys.readouterr().out == "0\n1\n"
    monkeypatch.setattr("sys.stdin", io.StringIO('{"x": {"a": [1]}}'))
    assert main(["tools", "call", garden, "anything", "-"]) == 0
    assert capsys.readouterr().out == '{"a": [1]}\n'


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["call", "{}", "water", '{"bd": "roses"}'], 2, "bd: expected no such argument, did you mean 'bed'?"),
        (["call", "{}", "water", '{"bed": "roses", "litres": 99}'], 1, "water failed: ToolFailed: that would drown it"),
        (["call", "{}", "water", "{"], 2, "the arguments are not valid JSON"),
        (["call", "{}", "water", "[1]"], 2, "have to be one JSON object"),
        (["call", "{}", "watr"], 2, "no tool is named 'watr'; did you mean 'water'?"),
        (["show", "{}", "watr"], 2, "no tool is named 'watr'"),
        (["list", "no_such_module"], 2, "can't import 'no_such_module'"),
        (["check", "{}", "--dialect", "latin"], 2, "--dialect 'latin' is none of openai-chat, openai-responses"),
    ],
)
def test_mistakes_are_told(arguments: list[str], code: int, message: str, garden: str, capsys: Out) -> None:
    given = [garden if argument == "{}" and place == 1 else argument for place, argument in enumerate(arguments)]
    assert main(["tools", *given]) == code
    assert message in capsys.readouterr().err


def test_a_check_says_what_providers_make_of_a_tool_and_what_may_go_wrong(garden: str, capsys: Out) -> None:
    assert main(["tools", "check", garden, "water"]) == 0
    out = capsys.readouterr().out
    assert out.startswith('water: Water a bed.\n  {\n    "additionalProperties": false,')
    assert "  in openai-chat: strict, lossless\n    /properties/litres: default described, 1.0\n" in out
    assert "  in mcp: plain, lossless\n" in out
    assert "risk:" not in out
    assert main(["tools", "check", garden, "anything", "--dialect", "mcp"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "risk" in line] == [
        "  risk: it has no description: a model can only guess what it does",
        "  risk: x has no description",
        "  risk: x may be anything: neither models nor the tool are held to a type",
        "  risk: nothing is said of its result: declare what it returns",
        "  risk: it does not say what it does: declare read_only, or destructive, open_world, runs_programs",
        "  risk: it is not idempotent: after a lost connection it is not repeated, and somebody has to look",
        "  risk: it has no time limit: give it timeout_s",
    ]


def test_a_check_fails_where_a_provider_refuses_a_tool(garden: str, capsys: Out) -> None:
    assert main(["tools", "check", garden, "--dialect", "gemini-openapi", "--dialect", "mcp", "--json"]) == 1
    checked = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["name"] for each in checked] == ["water", "rows", "anything", "harvest"]
    assert (checked[3]["exclusive"], checked[3]["background"]) == (True, True)
    assert (checked[3]["read_only"], checked[3]["destructive"], checked[3]["runs_programs"]) == (False, True, False)
    assert checked[3]["risks"][:2] == [
        "it may destroy or replace what is there",
        "it reaches beyond what its owner has given it, such as over the network",
    ]
    assert checked[3]["risks"][4:] == [
        "it runs in the background and alone: until it has ended, nothing else runs",
        "it is tried again after KeyError without being idempotent: be sure that nothing was done then",
    ]
    openapi, mcp = checked[2]["dialects"]
    assert openapi["refused"] == "/properties/x: a value of any type can't be said"
    assert (mcp["refused"], mcp["lossless"]) == (None, True)
    assert checked[1]["risks"] == [
        "count has no description",
        "it does not say what it does: declare read_only, or destructive, open_world, runs_programs",
        "it is not idempotent: after a lost connection it is not repeated, and somebody has to look",
        "it runs on the event loop: while it does, nothing else does",
    ]
    assert checked[0]["dialects"][0]["losses"] == [
        {
            "path": "",
            "kind": "dropped",
            "keyword": "additionalProperties",
            "detail": "unnamed keys are refused by the tool alone",
        }
    ]


def test_progress_goes_to_the_person_and_other_tools_of_the_module_can_be_called(garden: str, capsys: Out) -> None:
    assert main(["tools", "call", garden, "harvest"]) == 0
    out, err = capsys.readouterr()
    assert out == "2\n"
    assert err == " 50%  bed 0\\e[2J\n100%  bed 1\\e[2J\n"


def test_with_json_each_line_says_what_it_is(garden: str, capsys: Out) -> None:
    def lines(*arguments: str) -> list[Any]:
        main(["tools", "call", garden, *arguments, "--json"])
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    first, _, result = lines("harvest")
    assert first == {"progress": {"text": "bed 0\x1b[2J", "fraction": 0.5, "data": None}}
    assert result == {"result": 2}
    assert lines("rows", '{"count": 2}') == [{"item": 0}, {"item": 1}]
    (error,) = lines("water", '{"bed": "roses", "litres": 99}')
    assert error == {"error": {"type": "ToolFailed", "message": "that would drown it"}}
    (error,) = lines("water", "{}")
    assert error["error"]["type"] == "InvalidArguments"


@pytest.mark.e2e
@pytest.mark.parametrize(("tool", "told"), [("patient", ""), ("deaf", "the tool does not stop, and is left behind")])
def test_ctrl_c_ends_a_call_also_when_the_tool_does_not_listen(
    tool: str, told: str, home: Path, start: Callable[..., Any]
) -> None:
    Path("waits.py").write_text(WAITS, encoding="utf-8")
    running = start("tools", "call", "./waits.py", tool, "--json")
    running.until(lambda line: "begun" in line)
    running.signal(signal.SIGINT)
    assert running.end() == 130
    assert (told in running.errors) if told else running.errors == ""
