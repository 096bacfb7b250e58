"""`validate`, `show`, `runs` and `version`: looking without running."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from constellation import Orchestrator, TaskConstellation
from constellation.cli import main
from constellation.cli.imagined import imagine_devices
from constellation.graph.files import parse_text, read_file

Flow = Callable[..., str]

FLOW = """
name: two steps
tools: [./steps.py]
stars:
  first: {work: {tool: double, arguments: {number: 2}}, requires: {os: plan9, gpu: 4}}
  second: {work: {tool: double, arguments: {number: {$ref: "first"}}}, device: far}
  ask: {work: {instruction: Say hello}}
  again:
    work:
      constellation:
        name: inner
        stars:
          a: {work: {tool: double, arguments: {number: 1}}, requires: {zone: moon}}
lines:
  - {source: second, target: ask, trigger: completion}
"""

STEPS = '''"""Steps."""
from constellation_tools import tool

@tool
def double(number: int) -> int:
    """Double a number."""
    return 2 * number
'''


def test_a_workflow_is_valid_whatever_devices_it_wants_when_that_is_asked_for(
    flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("steps.py").write_text(STEPS)
    assert main(["validate", flow(FLOW), "--any-devices"]) == 0
    assert capsys.readouterr().out == ("flow.yaml: valid: two steps, 4 stars, 2 lines, at most 2 at once, 3 layers\n")


def test_tools_can_be_named_on_the_command_line_too(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    Path("steps.py").write_text(STEPS)
    name = flow("name: x\nstars:\n  a: {work: {tool: double, arguments: {number: many}}}\n")
    assert main(["validate", name]) == 2
    assert "flow.yaml:3:14: stars.a.work.tool: no connected device (device-1, device-2) has a tool 'double'" in (
        capsys.readouterr().err
    )
    assert main(["validate", name, "--tools", "steps.py:double"]) == 2
    assert "the arguments don't fit the tool 'double': number" in capsys.readouterr().err


def test_a_tool_that_cannot_be_loaded_is_an_error_of_the_file(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", flow("name: x\ntools: [no.such:tool]\nstars:\n  a: {work: {tool: t}}\n")]) == 2
    assert "no.such" in capsys.readouterr().err


def test_two_stars_pinned_to_one_device_are_served_by_it_unless_they_contradict_each_other() -> None:
    star = "{work: {tool: system_profile}, device: d, requires: {%s}}"
    text = f"name: x\nstars:\n  a: {star % 'gpu: 1, os: linux'}\n  b: {star % 'gpu: 3, zone: x'}\n"
    profile = imagine_devices(parse_text(text))["d"]
    assert (profile.labels, profile.resources) == ({"os": "linux", "zone": "x"}, {"gpu": 3.0})


def test_contradicting_labels_of_one_device_are_found(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    star = "{work: {tool: system_profile}, device: d, requires: {os: %s}}"
    name = flow(f"name: x\nstars:\n  a: {star % 'linux'}\n  b: {star % 'plan9'}\n")
    assert main(["validate", name, "--any-devices"]) == 2
    assert "stars.b.requires" in capsys.readouterr().err


def test_what_no_device_started_here_would_have_is_named_with_its_place(
    flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    name = flow("name: x\nstars:\n  a: {work: {tool: system_profile}, requires: {os: plan9}}\n")
    assert main(["validate", name, "--devices", "1"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: flow.yaml:3:37: stars.a.requires: needs the tool 'system_profile' and os 'plan9', "
        "which no connected device has: device-1 has os 'linux'"
    )
    assert main(["validate", flow("name: x\nstars:\n  a: {work: {tool: system_profile}}\n")]) == 0


@pytest.mark.parametrize(
    ("format", "part"),
    [
        ("tree", "two steps (4 pending)\n"),
        ("mermaid", "flowchart TD\n"),
        ("dot", 'digraph "two steps" {\n'),
    ],
)
def test_a_workflow_is_shown_in_the_format_asked_for(
    format: str, part: str, flow: Flow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", flow(FLOW), "--format", format]) == 0
    assert capsys.readouterr().out.startswith(part)


def test_the_json_that_is_shown_is_the_workflow_in_ascii(flow: Flow, capsys: pytest.CaptureFixture[str]) -> None:
    name = flow('name: "caf\\u00e9 \\x9b2J"\nstars:\n  a: {work: {tool: t}}\n')
    assert main(["show", name, "--format", "json"]) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert parse_text(out, yaml=False).name == read_file(name).name == "café \x9b2J"


def test_on_a_terminal_the_tree_has_colours(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        encoding = "utf-8"  # type: ignore[assignment]

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["show", flow(FLOW)]) == 0
    assert "\x1b[1mtwo steps" in terminal.getvalue()


async def _run_once(journal: str) -> str:
    graph = TaskConstellation("once\x1b")
    graph.star("a", "system_profile")
    async with Orchestrator.local(1, journal=journal) as orchestrator:
        run = await orchestrator.submit(graph)
        await run.wait()
        return run.id


def test_runs_are_listed_and_shown_by_the_beginning_of_their_id(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--journal", "j.db"]) == 0
    assert capsys.readouterr().out == "no runs yet\n"
    run = anyio.run(_run_once, "j.db")
    assert main(["runs", "--journal", "j.db"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["RUN", "STATE", "BEGUN", "NAME", "STARS"]
    assert row.startswith(f"{run}  succeeded  ")
    assert row.endswith("once\\e  1 succeeded")
    assert main(["runs", "--journal", "j.db", "--json", "--limit", "1"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["run"], data["name"], data["state"]) == (run, "once\x1b", "succeeded")
    assert main(["show", run[:-2], "--journal", "j.db"]) == 0
    assert "(1 succeeded)" in capsys.readouterr().out
    assert main(["resume", run, "--journal", "j.db"]) == 2
    assert "has succeeded already" in capsys.readouterr().err


def test_the_version_is_told_to_people_and_to_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    line = capsys.readouterr().out
    assert main(["version", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    build = "compiled" if data["compiled"] else "pure Python"
    assert line.startswith(f"constellation {data['version']} ({build}, Python {data['python']}")


def test_a_simple_command_imports_neither_other_packages_commands_nor_what_it_does_not_need() -> None:
    code = (
        "import sys; from constellation.cli import main; main(['version']); "
        "print([name for name in sys.modules if name.split('.')[0] in "
        "('constellation_devices', 'constellation_bench', 'networkx', 'openai', 'rich', 'websockets')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
