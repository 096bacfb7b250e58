"""One call on its way: hooks, validation, policy, approval, a seat, tries, hooks again, and always one result."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from pydantic_core import to_jsonable_python

from ..context import ToolContext
from ..dialects import ToolResult
from ..errors import ApprovalMismatch, CallRefused, ToolCancelled, ToolFailed, ToolTimeout, UnknownTool
from ..retry import Retry
from ..tool import Tool
from . import hooks as hooking
from .admission import Seat
from .approvals import Answer, Approval, Ledger, check, digest_of, new_id
from .batch import cancelled
from .events import CallChanged, CallProgress
from .hooks import ToolHook
from .life import CallState, Step
from .output import failed, limited, size_of
from .policy import Policy, Verdict, effective
from .record import Record
from .seats import Seats
from .usage import ToolUsage

Approver = Callable[[Approval], Awaitable[Answer | None]]
"""Asks somebody; None leaves the call waiting in its batch."""

Observer = Callable[[CallChanged | CallProgress], None]
"""Is told what happens to calls."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a runner was made with."""

    find: Callable[[str], Tool[..., Any]]
    policy: Policy
    approver: Approver | None
    hooks: Sequence[ToolHook]
    device: str
    context: ToolContext
    timeout_s: float | None
    max_output_bytes: int
    retry: Retry
    ledger: Ledger
    observer: Observer | None
    unit: Callable[[], float]


