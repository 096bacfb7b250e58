"""Runs the tool calls of a model: together where they may, within limits, with one result for each, in order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio

from ..context import ToolContext
from ..dialects import ToolCall
from ..retry import Retry
from ..tool import Tool
from ..toolset import Toolset
from .approvals import Ledger, MemoryLedger
from .background import Background, Delivery, PendingCall
from .batch import CallBatch
from .execution import Execution
from .gate import Gate
from .hooks import ToolHook
from .policy import Policy
from .record import Record
from .seats import Seats
from .settings import Approver, Invoke, Observer, Settings
from .telling import Teller
from .tracing import Tracing
from .usage import ToolUsage
from .waiting import wait_tool

MAX_CONCURRENT = 16
MAX_OUTPUT_BYTES = 100_000


class ToolRunner:
    """Runs tool calls. An asynchronous context manager: nothing that it has started outlives its block.

    Attributes:
        tools: What can be called. Tools that are added or taken away while it runs are seen.
        wait_tool: Waits for background calls; offer it to models that take no results later than at once.
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
        invoke: Invoke | None = None,
        tracing: Tracing | None = None,
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
            tracing: Makes OpenTelemetry spans; none when None.
            invoke: Runs a tool that may run, such as in another process; `Tool.call` when None.

        Raises:
            ToolDefinitionError: a function can't be a tool, or two tools share a name.
            ValueError: a limit is not more than 0.
        """
        if max_output_bytes < 1 or (timeout_s is not None and timeout_s <= 0):
            raise ValueError("limits of a runner have to be more than 0")
        self.tools = tools if isinstance(tools, Toolset) else Toolset(tools)
        background = Background()
        self.wait_tool = wait_tool(background)
        settings = Settings(
            find=self._find,
            policy=policy or Policy(),
            approver=approver,
            hooks=tuple(hooks),
            device=device,
            context=context or ToolContext(),
            timeout_s=timeout_s,
            max_output_bytes=max_output_bytes,
            retry=retry or Retry(),
            ledger=ledger or MemoryLedger(),
            unit=unit,
            invoke=invoke or _call,
            wait_tool=self.wait_tool,
            tracing=tracing,
        )
        seats, teller = Seats(max_concurrent), Teller(on_event)
        self._execution = Execution(settings, seats, Gate(settings, seats, teller), teller, background=background)

    async def __aenter__(self) -> Self:
        """Begin.

        Raises:
            RuntimeError: it is in use already.
        """
        if self._execution.group is not None:
            raise RuntimeError("this runner is in use already; make another one")
        self._execution.group = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel what is still under way, and wait for it to be gone."""
        group, self._execution.group = self._execution.group, None
        assert group is not None  # it was entered
        self.cancel(reason="the runner was closed")
        try:
            if isinstance(error, Exception):  # which the group would wrap; whoever has raised it shall see it as it is
                await group.__aexit__(None, None, None)
            else:
                await group.__aexit__(kind, error, traceback)
        finally:
            with anyio.CancelScope(shield=True):
                await self._execution.idle()

    async def run(self, calls: CallBatch | Iterable[ToolCall]) -> CallBatch:
        """Run calls, and return them with their results.

        A call that has to be approved, with nobody there to ask, is put aside: `approvals` of the batch has the
        request. Answer it, here or in another process, and run the batch again; what has its result is not repeated.

        Cancelling this from outside cancels all calls; a batch that was passed in then has their results all the same,
        but for those that had been put aside already.

        A call of a background tool is answered with a handle as soon as it may run; `wait` and `collect` have its
        result later.

        Raises:
            RuntimeError: the runner's block has not been entered, or has been left.
        """
        if self._execution.group is None:
            raise RuntimeError("a runner runs within its block: async with ToolRunner(...) as runner")
        batch = calls if isinstance(calls, CallBatch) else CallBatch(calls)
        records = [Record(entry.call, entry) for entry in batch.entries if entry.result is None]
        self._execution.expect(records)
        try:
            async with anyio.create_task_group() as group:
                for record in records:
                    group.start_soon(self._execution.settle, record)
        finally:
            for record in records:
                record.entry.result = record.acknowledgement or record.result
        return batch

    def cancel(self, id: str | None = None, *, reason: str = "") -> int:
        """Cancel calls: they end with a result that says so.

        Args:
            id: Which, by the call's id or its handle; all that are under way when None.
            reason: Why, for the model.

        Returns:
            How many were under way.
        """
        found = [record for record in self._execution.active if id is None or id in (record.call.id, record.handle)]
        for record in found:
            record.cancel(reason)
        return len(found)

    @property
    def pending(self) -> list[PendingCall]:
        """The background calls that go on, in the order that they began."""
        return self._execution.background.pending

    def collect(self) -> list[Delivery]:
        """Take the results of background calls that have ended, in the order that they have; each is handed out once.

        After the runner's block there are those that were cancelled because of its end.
        """
        return self._execution.background.take()

    async def wait(
        self, handles: Iterable[str] | None = None, *, for_all: bool = False, timeout_s: float | None = None
    ) -> list[Delivery]:
        """Wait for background calls, and take the results of those that have ended.

        Args:
            handles: Which; all whose results have not been taken when None.
            for_all: Whether to wait until all of them have ended, in place of one.
            timeout_s: For how long, in seconds; None for as long as it takes.

        Raises:
            UnknownHandle: there is no such call, or its result has been taken.
        """
        wanted = None if handles is None else list(handles)
        await self._execution.background.wait(wanted, for_all=for_all, timeout_s=timeout_s)
        return self._execution.background.take(wanted)

    @property
    def usage(self) -> Mapping[str, ToolUsage]:
        """Counters by tool, of all calls that have ended."""
        return self._execution.usage

    def _find(self, name: str) -> Tool[..., Any]:
        if name == self.wait_tool.name and name not in self.tools:
            return self.wait_tool
        return self.tools.get(name)


async def _call(tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext) -> Any:
    return await tool.call(arguments, context)
