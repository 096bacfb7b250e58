"""Tools whose results may come later than at once, where a provider knows such."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools import tool
from constellation_tools.dialects import DIALECTS, ToolResult
from constellation_tools.dialects.gemini_live import GeminiLive


@tool(background=True)
async def render(pages: int) -> str:
    """Render a document."""
    return "done"


@tool
async def count(text: str) -> int:
    """Count words."""
    return 1


PENDING = ToolResult("c1", "render", {"status": "working"}, pending=True)
COUNTED = ToolResult("c2", "count", 1)
LATE = ToolResult("c1", "render", "done")


def test_openai_is_told_that_the_output_of_a_background_tool_comes_later() -> None:
    offer = DIALECTS["openai-responses"].offer([render, count], late_results=True)
    assert [declared.get("async") for declared in offer.request["tools"]] == [True, None]
    item = {"type": "function_call", "call_id": "c1", "name": "render", "arguments": '{"pages":1}', "async": True}
    (call,) = offer.calls({"output": [item]})
    (written,) = offer.dialect.write_calls([call])
    assert (written["call_id"], written["async"]) == ("c1", True)
    assert offer.results([PENDING, COUNTED]) == [{"type": "function_call_output", "call_id": "c2", "output": "1"}]
    assert offer.results([LATE]) == [{"type": "function_call_output", "call_id": "c1", "output": "done"}]


def test_a_streamed_call_says_as_well_that_it_is_not_waited_for() -> None:
    item = {"type": "function_call", "call_id": "c1", "name": "render", "arguments": '{"pages":1}', "async": True}
    stream = DIALECTS["openai-responses"].offer([render], late_results=True).stream()
    (call,) = stream.feed({"type": "response.output_item.done", "output_index": 0, "item": item})
    assert call.extra == {"async": True}


def test_a_live_session_of_gemini_is_told_that_a_background_tool_blocks_nothing() -> None:
    offer = DIALECTS["gemini-live"].offer([render, count], late_results=True)
    (declared,) = offer.request["tools"]
    assert [each.get("behavior") for each in declared["functionDeclarations"]] == ["NON_BLOCKING", None]
    assert offer.results([PENDING]) == []
    (message,) = offer.results([LATE])
    response: dict[str, Any] = {"id": "c1", "name": "render", "response": {"result": "done"}}
    assert message == {"toolResponse": {"functionResponses": [response]}}


def test_a_live_session_takes_calls_back() -> None:
    live = GeminiLive()
    assert live.read_cancelled({"toolCallCancellation": {"ids": ["c1", "c2"]}}) == ["c1", "c2"]
    assert live.read_cancelled({"serverContent": {}}) == []


@pytest.mark.parametrize(("dialect", "late_results"), [("openai-chat", True), ("openai-responses", False)])
def test_elsewhere_and_unless_asked_for_a_pending_call_is_acknowledged(dialect: str, late_results: bool) -> None:
    offer = DIALECTS[dialect].offer([render], late_results=late_results)
    assert offer.late == frozenset()
    assert len(offer.results([PENDING])) == 1
    assert "async" not in offer.request["tools"][0]