@dataclass(slots=True)
class Execution:
    """Brings calls to their end.

    Attributes:
        settings: What the runner was made with.
        seats: Where calls wait for their turn.
        usage: Counters by tool.
        active: Calls under way.
    """

    settings: Settings
    seats: Seats
    usage: dict[str, ToolUsage] = field(default_factory=dict)
    active: set[Record] = field(default_factory=set)
    _idle: anyio.Event | None = None

    def expect(self, records: Iterable[Record]) -> None:
        """Count calls as under way, so that they can be cancelled; `settle` or `give_up` has to follow."""
        for record in records:
            self.active.add(record)
            if record.parent is not None:
                record.parent.children.add(record)
                continue
            with contextlib.suppress(UnknownTool):  # which is told when it is the call's turn
                self.seats.reserve(_seat_of(record, self.settings.find(record.call.name)))

    async def settle(self, record: Record) -> None:
        """Bring a call to its end, or to where it waits for somebody to decide; cancellation is an end, too."""
        try:
            with record.scope:
                if await self._prepared(record):
                    await self._performed(record)
        finally:
            self.give_up([record])

    def give_up(self, records: Iterable[Record]) -> None:
        """Count calls as under way no more; those that have not ended were cancelled."""
        for record in records:
            if not record.paused:
                self._end(record, Step.CANCEL, cancelled(record.call, record.reason))
            self.active.discard(record)
            self.seats.leave(record.key)
            if record.parent is not None:
                record.parent.children.discard(record)
        if self._idle is not None and not self.active:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no call is under way."""
        while self.active:
            self._idle = anyio.Event()
            await self._idle.wait()

    async def _prepared(self, record: Record) -> bool:
        """Whether a call may run now; else it has ended, or waits for somebody to decide."""
        try:
            known = await self._checked(record)
        except (CallRefused, ApprovalMismatch) as error:
            self._fail(record, Step.REFUSE, error)
        except Exception as error:  # tools, hooks and approvers raise whatever they like
            self._fail(record, Step.FAIL, error)
        else:
            if known is not None:
                self._end(record, Step.COMPLETE, known, size_of(known))
        return not record.life.state.settled and not record.paused

    async def _checked(self, record: Record) -> ToolResult | None:
        """Take a call through hooks, validation, policy and approval; returns a result where a hook knows it."""
        settings = self.settings
        tool = record.tool = settings.find(record.call.name)
        if record.call.problem is not None:
            raise ToolFailed(record.call.problem)
        if record.entry.approval is None:  # else hooks have had their say before it was put aside
            record.call, known = await hooking.before(settings.hooks, record.call, tool)
            if known is not None:
                return known
        call = record.call
        converted = tool.validate(call.arguments, resolve=settings.context.path)
        seen = to_jsonable_python(converted, fallback=str, bytes_mode="base64", serialize_unknown=True)
        decision = settings.policy.decide(
            tool.name,
            effective(tool.input_schema, seen),
            device=settings.device,
            requires_approval=tool.requires_approval,
        )
        if decision.verdict is Verdict.DENY:
            raise CallRefused(f"{tool.name} is not allowed here: {decision.explanation}")
        if decision.verdict is Verdict.ASK or record.entry.approval is not None:
            await self._approve(record, tool, decision.explanation)
        return None

    async def _approve(self, record: Record, tool: Tool[..., Any], explanation: str) -> None:
        """Have a call approved, or put it aside.

        Raises:
            CallRefused: somebody refuses it, nobody can be asked, or the approval was used before.
            ApprovalMismatch: the approval was given for another call.
        """
        call, entry, settings = record.call, record.entry, self.settings
        try:
            digest = digest_of(tool.name, tool.input_schema, call.arguments, settings.device)
        except (TypeError, ValueError) as error:
            raise CallRefused(f"{tool.name} needs approval, which can't be asked for: {error}") from error
        if entry.approval is None:
            entry.call = call
            entry.approval = Approval(
                new_id(), call.id, tool.name, call.arguments, digest, explanation, tool.description, settings.device
            )
        self.seats.leave(record.key)  # nobody waits behind a person
        self._take(record, Step.ASK)
        answer = entry.answer
        if answer is None and settings.approver is not None:
            answer = await settings.approver(entry.approval)
        if answer is None:
            if record.parent is not None:
                raise CallRefused(f"{tool.name} needs approval, and nobody can be asked while another tool waits")
            record.paused = True
            return
        check(answer, entry.approval, digest)
        entry.answer = answer
        if not answer.granted:
            by, why = (f" by {answer.by}" if answer.by else ""), (f": {answer.reason}" if answer.reason else "")
            raise CallRefused(f"this call of {tool.name} was refused{by}{why}")
        if not await anyio.to_thread.run_sync(settings.ledger.spend, answer.approval):
            raise CallRefused(f"the approval of this call of {tool.name} has been used already; ask again")
        self._take(record, Step.GRANT)

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
            self._take(record, Step.ENQUEUE)
            async with self._seat(record, tool):
                self._take(record, Step.START)
                try:
                    return await self._once(record, tool)
                except Exception as error:
                    delay_s = retry.delay_s(error, record.tries, self.settings.unit(), idempotent=tool.idempotent)
                    if delay_s is None:
                        raise
                self._take(record, Step.BACK_OFF)
            await anyio.sleep(delay_s)

    async def _once(self, record: Record, tool: Tool[..., Any]) -> Any:
        limit_s = self.settings.timeout_s if tool.timeout_s is None else None
        record.running = True
        try:
            with anyio.move_on_after(limit_s) as scope:
                value = await tool.call(record.call.arguments, self._context(record))
        finally:
            record.running = False
            for child in list(record.children):
                child.cancel("the tool that made this call has ended")
        if limit_s is not None and scope.cancelled_caught:
            raise ToolTimeout(tool.name, limit_s)
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
        if self.settings.observer is not None:
            self.settings.observer(CallProgress(record.call, text, fraction, data))

    def _take(self, record: Record, step: Step) -> None:
        if record.life.take(step, anyio.current_time()):
            self._tell(record)

    def _fail(self, record: Record, step: Step, error: Exception) -> None:
        record.error = error
        self._end(record, step, failed(record.call.id, record.call.name, error))

    def _end(self, record: Record, step: Step, result: ToolResult, size: int = 0) -> None:
        """End a call with its one result; does nothing where it has ended already."""
        life = record.life
        if life.state.settled:
            return
        life.take(step, anyio.current_time())
        record.result = result
        arguments = ToolResult("", "", to_jsonable_python(record.call.arguments, fallback=str))
        self.usage.setdefault(record.call.name, ToolUsage()).add(
            life.state,
            tries=life.tries,
            seconds=life.running_s,
            bytes_in=size_of(arguments),
            bytes_out=size or size_of(result),
        )
        self._tell(record)

    def _tell(self, record: Record) -> None:
        if self.settings.observer is not None:
            approval = record.entry.approval if record.result is None else None
            self.settings.observer(CallChanged(record.call, record.life.state, record.result, approval))


def _seat_of(record: Record, tool: Tool[..., Any]) -> Seat:
    return Seat(record.key, tool.name, tool.exclusive, tool.max_concurrent)
