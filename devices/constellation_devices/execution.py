"""Calling the tool of an attempt, in the place where it can be stopped best.

async tool                        on the event loop, cancelled like any coroutine
quick tool (`blocking=False`)     on the event loop, at once
blocking tool                     in a worker process where the device has them and the tool can be imported
there, else in a thread; a thread can't be stopped: when it must be, it is
abandoned, and `ToolContext.cancelled` tells it so
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.lowlevel

from constellation_protocol.messages import ArtifactInfo
from constellation_tools import Tool, ToolContext, ToolFailed

from .attempts import Attempt
from .errors import WorkFailed
from .files import ToolFiles
from .outputs import find_artifacts
from .prompts.work import Prompter, PromptWork, Workplace
from .workers import WorkerPool

_COOPERATIVE_SHARE = 0.75
"""Share of the time for stopping that a tool in a worker process has for itself before it is killed."""

CALL_GRACE_S = 1.0
"""How long a tool that a prompt has called may take to stop by itself when its call alone is cancelled, in seconds."""


class Executor:
    """Calls tools for attempts. Made and used on the event loop that the device runs on."""

    def __init__(
        self,
        *,
        workdir: Path,
        files: ToolFiles,
        workers: WorkerPool | None,
        fetch: Callable[[ArtifactInfo], Awaitable[None]],
        reported: Callable[[Attempt], None],
        tools: Mapping[str, Tool[..., Any]],
        prompter: Prompter | None,
    ) -> None:
        """Plug in the device.

        Args:
            workdir: The directory that tools work in.
            files: Where tools keep and find files.
            workers: Worker processes for blocking tools; None to run these in threads.
            fetch: Brings a file that the arguments refer to into the store.
            reported: Called when an attempt has something new to report.
            tools: What the device offers; may change.
            prompter: Carries out prompts; None where nothing does.
        """
        self._workdir = workdir
        self._files = files
        self._workers = workers
        self._fetch = fetch
        self._reported = reported
        self._tools = tools
        self._prompter = prompter
        self._loop_thread = threading.get_ident()
        self._loop_token = anyio.lowlevel.current_token()

    def call_at_once(self, attempt: Attempt) -> Any:
        """Call the tool of an instant attempt and return its output; raises whatever the tool raises."""
        tool, arguments = attempt.tool, attempt.assign.work.arguments
        return tool.call_sync(arguments, self._context(attempt) if arguments or tool.takes_context else None)

    async def call(self, attempt: Attempt) -> Any:
        """Fetch the files that the arguments refer to, call the tool and return its output.

        Raises whatever the tool raises, or `WorkFailed` where it ran in a worker process.
        """
        for info in attempt.assign.artifacts:
            await self._fetch(info)
        if self._prompter is not None and attempt.tool is self._prompter.tool:
            return await self._prompter.run(PromptWork.of(attempt.assign, attempt.tool), self._workplace(attempt))
        return await self._call(attempt, attempt.tool, attempt.assign.work.arguments, attempt.assign.artifacts)

    def _workplace(self, attempt: Attempt) -> Workplace:
        """What a prompt may use: the device's other tools, on behalf of the prompt's own attempt."""

        def report(text: str | None = None, *, fraction: float | None = None, data: Any = None) -> None:
            self._take_progress(attempt, text, fraction, data)

        async def invoke(tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext) -> Any:
            given = dict(arguments)
            files = [info for info in find_artifacts(given) if self._files.store.has(info.sha256)]
            try:
                return await self._call(attempt, tool, given, files, context)
            except WorkFailed as error:  # in a worker process; the model is to know what, and not where
                raise ToolFailed(str(error)) from error

        others = {name: tool for name, tool in self._tools.items() if tool is not attempt.tool}
        return Workplace(others, self._context(attempt), invoke, report)

    async def _call(
        self,
        attempt: Attempt,
        tool: Tool[..., Any],
        arguments: dict[str, Any],
        files: Sequence[ArtifactInfo],
        context: ToolContext | None = None,
    ) -> Any:
        """Call a tool; in the attempt's own context, or in that of one of the calls that its prompt makes."""
        context = context or self._context(attempt)
        if self._workers is not None and tool.blocking and not tool.is_async and tool.reference is not None:
            return await self._workers.call(
                tool.reference,
                arguments,
                attempt=context.attempt,
                files=files,
                progress=lambda text, fraction, data: context.progress(text, fraction=fraction, data=data),
                grace_s=lambda: (attempt.grace_s if attempt.is_stopping() else CALL_GRACE_S) * _COOPERATIVE_SHARE,
            )
        return await tool.call(arguments, context)

    def _context(self, attempt: Attempt) -> ToolContext:
        return ToolContext(
            attempt=attempt.id,
            workdir=self._workdir,
            progress=partial(self._progress, attempt),
            store=self._files.keep,
            resolve=self._files.find,
            cancelled=attempt.is_stopping,
        )

    def _progress(self, attempt: Attempt, text: str | None, fraction: float | None, data: Any) -> None:
        if threading.get_ident() == self._loop_thread:
            self._take_progress(attempt, text, fraction, data)
            return
        try:
            anyio.from_thread.run_sync(self._take_progress, attempt, text, fraction, data, token=self._loop_token)
        except anyio.RunFinishedError:
            return  # an abandoned thread that outlives its device has nobody to report to

    def _take_progress(self, attempt: Attempt, text: str | None, fraction: float | None, data: Any) -> None:
        if not attempt.settled:
            attempt.progress.add(text, fraction, data)
            self._reported(attempt)
