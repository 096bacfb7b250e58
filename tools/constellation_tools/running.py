"""Running a tool's function: on the event loop or in a worker thread, to its result or item by item."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing, closing
from typing import Any

import anyio
import anyio.to_thread
from pydantic_core import to_jsonable_python

from .context import ToolContext

Function = Callable[..., Any]

_END: Any = object()


def is_async(function: Function) -> bool:
    """Whether calling it gives a coroutine, or an asynchronous generator, which must not be made in a thread."""
    call = type(function).__call__
    return (
        inspect.iscoroutinefunction(function)
        or inspect.iscoroutinefunction(call)
        or inspect.isasyncgenfunction(function)
        or inspect.isasyncgenfunction(call)
    )


async def run(
    function: Function, args: list[Any], kwargs: dict[str, Any], own: ToolContext | None, *, in_thread: bool
) -> Any:
    """Run a function to its end; a generator to a list of all that it yields, each told as progress.

    A thread is left behind when this is cancelled; the context then says so.
    """
    if in_thread:
        result = await _in_thread(lambda: gathered(function(*args, **kwargs), own), own)
    else:
        result = gathered(function(*args, **kwargs), own)
    if isinstance(result, AsyncGenerator):
        async with aclosing(result) as items:
            return [_told(item, own) async for item in items]
    # A plain function may still hand out an awaitable, such as a wrapper around a coroutine function.
    return await result if isinstance(result, Awaitable) else result


async def run_in_items(
    function: Function, args: list[Any], kwargs: dict[str, Any], own: ToolContext | None, *, in_thread: bool
) -> AsyncGenerator[Any, None]:
    """Run a generator function and give its items as they come."""
    items = function(*args, **kwargs)  # runs nothing of it yet
    if isinstance(items, AsyncGenerator):
        async with aclosing(items):
            async for item in items:
                yield item
        return
    try:
        while True:
            if in_thread:
                item = await _in_thread(lambda: next(items, _END), own)
            else:
                item = next(items, _END)
            if item is _END:
                return
            yield item
    finally:
        # A generator that is still running in a thread that was left behind can't be closed; it stops by itself.
        if items.gi_running is False:
            items.close()


def gathered(result: Any, own: ToolContext | None) -> Any:
    """What a function has returned; for a generator a list of its items, until its call is cancelled."""
    if not isinstance(result, Generator):
        return result
    items = []
    with closing(result):
        for item in result:
            items.append(_told(item, own))
            if own is not None:
                own.check_cancelled()
    return items


async def _in_thread(work: Callable[[], Any], own: ToolContext | None) -> Any:
    def run() -> tuple[Any]:  # in a tuple, because no coroutine may come out of a trio thread as it is
        return (work(),)

    try:
        (result,) = await anyio.to_thread.run_sync(run, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        if own is not None:
            own.cancel()
        raise
    return result


def _told(item: Any, own: ToolContext | None) -> Any:
    """An item, after the host has been told of it in its JSON form."""
    if own is not None:
        own.progress(data=to_jsonable_python(item))
    return item
