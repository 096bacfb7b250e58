"""Running attempts, from their beginning to exactly one result each.

The runner knows nothing of links. It is given attempts to begin and told which to stop; every attempt that was begun
comes back once, as a result, whatever its tool does: return, raise, hang, shield itself or leave.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, Self

import anyio

from constellation_protocol.messages import ArtifactInfo, ErrorInfo, Limits, Result
from constellation_protocol.tasks import background
from constellation_tools import Tool

from .alarms import AlarmKind, Alarms
from .attempts import Attempt, StopReason
from .execution import Executor
from .failures import TIMEOUT, describe_failure
from .files import ToolFiles
from .home import DeviceHome
from .outputs import NOTHING, PackedOutput, pack_inline, pack_output
from .prompts.work import Prompter
from .slots import Slots
from .workers import WorkerPool

Status = Literal["succeeded", "failed", "cancelled"]

TIMEOUT_GRACE_S = 2.0
"""How long work that has run out of time may take to stop by itself."""

_UNSETTLED_S = 0.01
"""For how long results of work that is done on the spot are gathered, to be kept and told together."""


class AttemptRunner:
    """Runs attempts until it is left; then what still runs is stopped at once and comes back no more.

    Attributes:
        epoch: The epoch that results are made for.
        running: What runs, by id; to be read only.
    """

    def __init__(
        self,
        home: DeviceHome,
        *,
        slots: int,
        worker_processes: bool,
        fetch: Callable[[ArtifactInfo], Awaitable[None]],
        reported: Callable[[Attempt], None],
        settled: Callable[[Sequence[Result]], None],
        tools: Mapping[str, Tool[..., Any]],
        prompter: Prompter | None,
    ) -> None:
        """Plug in the device.

        Args:
            home: The device's directories.
            slots: How many tasks are kept waiting for work.
            worker_processes: Whether blocking tools run in processes of their own.
            fetch: Brings a file that an attempt's arguments refer to into the store.
            reported: Called when an attempt has something new to report.
            settled: Called with results, once for each attempt.
            tools: What the device offers; may change.
            prompter: Carries out prompts; None where nothing does.
        """
        self.epoch = 0
        self._store = home.store
        self._keep = slots
        self._settled = settled
        self.running: dict[str, Attempt] = {}
        self._max_inline_bytes = 0
        self._alarms = Alarms(self._ring)
        self._workers = WorkerPool(home.store, home.root) if worker_processes else None
        self._executor = Executor(
            workdir=home.root,
            files=ToolFiles(home.store),
            workers=self._workers,
            fetch=fetch,
            reported=reported,
            tools=tools,
            prompter=prompter,
        )
        self._stack = AsyncExitStack()
        self.enter_session(0, Limits())

    async def __aenter__(self) -> Self:
        self._task_group = await self._stack.enter_async_context(background())
        self._slots = Slots(self._task_group, self._run, keep=self._keep)
        self._task_group.start_soon(self._alarms.run, name="device alarms")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task_group.cancel_scope.cancel()
        try:
            await self._stack.__aexit__(kind, error, trace)
        finally:
            if self._workers is not None:
                with anyio.CancelScope(shield=True):
                    await self._workers.aclose()

    def enter_session(self, epoch: int, limits: Limits) -> None:
        """Make results for this session from now on, in this epoch and within its limits."""
        self.epoch = epoch
        # A frame holds more than the output, and what JSON makes of some text is longer than it was.
        self._max_inline_bytes = min(limits.max_inline_output_bytes, limits.max_frame_bytes // 2)

    def begin(self, attempts: Sequence[Attempt]) -> None:
        """Start attempts that have their slots; those that can be done on the spot are done on return."""
        results: list[Result] = []
        try:
            for attempt in attempts:
                if attempt.instant:
                    result = self._run_at_once(attempt)
                    if result is not None:
                        results.append(result)
                        if result.duration_s > _UNSETTLED_S:
                            self._settled(results)
                            results = []
                    continue
                if attempt.limit_s is not None:
                    self._alarms.set(attempt.limit_s, attempt, "timeout")
                self._slots.start(attempt)
        finally:
            if results:
                self._settled(results)

    def stop(self, attempt: Attempt, reason: StopReason, message: str, *, grace_s: float) -> None:
        """Stop an attempt; its result comes within `grace_s` seconds, whatever its tool does."""
        if attempt.begin_stop(reason, grace_s, message):
            self._alarms.set(grace_s, attempt, "give-up")

    def _run_at_once(self, attempt: Attempt) -> Result | None:
        """Run an instant attempt; None when its result has to wait for a file to be written."""
        try:
            output = self._executor.call_at_once(attempt)
            packed = pack_inline(output, max_inline_bytes=self._max_inline_bytes, store=self._store)
        except (Exception, SystemExit) as error:
            return self._end(attempt, "failed", error=describe_failure(error))
        if packed is None:
            self._task_group.start_soon(self._settle_with_file, attempt, output, name="device output")
            return None
        return self._end(attempt, "succeeded", packed)

    async def _settle_with_file(self, attempt: Attempt, output: Any) -> None:
        try:
            packed = await pack_output(output, max_inline_bytes=self._max_inline_bytes, store=self._store)
        except Exception as error:
            self._settle(attempt, "failed", error=describe_failure(error))
        else:
            self._settle(attempt, "succeeded", packed)

    async def _run(self, attempt: Attempt) -> None:
        packed = NOTHING
        error: ErrorInfo | None = None
        try:
            if not attempt.is_stopping():
                output = await self._executor.call(attempt)
                packed = await pack_output(output, max_inline_bytes=self._max_inline_bytes, store=self._store)
        except (Exception, SystemExit) as failure:
            error = describe_failure(failure)
        except BaseException:
            if attempt.stop is not None:
                self._settle_stopped(attempt)
            raise
        if attempt.stop is not None:
            self._settle_stopped(attempt)
        elif error is not None:
            self._settle(attempt, "failed", error=error)
        else:
            self._settle(attempt, "succeeded", packed)

    def _ring(self, attempt: Attempt, kind: AlarmKind) -> None:
        if kind == "give-up":
            # It shields itself from cancellation. Its slot's task is lost until it ends, its slot is not.
            self._settle_stopped(attempt)
        else:
            message = f"the tool {attempt.tool.name!r} did not finish within {attempt.limit_s:g} s"
            self.stop(attempt, "timeout", message, grace_s=TIMEOUT_GRACE_S)

    def _settle_stopped(self, attempt: Attempt) -> None:
        if attempt.stop == "timeout":
            error = ErrorInfo(type=TIMEOUT, message=attempt.stop_message, details={"timeout_s": attempt.limit_s})
            self._settle(attempt, "failed", error=error)
        else:
            self._settle(attempt, "cancelled", error=ErrorInfo(type="Cancelled", message=attempt.stop_message))

    def _settle(
        self, attempt: Attempt, status: Status, packed: PackedOutput = NOTHING, *, error: ErrorInfo | None = None
    ) -> None:
        if not attempt.settled:
            self._settled([self._end(attempt, status, packed, error=error)])

    def _end(
        self, attempt: Attempt, status: Status, packed: PackedOutput = NOTHING, *, error: ErrorInfo | None = None
    ) -> Result:
        """Give an attempt's slot back, and make its result, which is yet to be told."""
        attempt.settled = True
        if packed.artifacts:
            attempt.carries_files = True
        del self.running[attempt.id]
        duration_s = time.perf_counter() - attempt.started
        started_at, artifacts = attempt.started_at, packed.artifacts
        return Result(attempt.id, self.epoch, status, packed.output, error, started_at, duration_s, artifacts)
