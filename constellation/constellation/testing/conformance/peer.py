"""The orchestrator's side of a session as a check plays it: the protocol's own session, driven step by step.

There are no tasks here. A check says what it waits for, and while it waits frames are taken in and answered; between
two waits nothing happens. What every device owes at every moment (epochs, order, one result) is checked on each
message that comes.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from constellation_protocol.errors import RemoteProtocolError, TransportClosed
from constellation_protocol.messages import (
    Accept,
    ArtifactInfo,
    Assign,
    Cancel,
    Goodbye,
    Hello,
    Message,
    Ping,
    Pong,
    Progress,
    Reject,
    Result,
    ToolWork,
    Welcome,
)
from constellation_protocol.session import Session
from constellation_protocol.states import Life, Role

from .connection import Connection, decoded
from .errors import CheckFailed

M = TypeVar("M")


class Peer:
    """A session with the device under test.

    Attributes:
        seen: The numbered messages that have come, in order.
        settles: Whether what has come is acknowledged; a check may hold that back.
        loses_incoming: Whether what comes is lost before the session sees it, as on a connection that breaks.
        lost: The messages that were lost in this way.
        pings: How many pings have come.
        garnish: Changes each text frame that goes out, as a JSON object.
    """

    def __init__(self, connection: Connection, welcome: Welcome, numbers: Iterator[int]) -> None:
        self.seen: list[Message] = []
        self.settles = True
        self.loses_incoming = False
        self.lost: list[Message] = []
        self.pings = 0
        self.garnish: Callable[[dict[str, Any]], None] | None = None
        self.connection = connection
        self.welcome = welcome
        self._session = Session(Role.ORCHESTRATOR)
        self._numbers = numbers
        self._nonces = itertools.count(7001)
        self._pongs: set[int] = set()
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._leaving = False
        self._gathering = False
        self._last_work = ""

    # --- connections ---------------------------------------------------------------------------------------------

    async def open(self, hello: Hello) -> None:
        """Answer the hello of the connection, for a new session or to resume this one.

        Raises:
            CheckFailed: the device can't go on from where it says that it is.
        """
        try:
            self._session.send_welcome(hello, self.welcome, anyio.current_time())
        except RemoteProtocolError as error:
            raise CheckFailed(f"the hello can't resume the session: {error}") from None
        await self.flush()

    def cut(self) -> None:
        """Drop the connection; the session stays."""
        self.connection.cut()
        self._session.disconnected()

    async def resume(self, connection: Connection, hello: Hello) -> None:
        """Go on with the session on a new connection.

        Raises:
            CheckFailed: the hello names another session, or another place in it.
        """
        if hello.session != self.welcome.session:
            named = "no session" if hello.session is None else "another session"
            raise CheckFailed(f"after a lost connection the hello must name the session to resume; it names {named}")
        self.connection = connection
        await self.open(hello)

    # --- sending -------------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send a message, once there is credit for it.

        Raises:
            CheckFailed: the device gives no credit; see also `until`.
        """
        await self.until(lambda: True if self._session.room else None, "credit for another message")
        self._session.queue(self._session.encode(message))
        await self.flush()

    async def assign(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        attempt: str | None = None,
        timeout_s: float | None = None,
        artifacts: tuple[ArtifactInfo, ...] = (),
    ) -> str:
        """Assign a call of a tool; returns the attempt's id, a new one unless it is given."""
        if attempt is None:
            attempt = f"conformance/{next(self._numbers)}"
        work = ToolWork(tool=tool, arguments=arguments)
        epoch = self.welcome.epoch
        star = attempt.rpartition("/")[2]
        await self.send(
            Assign(
                run="conformance",
                star=f"star-{star}",
                attempt=attempt,
                epoch=epoch,
                work=work,
                timeout_s=timeout_s,
                artifacts=artifacts,
            )
        )
        self._begun.add(attempt)
        self._ended.discard(attempt)
        return attempt

    async def cancel(self, attempt: str, *, grace_s: float) -> None:
        """Ask the device to stop an attempt."""
        epoch = self.welcome.epoch
        await self.send(Cancel(attempt=attempt, epoch=epoch, reason="the check asks for it", grace_s=grace_s))

    async def goodbye(self) -> None:
        """Say goodbye and wait until the device has acknowledged it.

        Raises:
            CheckFailed: it does not.
        """
        self._leaving = True
        self._session.close("the check is over")
        await self.flush()
        await self.until(lambda: True if self._session.ended else None, "the acknowledgement of the goodbye")

    async def until_goodbye(self) -> None:
        """Wait for the device's goodbye, and acknowledge it.

        Raises:
            CheckFailed: it does not come.
        """
        leaving = (Life.LEAVING, Life.ENDED)
        await self.until(lambda: True if self._session.life in leaving else None, "the device's goodbye")

    async def flush(self) -> None:
        """Send what waits to be sent."""
        if self._gathering:
            return
        while (frame := self._session.next_frame()) is not None:
            if isinstance(frame, str) and self.garnish is not None:
                changed = json.loads(frame)
                self.garnish(changed)
                frame = json.dumps(changed)
            if isinstance(frame, str) and '"kind":"assign"' in frame:
                self._last_work = frame
            await self.connection.send(frame)

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Hold back what is sent within, so that it goes out in one frame."""
        self._gathering = True
        yield
        self._gathering = False
        await self.flush()

    async def repeat_work(self) -> None:
        """Send the last frame with an assignment once more, under its old number."""
        await self.connection.send(self._last_work)

    async def settle(self) -> None:
        """Acknowledge what was held back."""
        self._session.settle()
        await self.flush()

    # --- receiving -----------------------------------------------------------------------------------------------

    async def until(self, found: Callable[[], M | None], expected: str) -> M:
        """Take frames in until something is found, and return it.

        Raises:
            CheckFailed: it did not come in time, or the device broke a rule, or closed the connection.
        """
        patience_s = self.connection.patience_s
        with anyio.move_on_after(patience_s):  # over all frames: a device that says other things is not waited for
            while (value := found()) is None:
                await self.step(expected)
            return value
        raise CheckFailed(f"{patience_s:g} s passed while the kit waited for {expected}")

    async def step(self, expected: str) -> None:
        """Take the next frame in and answer it.

        Raises:
            CheckFailed: see `until`.
        """
        try:
            raw = await self.connection.receive_raw(expected)
        except TransportClosed:
            raise CheckFailed(f"the device closed the connection while the kit waited for {expected}") from None
        frame = decoded(raw)
        self._pongs.update(message.nonce for message in frame.messages if isinstance(message, Pong))
        self.pings += sum(isinstance(message, Ping) for message in frame.messages)
        if self.loses_incoming:
            self.lost.extend(frame.messages)
            return
        try:
            self._session.receive_frame(raw, anyio.current_time())
        except RemoteProtocolError as error:
            raise CheckFailed(f"the device broke the protocol: {error}") from None
        for message in self._session.take():
            self._note(message)
        if self.settles:
            self._session.settle()
        if self._session.ended and not (
            self._leaving or any(isinstance(message, Goodbye) for message in frame.messages)
        ):
            raise CheckFailed(f"the session ended while the kit waited for {expected}: {self._session.end_reason}")
        await self.flush()

    def _note(self, message: Message) -> None:
        self.seen.append(message)
        if not isinstance(message, Accept | Reject | Progress | Result):
            return
        what, attempt = f"{message.kind!r} of {message.attempt!r}", message.attempt
        if message.epoch != self.welcome.epoch:
            raise CheckFailed(f"the {what} carries the epoch {message.epoch}; the session's is {self.welcome.epoch}")
        if isinstance(message, Progress) and attempt in self._begun and not self.of(Accept, attempt):
            raise CheckFailed(f"the {what} came before the attempt was accepted")
        if attempt in self._ended:
            raise CheckFailed(f"the {what} came after the attempt's end")
        if isinstance(message, Result) or (isinstance(message, Reject) and message.code != "duplicate"):
            self._ended.add(attempt)
        if isinstance(message, Result) and (message.status == "failed") != (message.error is not None):
            if message.status == "failed":
                raise CheckFailed(f"the {what} says that it failed, and has no error")
            if message.status == "succeeded":
                raise CheckFailed(f"the {what} says that it succeeded, and has an error")

    # --- what has come -------------------------------------------------------------------------------------------

    def expect(self, holds: bool, otherwise: str) -> None:
        """Fail the check unless something holds.

        Raises:
            CheckFailed: it does not; `otherwise` says what is wrong.
        """
        if not holds:
            raise CheckFailed(otherwise)

    def of(self, kind: type[M], attempt: str | None = None) -> list[M]:
        """The messages of a kind that have come, of one attempt or of all."""
        return [
            message
            for message in self.seen
            if isinstance(message, kind) and attempt in (None, getattr(message, "attempt", None))
        ]

    def of_attempt(self, attempt: str, *, since: int = 0) -> list[Message]:
        """The messages about an attempt, without the first `since` messages of the session."""
        return [message for message in self.seen[since:] if getattr(message, "attempt", None) == attempt]

    def _about(self, attempt: str, since: int) -> Message | None:
        return next(iter(self.of_attempt(attempt, since=since)), None)

    def forget(self, message: Message) -> None:
        """Take a message out of those that have come."""
        self.seen.remove(message)

    def ending(self, attempt: str) -> Result | Reject | None:
        """How an attempt has ended, None while it has not."""
        endings: list[Result | Reject] = [*self.of(Result, attempt), *self.of(Reject, attempt)]
        return endings[0] if endings else None

    async def first(self, kind: type[M], attempt: str | None = None) -> M:
        """Wait for the first message of a kind, about one attempt or any.

        Raises:
            CheckFailed: see `until`.
        """
        about = "" if attempt is None else f" of {attempt!r}"
        expected = f"a message {kind.__name__!r}{about}"
        return await self.until(lambda: next(iter(self.of(kind, attempt)), None), expected)

    async def ended(self, attempt: str) -> Result | Reject:
        """Wait for the end of an attempt, whatever it is.

        Raises:
            CheckFailed: see `until`.
        """
        return await self.until(lambda: self.ending(attempt), f"the end of {attempt!r}")

    async def result(self, attempt: str, status: str = "succeeded") -> Result:
        """Wait for the result of an attempt.

        Raises:
            CheckFailed: it is another than this, or the attempt is rejected; see also `until`.
        """
        ending = await self.ended(attempt)
        if isinstance(ending, Reject):
            raise CheckFailed(f"{attempt!r} was rejected ({ending.code}: {ending.message}); a result was expected")
        if ending.status != status:
            said = "" if ending.error is None else f": {ending.error.type}: {ending.error.message}"
            raise CheckFailed(f"the result of {attempt!r} is {ending.status!r}{said}; {status!r} was expected")
        return ending

    async def rejection(self, attempt: str, code: str, *, since: int = 0) -> None:
        """Wait until an attempt is rejected with this code.

        Raises:
            CheckFailed: it is not; see also `until`.
        """
        expected = f"the rejection of {attempt!r} as {code!r}"
        answer = await self.until(lambda: self._about(attempt, since), expected)
        if not isinstance(answer, Reject):
            raise CheckFailed(f"{attempt!r} was answered with {type(answer).__name__}; expected {expected}")
        if answer.code != code:
            raise CheckFailed(f"{attempt!r} was rejected as {answer.code!r}; expected {code!r}")

    async def ping(self) -> None:
        """Send a ping and wait for its pong.

        Raises:
            CheckFailed: none with its nonce comes; see also `until`.
        """
        nonce = next(self._nonces)
        await self.connection.send(json.dumps({"v": 1, "messages": [{"kind": "ping", "nonce": nonce}]}))
        await self.until(lambda: True if nonce in self._pongs else None, f"the pong with the nonce {nonce}")

    async def until_dropped(self) -> int:
        """Say nothing until the device drops the connection; returns how many pings came before.

        Raises:
            CheckFailed: it does not drop it.
        """
        frames = await self.connection.until_closed("the kit had gone silent, and it had to be dropped")
        self.cut()
        return sum(isinstance(message, Ping) for frame in frames for message in frame.messages)

    async def acknowledged(self) -> None:
        """Wait until the device has acknowledged all that was sent to it.

        Raises:
            CheckFailed: it does not.
        """
        session, last = self._session, self._session.sent
        await self.until(
            lambda: True if session.acknowledged >= last else None, f"the acknowledgement of message {last}"
        )

    @property
    def next_number(self) -> int:
        """The number that the next numbered message will have."""
        return self._session.sent + 1
