"""What tools do to the world: declared, assumed where nothing is said, told by toolkits, believed of servers or not."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from constellation_tools import Effect, Effects, Tool, ToolDefinitionError, tool
from constellation_tools.runner import Policy, Rule, ToolRunner, Verdict
from constellation_tools.toolkits import (
    Sandbox,
    archives_tools,
    browser_tools,
    builtin_tools,
    documents_tools,
    git_tools,
    shell_tools,
    sql_tools,
)

from .runner.conftest import call

HINTS = ("read_only", "destructive", "open_world", "runs_programs")


def hints(tool: Tool[..., Any]) -> str:
    return " ".join(name for name in HINTS if getattr(tool.effects, name))


def nothing() -> None:
    """Do nothing."""


@pytest.mark.parametrize(
    ("said", "effects"),
    [
        ({}, "destructive open_world runs_programs"),
        ({"read_only": True}, "read_only open_world"),
        ({"read_only": True, "open_world": False}, "read_only"),
        ({"destructive": False}, "open_world runs_programs"),
        ({"destructive": False, "open_world": False, "runs_programs": False}, ""),
        ({"runs_programs": False}, "destructive open_world"),
    ],
)
def test_what_a_tool_does_not_say_is_assumed_to_be_the_worst(said: dict[str, Any], effects: str) -> None:
    made = Tool.from_function(nothing, **said)
    assert hints(made) == effects
    assert made.effects.declared is bool(said)
    assert made.renamed("other").effects == made.effects


def test_a_tool_that_only_reads_may_be_repeated_unless_it_says_otherwise() -> None:
    assert Tool.from_function(nothing, read_only=True).idempotent
    assert not Tool.from_function(nothing, read_only=True, idempotent=False).idempotent


@pytest.mark.parametrize("other", ["destructive", "runs_programs"])
def test_a_tool_that_only_reads_can_not_do_harm(other: str) -> None:
    with pytest.raises(ToolDefinitionError, match="'nothing' can't be read_only and"):
        Tool.from_function(nothing, **{"read_only": True, other: True})  # type: ignore[arg-type]


@pytest.mark.requires_module("sqlalchemy", "openpyxl", "playwright")
def test_every_tool_of_the_toolkits_says_what_it_does(tmp_path: Path) -> None:
    assert find_spec("markdownify")
    toolset = (
        builtin_tools(tmp_path)
        + archives_tools(tmp_path)
        + documents_tools(tmp_path)
        + git_tools(tmp_path)
        + sql_tools(f"sqlite:///{tmp_path}/a.db", writable=True)
        + browser_tools([])
    )
    assert [each.name for each in toolset if not each.effects.declared] == []
    told = {each.name: hints(each) for each in toolset}
    assert told["files_read"] == told["git_log"] == told["sql_query"] == told["system_profile"] == "read_only"
    assert told["http_get"] == told["browser_read"] == "read_only open_world"
    assert told["files_write"] == told["sql_execute"] == told["archives_extract"] == "destructive"
    assert told["git_commit"] == ""
    assert told["git_clone"] == "open_world"
    assert told["http_post"] == told["browser_click"] == "destructive open_world"
    assert told["shell_run"] == told["python_run"] == "destructive open_world runs_programs"


def test_a_program_that_is_surely_without_network_reaches_nothing_beyond(tmp_path: Path) -> None:
    def reaching(sandbox: Sandbox | None) -> bool:
        return shell_tools(tmp_path, sandbox=sandbox).get("shell_run").effects.open_world

    assert not reaching(Sandbox(required=True))
    assert reaching(Sandbox(required=True, network=True))
    assert reaching(Sandbox())
    assert reaching(None)


@pytest.mark.anyio
async def test_a_policy_speaks_of_effects() -> None:
    @tool(read_only=True, open_world=False)
    def look() -> str:
        """Look."""
        return "seen"

    @tool(destructive=True, open_world=False, runs_programs=False)
    def smash() -> str:
        """Smash."""
        return "smashed"

    @tool
    def unknown() -> str:
        """Do something."""
        return "done"

    policy = Policy.from_json({"rules": [{"verdict": "ask", "effect": "destructive", "reason": "it can't be undone"}]})
    async with ToolRunner([look, smash, unknown], policy=policy) as runner:
        batch = await runner.run([call("c1", "look"), call("c2", "smash"), call("c3", "unknown")])
    assert [approval.tool for approval in batch.approvals] == ["smash", "unknown"]
    assert batch.approvals[0].reason == (
        "rule 1 (ask * that is destructive) applies to this call of smash: it can't be undone"
    )


def test_a_rule_about_effects_fits_tools_of_which_nothing_is_known_unless_it_is_about_reading() -> None:
    for effect in Effect:
        rule = Rule(Verdict.DENY, effect=effect)
        assert rule.fits("x", {}) is (effect is not Effect.READ_ONLY)
    allowed = Policy((Rule(Verdict.ALLOW, effect=Effect.READ_ONLY),), default=Verdict.DENY)
    reading = Tool.from_function(nothing, read_only=True).effects
    assert allowed.decide("x", {}, effects=reading).verdict is Verdict.ALLOW
    assert allowed.decide("x", {}, effects=Effects()).verdict is Verdict.DENY
