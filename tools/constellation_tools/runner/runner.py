"""Runs the tool calls of a model: together where they may, within limits, with one result for each, in order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
from anyio.abc import TaskGroup

from ..context import ToolContext
from ..dialects import ToolCall
from ..retry import Retry
from ..tool import Tool
from ..toolset import Toolset
from .approvals import Ledger, MemoryLedger
from .batch import CallBatch
from .execution import Approver, Execution, Observer, Settings
from .hooks import ToolHook
from .policy import Policy
from .record import Record
from .seats import Seats
from .usage import ToolUsage

MAX_CONCURRENT = 16
MAX_OUTPUT_BYTES = 100_000


class ToolRunner:
    """Runs tool calls. An asynchronous context manager: nothing that it has started outlives its block.

    Attributes:
        tools: What can be called. Tools that are added or taken away while it runs are seen.
    """

    def __init__(
        self,
        tools: Toolset | Iterable[Tool[..., Any] | Callable[..., Any]],
        *,
        policy: Policy | None = None,
        approver: Approver | None = None,
        hooks: Sequence[ToolHook] = (),
        device: str = "",
        context: ToolContext | None = None,
        max_concurrent: int = MAX_CONCURRENT,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        timeout_s: float | None = None,
        retry: Retry | None = None,
        ledger: Ledger | None = None,
        on_event: Observer | None = None,
        unit: Callable[[], float] = random.random,
    ) -> None:
        """Set a runner up.

        Args:
            tools: What can be called.
            policy: What may be called; everything, with tools that require approval asked for, when None.
            approver: Asks somebody whether a call may run; without one such calls wait in their batch.
            hooks: What to do before and after every call.
            device: The name of the device that this runs on, for the policy.
            context: The surroundings of all calls: files, the working directory, where progress goes.
            max_concurrent: How many calls run at the same time.
            max_output_bytes: How much text of a result is handed on, for tools that do not say so themselves.
            timeout_s: How long a call may take, in seconds, for tools that do not say so themselves; None for no limit.
            retry: How calls are tried again, for tools that do not say so themselves.
            ledger: Remembers which approvals have been used; in memory when None.
            on_event: Is told what happens to calls. What it raises ends the runner.
            unit: Draws a number from [0, 1), for the waits between tries.

        Raises:
            ToolDefinitionError: a function can't be a tool, or two tools share a name.
            ValueError: a limit is not more than 0.
        """
        if max_output_bytes < 1 or (timeout_s is not None and timeout_s <= 0):
            raise ValueError("limits of a runner have to be more than 0")
        self.tools = tools if isinstance(tools, Toolset) else Toolset(tools)
        settings = Settings(
            find=lambda name: self.tools.get(name),
            policy=policy or Policy(),
            approver=approver,
            hooks=tuple(hooks),
            device=device,
            context=context or ToolContext(),
            timeout_s=timeout_s,
            max_output_bytes=max_output_bytes,
            retry=retry or Retry(),
            ledger=ledger or MemoryLedger(),
            observer=on_event,
            unit=unit,
        )
        self._execution = Execution(settings, Seats(max_concurrent))
        self._group: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: it is in use already.
        """
        if self._group is not None:
            raise RuntimeError("this runner is in use already; make another one")
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel what is still under way, and wait for it to be gone."""
        assert self._group is not None  # it was entered
        self.cancel(reason="the runner was closed")
        with anyio.CancelScope(shield=True):
            await self._execution.idle()
        group, self._group = self._group, None
        if isinstance(error, Exception):
            # The group would wrap it; whoever has raised it shall see it as it is.
            await group.__aexit__(None, None, None)
        else:
            await group.__aexit__(kind, error, traceback)

    async def run(self, calls: CallBatch | Iterable[ToolCall]) -> CallBatch:
        """Run calls, and return them with their results.

        A call that has to be approved, with nobody there to ask, is put aside: `approvals` of the batch has the
        request. Answer it, here or in another process, and run the batch again; what has its result is not repeated.

        Cancelling this from outside cancels all calls; a batch that was passed in then has their results all the same,
        but for those that had been put aside already.

        Raises:
            RuntimeError: the runner's block has not been entered, or has been left.
        """
        if self._group is None:
            raise RuntimeError("a runner runs within its block: async with ToolRunner(...) as runner")
        batch = calls if isinstance(calls, CallBatch) else CallBatch(calls)
        records = [Record(entry.call, entry) for entry in batch.entries if entry.result is None]
        self._execution.expect(records)
        try:
            async with anyio.create_task_group() as group:
                for record in records:
                    group.start_soon(self._execution.settle, record)
        finally:
            self._execution.give_up(records)
            for record in records:
                record.entry.result = record.result
        return batch

    def cancel(self, id: str | None = None, *, reason: str = "") -> int:
        """Cancel calls: they end with a result that says so.

        Args:
            id: Which; all that are under way when None.
            reason: Why, for the model.

        Returns:
            How many were under way.
        """
        found = [record for record in self._execution.active if id is None or record.call.id == id]
        for record in found:
            record.cancel(reason)
        return len(found)

    @property
    def usage(self) -> Mapping[str, ToolUsage]:
        """Counters by tool, of all calls that have ended."""
        return self._execution.usage
