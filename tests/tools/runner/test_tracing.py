"""Spans of tool calls by the conventions for generative AI, without what is inside the calls unless asked for."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from constellation_tools import Retry, ToolContext, ToolsError, ToolUnavailable, tool
from constellation_tools.dialects import ToolCall
from constellation_tools.runner import ToolRunner, Tracing

from .conftest import call

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

pytestmark = [pytest.mark.anyio, pytest.mark.requires_module("opentelemetry.sdk")]


@tool
async def greet(name: str) -> str:
    """Greet somebody."""
    if name == "nobody":
        raise ToolUnavailable("nobody is here")
    return f"hello {name}"


@tool
def outer(context: ToolContext) -> str:
    """Have somebody greeted."""
    return str(anyio.from_thread.run(context.call, "greet", {"name": "Ada"}))


async def spans(*calls: ToolCall, record_content: bool = False) -> list[ReadableSpan]:
    """The spans of some calls, in the order that they ended."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = Tracing(record_content=record_content, provider=provider)
    async with ToolRunner([greet, outer], tracing=tracing, retry=Retry(attempts=2, first_s=0)) as runner:
        await runner.run(calls)
    return list(exporter.get_finished_spans())


async def test_a_call_has_a_span_without_its_content() -> None:
    (span,) = await spans(call("c1", "greet", name="Ada"))
    assert (span.name, span.kind.name, span.status.status_code.name) == ("execute_tool greet", "INTERNAL", "UNSET")
    assert span.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "greet",
        "gen_ai.tool.type": "function",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.description": "Greet somebody.",
    }


async def test_content_is_recorded_where_it_is_asked_for() -> None:
    (span,) = await spans(call("c1", "greet", name="Ada"), record_content=True)
    attributes: Any = span.attributes
    assert attributes["gen_ai.tool.call.arguments"] == '{"name": "Ada"}'
    assert attributes["gen_ai.tool.call.result"] == '"hello Ada"'


@pytest.mark.parametrize("record_content", [False, True])
async def test_every_try_has_a_span_that_says_how_it_failed(record_content: bool) -> None:
    first, second = await spans(call("c1", "greet", name="nobody"), record_content=record_content)
    attempts: list[Any] = [dict(span.attributes or {}).get("constellation.tool.attempt") for span in (first, second)]
    assert attempts == [None, 2]
    assert first.status.status_code.name == "ERROR"
    assert first.attributes is not None
    assert first.attributes["error.type"] == "ToolUnavailable"
    assert first.status.description == ("nobody is here" if record_content else None)
    assert len(first.events) == int(record_content)


async def test_calls_that_tools_make_are_within_their_spans_also_from_threads() -> None:
    inner, around = await spans(call("c1", "outer"))
    assert (inner.name, around.name) == ("execute_tool greet", "execute_tool outer")
    assert inner.parent is not None
    assert inner.parent.span_id == around.context.span_id


async def test_what_is_refused_before_it_runs_has_no_span() -> None:
    assert await spans(call("c1", "greet", nam="Ada")) == []


async def test_a_cancelled_call_has_a_span_that_says_so() -> None:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    @tool(timeout_s=30)
    async def stay() -> None:
        runner.cancel("c1")
        await anyio.sleep_forever()

    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    async with ToolRunner([stay], tracing=Tracing(provider=provider)) as runner:
        await runner.run([call("c1", "stay")])
    (span,) = exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "cancelled"


def test_without_opentelemetry_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ToolsError, match=r"pip install 'constellation-agents\[otel\]'"):
        Tracing()


def test_a_runner_alone_loads_no_opentelemetry() -> None:
    program = "import constellation_tools.runner, sys; print('opentelemetry' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
