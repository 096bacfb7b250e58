"""A server as a child process: messages over its standard input and output, and nothing of it left afterwards.

The child gets a session of its own, a mark by which all that it starts is found again, and an environment without the
secrets of ours. What it writes to its standard error is kept for messages, the end of it.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..toolkits.processes import MARK, clean_environment, kill_family
from ..wording import cleaned
from .errors import McpMisbehaved, McpUnavailable
from .http import ANSWER_LOST
from .lines import LineReader, answered
from .settings import McpServer

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

    Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]

LEAVE_S = 2.0
"""How long a server may take to end by itself once its standard input has ended, in seconds."""

_TOLD_STRAY_LINES = 3
_STRAY_CHARS = 200
_LAST_WORDS_BYTES = 4_000
_LAST_WORDS_CHARS = 300
_LAST_WORDS_S = 0.5

log = logging.getLogger("constellation.mcp")


@asynccontextmanager
async def stdio_transport(server: McpServer, ended: Callable[[str], None]) -> AsyncIterator[Streams]:
    """Start a server and give the streams of messages from and to it; afterwards it and all its children are gone.

    Args:
        server: The server.
        ended: Told why, once, when the server is not heard any more.

    Raises:
        McpUnavailable: it can't be started.
    """
    mark = secrets.token_hex(16)
    process = await _started(server, mark)
    child = _Child(server, process, ended)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child.read)
            tasks.start_soon(child.write)
            tasks.start_soon(child.keep_last_words)
            yield child.received, child.to_send
            with anyio.CancelScope(shield=True):
                await child.leave()
            tasks.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await anyio.to_thread.run_sync(kill_family, process.pid, mark)
            await process.wait()
            await process.aclose()
            child.close()


async def _started(server: McpServer, mark: str) -> Process:
    environment = {**clean_environment(str(Path.home()), server.env), MARK: mark}
    try:
        # Shielded: a cancellation between the fork and the return would lose track of a running process.
        with anyio.CancelScope(shield=True):
            process = await anyio.open_process(
                list(server.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=server.cwd,
                env=environment,
                start_new_session=True,
            )
    except FileNotFoundError as error:
        missing = server.command[0] if server.cwd is None or server.cwd.is_dir() else server.cwd
        raise McpUnavailable(f"the MCP server {server.label} can't be started: there is no {str(missing)!r}") from error
    except (OSError, ValueError) as error:
        raise McpUnavailable(f"the MCP server {server.label} can't be started: {error}") from error
    return process


class _Child:
    """A running server and the streams between it and a session."""

    def __init__(self, server: McpServer, process: Process, ended: Callable[[str], None]) -> None:
        self._server = server
        self._process = process
        self._ended = ended
        self._last_words = bytearray()
        self._said_all = anyio.Event()
        self._incoming, self.received = anyio.create_memory_object_stream["SessionMessage | Exception"](0)
        self.to_send, self._outgoing = anyio.create_memory_object_stream["SessionMessage"](0)

    async def read(self) -> None:
        """Hand on what the server says until it says no more, or what it must not."""
        assert self._process.stdout is not None
        reader = LineReader(self._server.limits.message_bytes)
        reason = ""
        async with self._incoming:
            try:
                async for chunk in self._process.stdout:
                    for line in reader.feed(chunk):
                        await self._hand_on(line, reader)
            except McpMisbehaved as error:
                reason = str(error)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):  # the session has gone, or the pipe broke
                pass
            self._ended(reason or await self._how_it_ended())

    async def _hand_on(self, line: bytes, reader: LineReader) -> None:
        from mcp.shared.message import SessionMessage
        from mcp_types import ErrorData, JSONRPCError, jsonrpc_message_adapter

        try:
            message = jsonrpc_message_adapter.validate_json(line, by_name=False)
        except ValueError:
            if reader.stray() <= _TOLD_STRAY_LINES:
                told = cleaned(line[: _STRAY_CHARS * 4].decode("utf-8", "replace"), _STRAY_CHARS)
                log.warning("the MCP server %s wrote a line that is no message: %s", self._server.label, told)
            request = answered(line)
            if request is None:
                return
            # Whoever waits for it need not wait for its time to run out.
            error = ErrorData(code=ANSWER_LOST, message="its answer is no message that can be read")
            message = JSONRPCError(jsonrpc="2.0", id=request, error=error)
        else:
            reader.understood()
        await self._incoming.send(SessionMessage(message))

    async def write(self) -> None:
        """Pass on what is said to the server for as long as it listens."""
        assert self._process.stdin is not None
        async with self._outgoing:
            async for item in self._outgoing:
                data = item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                try:
                    await self._process.stdin.send(data)
                except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
                    return  # reading tells how it ended

    async def keep_last_words(self) -> None:
        """Keep the end of what the server writes to its standard error."""
        assert self._process.stderr is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async for chunk in self._process.stderr:
                self._last_words += chunk
                del self._last_words[:-_LAST_WORDS_BYTES]
        self._said_all.set()

    async def leave(self) -> None:
        """End the server's standard input and give it a moment to end by itself."""
        self.received.close()
        assert self._process.stdin is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
            await self._process.stdin.aclose()
        with anyio.move_on_after(LEAVE_S):
            await self._process.wait()

    def close(self) -> None:
        for stream in (self._incoming, self.received, self.to_send, self._outgoing):
            stream.close()

    async def _how_it_ended(self) -> str:
        with anyio.move_on_after(_LAST_WORDS_S):
            await self._said_all.wait()
            await self._process.wait()
        code = self._process.returncode
        if code is None:
            how = "it closed its standard output"
        else:
            how = f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"
        lines = cleaned(self._last_words.decode("utf-8", "replace"), _LAST_WORDS_BYTES).splitlines()
        words = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f"{how}; its last words: {words[-_LAST_WORDS_CHARS:]}" if words else how
