"""One call on its way: through the gate, to a seat, in tries, past hooks, and to one result whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from pydantic_core import to_jsonable_python

from ..context import ToolContext
from ..dialects import ToolResult
from ..errors import ApprovalMismatch, CallRefused, ToolCancelled, ToolFailed, ToolTimeout, UnknownTool
from ..tool import Tool
from . import hooks as hooking
from .admission import Seat
from .background import Background
from .batch import cancelled
from .gate import Gate
from .life import CallState, Step
from .output import failed, limited, sendable, size_of
from .record import CURRENT, Record
from .seats import Seats
from .settings import Settings
from .telling import Teller
from .usage import ToolUsage


@dataclass(slots=True)
class Execution:
    """Brings calls to their end.

    Attributes:
        settings: What the runner was made with.
        seats: Where calls wait for their turn.
        gate: What every call has to pass.
        teller: Tells whoever watches.
        usage: Counters by tool.
        active: Calls under way.
        background: Those of them that have been answered with a handle.
        group: What they run in, while there is such.
    """

    settings: Settings
    seats: Seats
    gate: Gate
    teller: Teller
    usage: dict[str, ToolUsage] = field(default_factory=dict)
    active: set[Record] = field(default_factory=set)
    background: Background = field(default_factory=Background)
    group: TaskGroup | None = None
    _idle: anyio.Event | None = None

    def expect(self, records: Iterable[Record]) -> None:
        """Count calls as under way, so that they can be cancelled; `settle` has to follow."""
        for record in records:
            self.active.add(record)
            if record.parent is not None:
                record.parent.children.add(record)
                continue
            with contextlib.suppress(UnknownTool):  # which is told when it is the call's turn
                tool = self.settings.find(record.call.name)
                if tool is not self.settings.wait_tool:
                    self.seats.reserve(_seat_of(record, tool))

    async def settle(self, record: Record) -> None:
        """Bring a call to its end, or to where it waits for somebody to decide; cancellation is an end, too.

        A background call has its end later, and its acknowledgement now.
        """
        try:
            with record.scope:
                if await self._prepared(record):
                    if self._goes_on_later(record):
                        return
                    await self._performed(record)
        finally:
            if not record.handle:
                self._close(record)

    def _goes_on_later(self, record: Record) -> bool:
        """Let a background call go on without its caller, if it is one."""
        if not record.in_background or self.group is None:
            return False
        record.acknowledgement = self.background.begin(record)
        record.scope = anyio.CancelScope()  # the one that it has belongs to its caller
        self.group.start_soon(self._later, record)
        return True

    async def _later(self, record: Record) -> None:
        try:
            with record.scope:
                if record.explanation:
                    with self._refusals(record):
                        await self.gate.approve(record, record.explanation)
                if not record.life.state.settled:
                    await self._performed(record)
        finally:
            self._close(record)

    def _close(self, record: Record) -> None:
        """Count a call as under way no more; one that has not ended, and is not put aside, was cancelled."""
        try:
            if not record.paused and not record.life.state.settled:
                self._end(record, Step.CANCEL, cancelled(record.call, record.reason, record.error))
        finally:  # observers are told of the end, and may raise; whoever waits for it is not to wait for ever
            self.active.discard(record)
            self.seats.leave(record.key)
            if record.parent is not None:
                record.parent.children.discard(record)
            if self._idle is not None and not self.active:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is under way, also none that a thread makes which was left behind."""
        while self.active:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _prepared(self, record: Record) -> bool:
        """Whether a call may go on; else it has ended, or waits for somebody to decide."""
        known: ToolResult | None = None
        with self._refusals(record):
            known = await self.gate.check(record)
        if known is not None:
            self._end(record, Step.COMPLETE, known, size_of(known))
        return not record.life.state.settled and not record.paused

    @contextlib.contextmanager
    def _refusals(self, record: Record) -> Iterator[None]:
        """What is raised before a call runs is its end."""
        try:
            yield
        except (CallRefused, ApprovalMismatch) as error:
            self._fail(record, Step.REFUSE, error)
        except Exception as error:  # tools, hooks and approvers raise whatever they like
            self._fail(record, Step.FAIL, error)

    async def _performed(self, record: Record) -> None:
        """Run a call that may run, and end it with what comes of it."""
        call, tool = record.call, record.tool
        assert tool is not None  # it was found when the call was prepared
        step = Step.COMPLETE
        try:
            result = ToolResult(call.id, call.name, await self._tried(record, tool))
        except ToolCancelled as error:
            self._end(record, Step.CANCEL, failed(call.id, call.name, error))
            return
        except Exception as error:  # tools raise whatever they like
            record.error, step = error, Step.FAIL
            result = failed(call.id, call.name, error)
        size = size_of(result)
        try:
            result = await hooking.after(self.settings.hooks, call, tool, result)
        except ToolFailed as error:
            self._fail(record, Step.FAIL, error)
            return
        if record.parent is None:
            result = limited(result, tool.max_output_bytes or self.settings.max_output_bytes)
        self._end(record, step, result, size)

    async def _tried(self, record: Record, tool: Tool[..., Any]) -> Any:
        """Try until it works, or it is not worth another try; a call that waits for its next try holds no seat."""
        retry = tool.retry or self.settings.retry
        while True:
            self.teller.take(record, Step.ENQUEUE)
            async with self._seat(record, tool):
                self.teller.take(record, Step.START)
                try:
                    return await self._once(record, tool)
                except Exception as error:
                    delay_s = retry.delay_s(error, record.life.tries, self.settings.unit(), idempotent=tool.idempotent)
                    if delay_s is None:
                        raise
                self.teller.take(record, Step.BACK_OFF)
            await anyio.sleep(delay_s)

    async def _once(self, record: Record, tool: Tool[..., Any]) -> Any:
        limit_s = self.settings.timeout_s if tool.timeout_s is None else None
        record.running = True
        token = CURRENT.set(record)
        try:
            with anyio.move_on_after(limit_s) as scope:
                value = await self._invoked(record, tool)
        except BaseExceptionGroup as group:
            stopped, others = group.split(anyio.get_cancelled_exc_class())
            if stopped is None or not isinstance(others, ExceptionGroup):
                raise
            # A tool with tasks of its own raises this as well while it is cancelled, and cancelled it is all the same.
            record.error = others
            raise stopped from None
        finally:
            CURRENT.reset(token)
            record.running = False
            for child in list(record.children):
                child.cancel("the tool that made this call has ended")
        if limit_s is not None and scope.cancelled_caught:
            raise ToolTimeout(tool.name, limit_s)
        return value

    async def _invoked(self, record: Record, tool: Tool[..., Any]) -> Any:
        settings, call = self.settings, record.call
        if settings.tracing is None:
            return await settings.invoke(tool, call.arguments, self._context(record))
        with settings.tracing.span(call, tool, record.life.tries) as take:
            value = await settings.invoke(tool, call.arguments, self._context(record))
            take(value)
            return value

    def _context(self, record: Record) -> ToolContext:
        host = self.settings.context
        attempt = f"{host.attempt}/{record.call.id}" if host.attempt else record.call.id
        return host.for_call(
            attempt=attempt, progress=partial(self._progress, record), call=partial(self._nested, record)
        )

    async def _nested(self, parent: Record, name: str, arguments: Mapping[str, Any]) -> Any:
        if not parent.running:
            raise ToolCancelled(f"the call of {parent.call.name} has ended, and can call nothing more")
        record = parent.child(name, dict(arguments))
        self.expect([record])
        await self.settle(record)
        assert record.result is not None  # only calls of models are put aside
        if record.error is not None:
            raise record.error
        if record.life.state is CallState.CANCELLED:
            raise ToolCancelled(record.result.text)
        if record.result.is_error:  # a hook says so
            raise ToolFailed(record.result.text)
        return record.result.value

    @contextlib.asynccontextmanager
    async def _seat(self, record: Record, tool: Tool[..., Any]) -> AsyncIterator[None]:
        """A seat; calls that tools make have that of the model's call that they stem from."""
        if tool is self.settings.wait_tool:  # what it waits for needs the seats
            yield
            return
        if record.parent is None:
            async with self.seats.seat(_seat_of(record, tool)):
                yield
            return
        above: Record | None = record.parent
        while tool.exclusive and above is not None:
            if above.tool is not None and above.tool.exclusive:
                break
            above = above.parent
        if above is None:
            raise CallRefused(f"{tool.name} has to run alone: a tool that calls it has to be exclusive, too")
        yield

    def _progress(self, record: Record, text: str | None, fraction: float | None, data: Any) -> None:
        self.settings.context.progress(text, fraction=fraction, data=data)
        self.teller.progress(record, text, fraction, data)

    def _fail(self, record: Record, step: Step, error: Exception) -> None:
        record.error = error
        self._end(record, step, failed(record.call.id, record.call.name, error))

    def _end(self, record: Record, step: Step, result: ToolResult, size: int = 0) -> None:
        """End a call with its one result; does nothing where it has ended already."""
        life = record.life
        if life.state.settled:
            return
        life.take(step, anyio.current_time())
        record.result = result = sendable(result)
        if life.state is not CallState.COMPLETED:
            for undo in record.undo:
                undo()
        if record.handle:
            self.background.finish(record, result)
        arguments = ToolResult("", "", to_jsonable_python(record.call.arguments, fallback=str))
        self.usage.setdefault(record.call.name, ToolUsage()).add(
            life.state,
            tries=life.tries,
            seconds=life.running_s,
            bytes_in=size_of(arguments),
            bytes_out=size or size_of(result),
        )
        self.teller.tell(record)


def _seat_of(record: Record, tool: Tool[..., Any]) -> Seat:
    return Seat(record.key, tool.name, tool.exclusive, tool.max_concurrent)
