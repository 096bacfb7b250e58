"""Serving over standard input and output, to the program that started this one."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, cast

import anyio
import anyio.to_thread

from ...runner import Policy
from ...toolset import Toolset
from ..errors import require_sdk
from ..lines import LineReader
from .limits import ServingLimits
from .server import make_server

_CHUNK_BYTES = 64 * 1024
_STDIN = 0


async def serve_stdio(
    toolset: Toolset,
    *,
    name: str = "constellation",
    instructions: str = "",
    policy: Policy | None = None,
    limits: ServingLimits | None = None,
) -> None:
    """Serve a toolset until standard input ends; what tools print goes to the standard error meanwhile.

    Args:
        toolset: What is served.
        name: What the server calls itself.
        instructions: What it tells a client's model about its use.
        policy: What may be called; what it asks for, or a tool itself does, is put to the person at the client.
        limits: How much the client may ask for.

    Raises:
        McpMisbehaved: the client sent a request that is too long.
    """
    require_sdk()
    from mcp.server.stdio import stdio_server

    limits = limits or ServingLimits()
    served = make_server(toolset, name=name, instructions=instructions, policy=policy, limits=limits)
    with _standard_input() as given:
        lines = cast(Any, _Lines(given, limits.request_bytes))  # of a file the SDK asks for nothing but its lines
        async with served as (server, _), stdio_server(stdin=lines) as (received, to_send):
            # Beside the descriptor, which the SDK turns away as well: what is buffered here would come out at the end.
            with redirect_stdout(sys.stderr):
                await server.run(received, to_send, server.create_initialization_options())


class _Lines:
    """The lines of a descriptor. Waiting for one can be cancelled, which a thread that reads can't."""

    def __init__(self, descriptor: int, limit: int) -> None:
        self._descriptor = descriptor
        self._reader = LineReader(limit)

    async def __aiter__(self) -> AsyncIterator[str]:
        while chunk := await self._chunk():
            for line in self._reader.feed(chunk):
                yield line.decode("utf-8", "replace")

    async def _chunk(self) -> bytes:
        try:
            await anyio.wait_readable(self._descriptor)
        except PermissionError:  # a file can always be read, and has no need to be waited for
            return await anyio.to_thread.run_sync(os.read, self._descriptor, _CHUNK_BYTES)
        return os.read(self._descriptor, _CHUNK_BYTES)


@contextmanager
def _standard_input() -> Iterator[int]:
    """Standard input under another descriptor, so that no tool and no child of one reads what is meant for us."""
    ours = os.dup(_STDIN)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    try:
        yield ours
    finally:
        os.dup2(ours, _STDIN)
        os.close(ours)
