"""Generators as tools: gathered by calls, item by item in streams, off the loop unless they say that they are quick."""

from __future__ import annotations

import datetime as dt
import functools
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from constellation_tools import InvalidArguments, InvalidOutput, ToolCancelled, ToolContext, ToolTimeout, tool

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@tool
def days(count: int) -> Iterator[dt.date]:
    """Count days."""
    for day in range(count):
        yield dt.date(2024, 1, day + 1)


@tool
async def later_days(count: int) -> AsyncIterator[dt.date]:
    """Count days."""
    for day in range(count):
        yield dt.date(2024, 1, day + 1)


@pytest.mark.parametrize("made", [days, later_days], ids=["sync", "async"])
async def test_a_call_gathers_all_items_and_tells_each_as_progress(made: Any) -> None:
    told: list[Any] = []
    context = ToolContext(progress=lambda text, fraction, data: told.append(data))
    assert made.streams
    assert made.output_schema == {"type": "array", "items": {"type": "string", "format": "date"}}
    assert await made.call({"count": "2"}) == ["2024-01-01", "2024-01-02"]
    assert await made.call({"count": 2}, context) == ["2024-01-01", "2024-01-02"]
    assert told == ["2024-01-01", "2024-01-02"]


@pytest.mark.parametrize("made", [days, later_days], ids=["sync", "async"])
async def test_a_stream_gives_each_item_as_json(made: Any) -> None:
    assert [item async for item in made.stream({"count": 2})] == ["2024-01-01", "2024-01-02"]
    with pytest.raises(InvalidArguments):
        await anext(made.stream({"count": "many"}))


async def test_a_wrapper_around_an_async_generator_is_gathered_too() -> None:
    @functools.wraps(later_days)
    def logged(*args: Any, **kwargs: Any) -> Any:
        return later_days(*args, **kwargs)

    assert await tool(logged).call({"count": 1}) == ["2024-01-01"]
    assert [item async for item in tool(logged).stream({"count": 1})] == ["2024-01-01"]


async def test_a_stream_of_a_tool_that_is_none_gives_its_result() -> None:
    @tool
    def one(n: int) -> int:
        return n + 1

    assert not one.streams
    assert [item async for item in one.stream({"n": 1})] == [2]


def test_call_sync_gathers_a_generator_and_refuses_an_async_one() -> None:
    assert days.call_sync({"count": 1}) == ["2024-01-01"]
    with pytest.raises(TypeError, match="is async"):
        later_days.call_sync({"count": 1})


async def test_items_without_a_declared_type_speak_for_themselves_and_those_without_json_are_refused() -> None:
    @tool
    def things():  # type: ignore[no-untyped-def]
        yield {1}
        yield object()

    @tool
    def generator() -> Generator[int, None, str]:
        yield 1
        return "ignored"

    @tool
    async def async_generator() -> AsyncGenerator[int, None]:
        yield 1

    stream = things.stream({})
    assert await anext(stream) == [1]
    with pytest.raises(InvalidOutput):
        await anext(stream)
    for made in (generator, async_generator):
        assert made.output_schema == {"type": "array", "items": {"type": "integer"}}
        assert await made.call({}) == [1]


async def test_a_generator_runs_in_threads_unless_it_is_quick() -> None:
    def where() -> Iterator[int]:
        yield threading.get_ident()

    here = threading.get_ident()
    assert here not in await tool(where).call({})
    assert [item async for item in tool(where).stream({})] != [here]
    assert await tool(blocking=False)(where).call({}) == [here]
    assert [item async for item in tool(blocking=False)(where).stream({})] == [here]


async def test_leaving_a_stream_early_closes_the_generator() -> None:
    closed: list[str] = []

    @tool
    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("sync")

    @tool
    async def endless_too() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append("async")

    for made in (endless, endless_too):
        stream: Any = made.stream({})
        assert await anext(stream) == 1
        await stream.aclose()
    assert closed == ["sync", "async"]


async def test_each_item_of_a_stream_has_the_time_limit_for_itself() -> None:
    @tool(timeout_s=0.2)
    async def slow() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep_forever()

    stream = slow.stream({})
    assert await anext(stream) == 1
    with anyio.fail_after(10), pytest.raises(ToolTimeout, match="'slow' did not finish"):
        await anext(stream)


async def test_a_generator_in_a_thread_stops_after_the_item_at_which_its_call_was_cancelled() -> None:
    yielded, go_on, stopped = threading.Event(), threading.Event(), threading.Event()
    items: list[int] = []

    @tool
    def endless(context: ToolContext) -> Iterator[int]:
        try:
            while True:
                items.append(1)
                yield 1
                yielded.set()
                go_on.wait(10)
        except GeneratorExit:
            stopped.set()
            raise

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            group.start_soon(endless.call, {})
            await anyio.to_thread.run_sync(yielded.wait, 10)
            group.cancel_scope.cancel()
        go_on.set()
        assert await anyio.to_thread.run_sync(stopped.wait, 10)
    assert len(items) == 2


def test_a_generator_that_is_gathered_for_a_cancelled_host_stops() -> None:
    context = ToolContext(cancelled=lambda: True)
    with pytest.raises(ToolCancelled):
        days.call_sync({"count": 3}, context)
