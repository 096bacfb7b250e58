"""Hooks: they change arguments and results, refuse calls, and keep a call from running or being seen when they fail."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools import CallRefused, Tool, tool
from constellation_tools.dialects import ToolCall, ToolResult
from constellation_tools.runner import Policy, Rule, ToolHook, ToolRunner, Verdict

from .conftest import call

pytestmark = pytest.mark.anyio

RAN: list[int] = []


@tool
async def square(n: int) -> int:
    """Square a number."""
    RAN.append(n)
    return n * n


class Hook(ToolHook):
    """Does what it is told, and notes it."""

    def __init__(self, log: list[str], name: str = "", before: Any = None, after: Any = None) -> None:
        self.log, self.name, self.said_before, self.said_after = log, name, before, after

    async def before(self, call: ToolCall, tool: Tool[..., Any]) -> Any:
        self.log.append(f"{self.name} before {call.arguments}")
        if isinstance(self.said_before, Exception):
            raise self.said_before
        return self.said_before

    async def after(self, call: ToolCall, tool: Tool[..., Any], result: ToolResult) -> Any:
        self.log.append(f"{self.name} after {result.value}")
        if isinstance(self.said_after, Exception):
            raise self.said_after
        return self.said_after


async def run(*hooks: ToolHook, policy: Policy | None = None) -> ToolResult:
    RAN.clear()
    async with ToolRunner([square], hooks=hooks, policy=policy) as runner:
        (result,) = (await runner.run([call("a", "square", n=3)])).results
    return result


async def test_hooks_are_asked_in_order_and_see_results_in_reverse() -> None:
    log: list[str] = []
    result = await run(Hook(log, "x", before={"n": 4}), Hook(log, "y", after=ToolResult("", "", 17)))
    assert result == ToolResult("a", "square", 17)
    assert log == ["x before {'n': 3}", "y before {'n': 4}", "y after 16", "x after 17"]


async def test_changed_arguments_are_validated_and_judged_like_the_models() -> None:
    log: list[str] = []
    result = await run(Hook(log, before={"n": "many"}))
    assert "n: expected a valid integer" in result.value
    policy = Policy([Rule(Verdict.DENY, arguments={"n": "13"})])
    result = await run(Hook(log, before={"n": 13}), policy=policy)
    assert result.value.startswith("square is not allowed here")
    assert RAN == []


async def test_a_hook_may_know_the_result_or_refuse_the_call() -> None:
    log: list[str] = []
    assert (await run(Hook(log, before=ToolResult("", "", "cached")))).value == "cached"
    refused = await run(Hook(log, before=CallRefused("not on a Sunday")))
    assert (refused.value, refused.is_error) == ("not on a Sunday", True)
    assert RAN == []


async def test_a_hook_that_fails_keeps_the_call_from_running_or_its_result_from_being_seen() -> None:
    log: list[str] = []
    before = await run(Hook(log, before=KeyError("x")))
    assert RAN == []
    after = await run(Hook(log, after=KeyError("x")))
    assert RAN == [3]
    for result, when in ((before, "before"), (after, "after")):
        assert result.is_error
        assert result.value == f"the hook Hook.{when} failed (KeyError: 'x'), so nothing is told of the call"
        assert "9" not in result.value


async def test_failures_are_shown_to_hooks_as_well() -> None:
    @tool
    async def broken() -> None:
        raise ValueError("secret")

    log: list[str] = []
    async with ToolRunner([broken], hooks=[Hook(log, after=ToolResult("", "", "hidden", is_error=True))]) as runner:
        (result,) = (await runner.run([call("a", "broken")])).results
    assert result.value == "hidden"
    assert log == [" before {}", " after ValueError: secret"]
    assert runner.usage["broken"].errors == 1


async def test_a_hook_without_opinions_changes_nothing() -> None:
    assert (await run(ToolHook())).value == 9
