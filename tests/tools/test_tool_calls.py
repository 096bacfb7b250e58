"""Calling tools: validation, threads, time limits, cancellation, results."""

from __future__ import annotations

import dataclasses
import datetime as dt
import functools
import pickle
import threading
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from constellation_tools import (
    InvalidArguments,
    InvalidOutput,
    Tool,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolTimeout,
    UnknownTool,
    tool,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@tool
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def test_a_tool_is_called_exactly_like_its_function() -> None:
    assert add(1, b=2) == 3
    assert add("a", "b") == "ab"  # type: ignore[arg-type]  # neither validated nor converted
    assert add.__name__ == "add"
    assert add.__doc__ == "Add."
    assert repr(add) == "<Tool add>"


def test_options_can_be_given_by_decorator_and_by_constructor() -> None:
    @tool(name="plus", description="Sum.", idempotent=True, timeout_s=3.0, blocking=False)
    def f(a: int) -> int:
        """Ignored."""
        return a

    g = Tool.from_function(
        f.__wrapped__,  # type: ignore[attr-defined]
        name="plus",
        description="Sum.",
        idempotent=True,
        timeout_s=3.0,
        blocking=False,
    )
    for made in (f, g):
        options = (made.name, made.description, made.idempotent, made.timeout_s, made.blocking, made.is_async)
        assert options == ("plus", "Sum.", True, 3.0, False, False)
    assert (add.idempotent, add.timeout_s, add.blocking) == (False, None, True)


async def test_a_sync_tool_runs_off_the_loop_unless_it_says_that_it_is_quick() -> None:
    def where() -> int:
        return threading.get_ident()

    assert await tool(where).call({}) != threading.get_ident()
    assert await tool(blocking=False)(where).call({}) == threading.get_ident()
    assert tool(where).call_sync({}) == threading.get_ident()


async def test_an_async_tool_runs_on_the_loop_and_not_in_call_sync() -> None:
    @tool
    async def where(n: int) -> list[int]:
        await anyio.lowlevel.checkpoint()
        return [n, threading.get_ident()]

    assert where.is_async
    assert await where.call({"n": "1"}) == [1, threading.get_ident()]
    with pytest.raises(TypeError, match="await its call"):
        where.call_sync({"n": 1})


async def test_async_callables_of_every_form_are_awaited() -> None:
    async def double(n: int) -> int:
        return 2 * n

    class Doubler:
        async def __call__(self, n: int) -> int:
            return 2 * n

    @functools.wraps(double)
    def logged(n: int) -> Any:
        return double(n)

    for function in (double, Doubler(), functools.partial(double), logged):
        assert await tool(function).call({"n": 2}) == 4
        with pytest.raises(TypeError, match="is async"):
            tool(function).call_sync({"n": 2})


async def test_a_time_limit_stops_waiting_and_tells_the_thread() -> None:
    stopped = threading.Event()

    @tool(timeout_s=0.05)
    def slow(context: ToolContext) -> None:
        while True:
            try:
                context.check_cancelled()
            except ToolCancelled:
                stopped.set()
                raise

    with anyio.fail_after(10):
        with pytest.raises(ToolTimeout, match=r"'slow' did not finish within 0\.05 s") as caught:
            await slow.call({})
        assert await anyio.to_thread.run_sync(stopped.wait, 5)
    assert (caught.value.tool, caught.value.timeout_s) == ("slow", 0.05)


async def test_cancelling_a_call_returns_at_once_and_spares_the_hosts_context() -> None:
    started, release, seen = threading.Event(), threading.Event(), list[bool]()
    finished = threading.Event()
    host = ToolContext()

    @tool
    def stuck(context: ToolContext) -> None:
        started.set()
        release.wait(10)
        seen.append(context.cancelled)
        finished.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(stuck.call, {}, host)
            await anyio.to_thread.run_sync(started.wait, 5)
            group.cancel_scope.cancel()
        release.set()
        await anyio.to_thread.run_sync(finished.wait, 5)
    assert seen == [True]
    assert not host.cancelled


async def test_a_tools_own_timeout_error_is_not_taken_for_the_time_limit() -> None:
    @tool(timeout_s=5)
    async def f() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await f.call({})


async def test_what_a_tool_raises_passes_through() -> None:
    @tool
    def f() -> None:
        raise ToolFailed("no such thing")

    with pytest.raises(ToolFailed, match="no such thing"):
        await f.call({})
    with pytest.raises(ToolFailed):
        f.call_sync({})


async def test_bad_arguments_never_reach_the_function() -> None:
    calls = []

    @tool
    def f(a: int) -> None:
        calls.append(a)

    with pytest.raises(InvalidArguments):
        await f.call({"a": "x"})
    assert not calls


async def test_results_become_json_by_their_declared_type_or_by_themselves() -> None:
    @dataclasses.dataclass
    class Entry:
        day: dt.date

    @tool
    def declared() -> list[Entry]:
        return [Entry(dt.date(2020, 1, 2))]

    @tool
    def undeclared():  # type: ignore[no-untyped-def]
        return {"a": (Entry(dt.date(2020, 1, 2)), {1})}

    @tool
    def wrong() -> Entry:
        return "not one"  # type: ignore[return-value]

    assert await declared.call({}) == [{"day": "2020-01-02"}]
    assert await undeclared.call({}) == {"a": [{"day": "2020-01-02"}, [1]]}
    assert await wrong.call({}) == "not one"


async def test_a_result_without_json_form_is_refused_by_name() -> None:
    @tool
    def f() -> Any:
        return object()

    @tool
    def g() -> bytes:
        return b"\xff"

    for made in (f, g):
        with pytest.raises(InvalidOutput, match=rf"'{made.name}' can't be written as JSON"):
            await made.call({})


@tool
def order(
    items: list[dict[str, int]], mode: Literal["fast", "exact"], size: int | list[str] = 1, note: str = ""
) -> None: ...


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"mode": "fast"}, ("items", "a value, it is required", "nothing")),
        ({"items": 3, "mode": "fast"}, ("items", "a valid list", "number 3")),
        ({"items": "[1", "mode": "fast"}, ("items", "a valid list", 'string "[1"')),
        ({"items": '"a"', "mode": "fast"}, ("items", "a valid list", 'string "\\"a\\""')),
        ({"items": [{"n": 1}, {"n": None}], "mode": "fast"}, ("items[1].n", "a valid integer", "null")),
        ({"items": [], "mode": "slow"}, ("mode", "'fast' or 'exact'", 'string "slow"')),
        ({"items": [], "mode": "fast", "size": {}}, ("size", "a valid integer or a valid list", "object {}")),
        ({"items": [], "mode": "fast", "size": [1]}, ("size", "a valid integer", "array [1]")),
        ({"items": [], "mode": "fast", "mod": 1}, ("mod", "no such argument, did you mean 'mode'?", "number 1")),
        (
            {"items": [], "mode": "fast", "zzz": True},
            ("zzz", "one of the arguments items, mode, size, note", "boolean true"),
        ),
        ({"items": [], "mode": "fast", "note": object()}, ("note", "a valid string", "a Python object")),
        ({"items": [], "mode": "fast", "note": ["x" * 99]}, ("note", "a valid string", 'array ["' + "x" * 57 + "…")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_each_problem_says_where_what_was_expected_and_what_came(
    arguments: dict[str, Any], problem: tuple[str, str, str]
) -> None:
    with pytest.raises(InvalidArguments) as caught:
        order.validate(arguments)
    first = caught.value.problems[0]
    assert (first.path, first.expected, first.got) == problem
    assert caught.value.tool == "order"
    assert f"'order':\n  - {first.path}: expected {first.expected}, got {first.got}" in str(caught.value)


def test_json_text_nested_without_end_is_refused_like_any_other_text() -> None:
    with pytest.raises(InvalidArguments, match="items: expected a valid list"):
        order.validate({"items": "[" * 100_000, "mode": "fast"})
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(InvalidArguments, match=r"note: expected a valid string, got (a Python list|array)"):
        order.validate({"items": [], "mode": "fast", "note": deep})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidArguments) as caught:
        order.validate({"items": 1, "other": 2})
    assert {problem.path for problem in caught.value.problems} == {"items", "mode", "other"}


def test_an_unknown_argument_of_a_tool_without_any_is_refused() -> None:
    with pytest.raises(InvalidArguments, match="x: expected nothing of this name"):
        tool(name="none")(lambda: None).validate({"x": 1})


@pytest.mark.parametrize(
    "error",
    [
        InvalidArguments("t", ()),
        UnknownTool("a", ["ab"]),
        InvalidOutput("t", "why"),
        ToolTimeout("t", 1.0, "tail"),
        ToolFailed("m"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_the_way_between_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
