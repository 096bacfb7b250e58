"""The device agent: takes assignments from a link, runs them, and sees to it that every result arrives.

The agent outlives its links. `serve` holds one session with an orchestrator; when that has ended the work goes on,
results are kept, and the next session is told of both: what runs and what has finished is in its `Hello`, and
kept results are sent again under the new session's epoch.

    Assign ──► rejected (draining, unknown tool, no slot, duplicate)
           ──► answered from what is kept (it ran here before)
           ──► begun: noted first, so that it never runs twice; Accept; slot; Progress…; exactly one Result
               (what is done on the spot is accepted only if its result has to wait for files)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

import anyio

from constellation_protocol.errors import LinkClosed, RemoteProtocolError
from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.link import Link
from constellation_protocol.messages import (
    Accept,
    ArtifactInfo,
    Assign,
    Cancel,
    DeviceProfile,
    Drain,
    Hello,
    Message,
    ProfileUpdate,
    Reject,
    Result,
)
from constellation_protocol.signal import Signal
from constellation_protocol.transfer import ARTIFACT_MESSAGES
from constellation_tools import Tool

from .attempts import Attempt
from .home import DeviceHome
from .profile import build_profile, detect_machine
from .prompts.work import Prompter
from .runner import AttemptRunner
from .session import Session

RejectCode = Literal["no-slot", "unknown-tool", "draining", "invalid-arguments", "artifact", "duplicate"]

STOP_GRACE_S = 2.0
"""How long work may take to stop by itself when the device stops."""

ACK_WAIT_S = 2.0
"""How long a device that stops waits for the acknowledgement of its last results."""


class DeviceAgent:
    """One device: a fixed number of slots, its tools, and the results it owes. Use it as an async context manager."""

    def __init__(
        self,
        spec: DeviceSpec,
        home: DeviceHome,
        *,
        worker_processes: bool,
        prompter: Prompter | None = None,
        sent_is_delivered: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Make a device that does nothing yet.

        Args:
            spec: What the device was told to be.
            home: Its directories and tools.
            worker_processes: Whether blocking tools run in processes of their own, which can be killed.
            prompter: Carries out prompts; None where nothing does.
            sent_is_delivered: Whether a result counts as acknowledged once it is sent: so it is within one process,
                where it can only be lost together with the device.
            clock: Tells the time of day, in seconds since the epoch.
        """
        self._spec = spec
        self._tools = {tool.name: tool for tool in home.tools}
        self._prompter = prompter
        if prompter is not None:
            self._tools[prompter.tool.name] = prompter.tool
        self._home = home
        self._kept = home.kept
        self._sent = self.acknowledged if sent_is_delivered else None
        self._clock = clock
        self._session: Session | None = None
        self._draining: str | None = None
        self._changed = Signal()
        self._session_opened = Signal()
        self._runner = AttemptRunner(
            home,
            slots=spec.slots,
            worker_processes=worker_processes,
            fetch=self._fetch,
            reported=self._reported,
            settled=self._settled,
            tools=self._tools,
            prompter=prompter,
        )

    async def __aenter__(self) -> Self:
        await self._runner.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop at once: work that still runs is cancelled and its outcome stays open."""
        await self._runner.__aexit__(kind, error, trace)

    # --- what the device says of itself ---------------------------------------------------------------------------

    @staticmethod
    async def look_around() -> None:
        """Find out what this machine is, off the event loop: asking for GPUs takes a while."""
        await anyio.to_thread.run_sync(detect_machine)

    @property
    def profile(self) -> DeviceProfile:
        """What the device is and offers at this moment."""
        return build_profile(
            detect_machine(),
            tools=self._tools.values(),
            slots=self._spec.slots,
            labels={**self._prompter.labels, **self._spec.labels} if self._prompter else self._spec.labels,
            resources=self._spec.resources,
        )

    def hello(self, token: str | None = None, *, elsewhere: bool = False) -> Hello:
        """Open a session: what the device is, what it runs, which results it owes, and if it can go `elsewhere`."""
        return Hello(
            device=self._spec.name,
            token=token,
            profile=self.profile,
            memory=self._kept.memory,
            running=tuple(self._runner.running),
            finished=tuple(self._kept.waiting()),
            elsewhere=elsewhere,
        )

    def offer(self, tools: Iterable[Tool[..., Any]], *, withdraw: Iterable[str] = ()) -> None:
        """Offer further tools; one of a name that is already offered replaces it.

        Args:
            tools: The tools.
            withdraw: Names of tools that are offered no more, unless they are among the further ones; what runs of
                them goes on.
        """
        for name in withdraw:
            self._tools.pop(name, None)
        self._tools.update({tool.name: tool for tool in tools})
        if self._session is not None:
            self._session.say(ProfileUpdate(profile=self.profile))

    @property
    def connected(self) -> bool:
        """Whether an orchestrator can be reached at this moment."""
        return self._session is not None and self._session.link.connected

    @property
    def drained(self) -> bool:
        """Whether it takes no new work, runs none, and owes no result: there is nothing left to do."""
        return self._draining is not None and not self._runner.running and not self._kept.waiting()

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def serve(self, link: Link) -> str:
        """Serve one session until it has ended; returns the reason that it ended for. What runs goes on running."""
        reason = ""
        async with anyio.create_task_group() as task_group:
            session = Session(link, self._home.store, task_group, sent=self._sent)
            self._session = session
            self._runner.enter_session(session.epoch, link.welcome.limits)
            self._session_opened.notify()
            try:
                if self._draining is not None:
                    session.say(Drain(reason=self._draining))
                if link.hello.profile != self.profile:  # tools were offered while the session was being opened
                    session.say(ProfileUpdate(profile=self.profile))
                session.deliver(*self._kept.unacknowledged(), keep=self._kept.keep)
                for attempt in self._runner.running.values():
                    session.report(attempt)
                while True:
                    self._take(await link.receive())
            except LinkClosed as closed:
                reason = closed.reason
            except RemoteProtocolError as error:
                reason = str(error)
                await link.aclose(reason)
            finally:
                self._session = None
                task_group.cancel_scope.cancel()
        return reason

    def acknowledged(self, messages: Sequence[Message]) -> None:
        """The orchestrator has taken these messages of ours: results among them need not be kept."""
        results = [message.attempt for message in messages if isinstance(message, Result)]
        if results:
            self._kept.acknowledge(results)
            self._changed.notify()

    async def finish(self, reason: str, *, grace_s: float) -> None:
        """Take no new work, finish or after `grace_s` seconds cancel what runs, have it acknowledged, and leave.

        Takes no longer than the grace, the time for stopping and `ACK_WAIT_S` together, and what saying goodbye
        takes; without a session nothing is acknowledged, and results stay kept.
        """
        self.drain(reason)
        with anyio.move_on_after(grace_s):
            await self._until(lambda: not self._runner.running)
        for attempt in list(self._runner.running.values()):
            self._runner.stop(attempt, "cancelled", f"the device stops: {reason}", grace_s=STOP_GRACE_S)
        await self._until(lambda: not self._runner.running)
        with anyio.move_on_after(ACK_WAIT_S):
            await self._until(lambda: not (self._kept.waiting() and self.connected))
        if self._session is not None:
            await self._session.link.aclose(reason)

    def drain(self, reason: str) -> None:
        """Take no new work from now on, and tell the orchestrator so."""
        if self._draining is None:
            self._draining = reason
            if self._session is not None:
                self._session.say(Drain(reason=reason))

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await self._changed.wait()

    async def _leave_when_done(self, link: Link, reason: str) -> None:
        await self._until(lambda: self.drained)
        await link.aclose(reason)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _take(self, messages: Sequence[Message]) -> None:
        session = self._session
        assert session is not None
        admitted: list[Attempt] = []
        for message in messages:
            if isinstance(message, Assign):
                attempt = self._admit(message, session)
                if attempt is not None:
                    admitted.append(attempt)
                continue
            if admitted:  # begun before what comes after them, which may cancel them
                self._begin(admitted, session)
                admitted = []
            if isinstance(message, Cancel):
                self._cancel(message)
            elif isinstance(message, Drain):
                self._draining = self._draining or message.reason or "the orchestrator asked for it"
                session.task_group.start_soon(self._leave_when_done, session.link, self._draining)
            elif isinstance(message, ARTIFACT_MESSAGES):
                session.take_artifact_message(message)
        if admitted:
            self._begin(admitted, session)

    def _admit(self, assign: Assign, session: Session) -> Attempt | None:
        running = self._runner.running
        if assign.attempt in running or self._kept.begun(assign.attempt):
            self._answer_known(assign, session)
            return None
        tool = self._tools.get(assign.work.tool)
        if tool is None or self._draining is not None or len(running) >= self._spec.slots:
            self._reject(assign, session, *self._refusal(assign))
            return None
        attempt = Attempt(assign, tool, session, self._clock(), time.perf_counter())
        running[attempt.id] = attempt
        return attempt

    def _answer_known(self, assign: Assign, session: Session) -> None:
        """Answer for an attempt that was begun here before; it is never begun again."""
        running = self._runner.running.get(assign.attempt)
        if running is not None and running.session is not session:
            # Assigned again by an orchestrator that was restarted: it goes on, now in the new session.
            running.session = session
            session.say(Accept(assign.attempt, session.epoch))
        elif running is not None:
            self._reject(assign, session, "duplicate", "the attempt is running here already")
        elif (kept := self._kept.result_of(assign.attempt)) is not None:
            session.deliver(kept, keep=self._kept.keep)
        else:
            self._reject(assign, session, "duplicate", "the attempt ran here and its result was taken")

    def _refusal(self, assign: Assign) -> tuple[RejectCode, str]:
        """Why it can't be taken."""
        if self._draining is not None:
            return "draining", f"the device takes no new work: {self._draining}"
        if assign.work.tool not in self._tools:
            return (
                "unknown-tool",
                f"no tool {assign.work.tool!r} on this device; it has {', '.join(sorted(self._tools))}",
            )
        return "no-slot", f"all {self._spec.slots} slots are busy"

    def _reject(self, assign: Assign, session: Session, code: RejectCode, message: str) -> None:
        session.say(Reject(attempt=assign.attempt, epoch=session.epoch, code=code, message=message))

    def _begin(self, attempts: Sequence[Attempt], session: Session) -> None:
        self._kept.begin([attempt.id for attempt in attempts])
        session.say(*(Accept(attempt.id, session.epoch) for attempt in attempts if not attempt.instant))
        self._runner.begin(attempts)
        # What is done on the spot needs no Accept, for its result says as much, unless that has to wait for files.
        late = [attempt for attempt in attempts if attempt.instant and (attempt.carries_files or not attempt.settled)]
        session.say(*(Accept(attempt.id, session.epoch) for attempt in late))

    def _cancel(self, cancel: Cancel) -> None:
        attempt = self._runner.running.get(cancel.attempt)
        if attempt is not None:
            message = cancel.reason or "cancelled by the orchestrator"
            self._runner.stop(attempt, "cancelled", message, grace_s=cancel.grace_s)

    def _settled(self, results: Sequence[Result]) -> None:
        self._kept.keep(*results)
        if self._session is not None:
            self._session.deliver(*results, keep=self._kept.keep)
        self._changed.notify()

    def _reported(self, attempt: Attempt) -> None:
        if self._session is not None:
            self._session.report(attempt)

    # --- files --------------------------------------------------------------------------------------------------------

    async def _fetch(self, info: ArtifactInfo) -> None:
        while not self._home.store.has(info.sha256):
            session = self._session
            if session is None or not session.carries_files:
                await self._session_opened.wait()
                continue
            with suppress(LinkClosed):  # the next session's orchestrator has the file too
                await session.fetch(info)
