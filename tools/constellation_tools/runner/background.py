"""Calls that go on in the background: their handles, and results, handed out once in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import anyio

from ..dialects import ToolCall, ToolResult
from ..errors import UnknownHandle
from .life import CallState
from .record import Record

_NOTE = "this goes on in the background, and its result is told later; do not call it again for the same"


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call that goes on in the background.

    Attributes:
        handle: What it is waited for by: the call's id, with a number where that was taken.
        call: The call.
        state: Where it stands.
    """

    handle: str
    call: ToolCall
    state: CallState


@dataclass(frozen=True, slots=True)
class Delivery:
    """The result of a call that went on in the background.

    Attributes:
        handle: The handle that its call was answered with.
        result: The result, under the call's own id.
    """

    handle: str
    result: ToolResult

    @property
    def announcement(self) -> str:
        """What a model is told that takes no results later than at once: a message of its own in the conversation."""
        outcome = "has failed" if self.result.is_error else "has finished"
        return f"The background call {self.handle} of {self.result.name} {outcome}:\n{self.result.text}"


@dataclass(slots=True)
class Background:
    """The background calls of one runner. Only `wait` waits."""

    _going_on: dict[str, Record] = field(default_factory=dict)
    _finished: dict[str, Delivery] = field(default_factory=dict)
    _changed: anyio.Event | None = None

    @property
    def pending(self) -> list[PendingCall]:
        """What goes on, in the order that it began."""
        return [PendingCall(handle, each.call, each.life.state) for handle, each in self._going_on.items()]

    def begin(self, record: Record) -> ToolResult:
        """Let a call go on here; returns what its caller is told meanwhile."""
        call, number = record.call, 1
        record.handle = call.id
        while record.handle in self._going_on or record.handle in self._finished:
            number += 1
            record.handle = f"{call.id}~{number}"
        self._going_on[record.handle] = record
        value = {"status": "working", "handle": record.handle, "note": _NOTE}
        return ToolResult(call.id, call.name, value, pending=True)

    def finish(self, record: Record, result: ToolResult) -> None:
        """Take the result of a call that has ended."""
        del self._going_on[record.handle]
        self._finished[record.handle] = Delivery(record.handle, result)
        if self._changed is not None:
            self._changed.set()

    def take(self, handles: Iterable[str] | None = None) -> list[Delivery]:
        """Hand out results, in the order that they came, each of them once.

        Args:
            handles: Only of these calls; of all when None.
        """
        wanted = set(self._finished if handles is None else handles)
        taken = [delivery for handle, delivery in self._finished.items() if handle in wanted]
        for delivery in taken:
            del self._finished[delivery.handle]
        return taken

    def put_back(self, deliveries: Iterable[Delivery]) -> None:
        """Take back results that have not reached anybody; they are the next to be handed out."""
        self._finished = {**{delivery.handle: delivery for delivery in deliveries}, **self._finished}

    async def wait(self, handles: Iterable[str] | None, *, for_all: bool, timeout_s: float | None) -> None:
        """Wait until one of these calls has ended, or all of them have, or time is up.

        Args:
            handles: Which; all whose results have not been handed out when None.
            for_all: Whether to wait for all of them.
            timeout_s: For how long, in seconds; None for as long as it takes.

        Raises:
            UnknownHandle: there is no such call, or its result has been handed out.
        """
        known = [*self._finished, *self._going_on]
        wanted = known if handles is None else list(handles)
        for handle in wanted:
            if handle not in known:
                raise UnknownHandle(handle, known)
        with anyio.move_on_after(timeout_s):
            while self._waits(wanted, for_all):
                if self._changed is None or self._changed.is_set():
                    self._changed = anyio.Event()
                await self._changed.wait()

    def _waits(self, wanted: list[str], for_all: bool) -> bool:
        if not wanted:
            return False
        going_on = [handle in self._going_on for handle in wanted]
        return any(going_on) if for_all else all(going_on)
