"""Worker processes for blocking tools: one per call that runs at the same time, reused, killed when they must stop.

A thread can't be stopped, a process can. Each worker leads its own process group, so that killing it takes with it
the programs that the tool has started. After a cancellation or a timeout the worker is asked to stop, then its
group is killed, and the next call gets a new one.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from constellation_protocol.artifacts import ArtifactStore
from constellation_protocol.errors import ArtifactError
from constellation_protocol.messages import ArtifactInfo, ErrorInfo

from .errors import WorkFailed
from .failures import WORKER_DIED, describe_failure
from .framing import HEADER, Frame, OutputSplitter, decode_body, encode_frame
from .outputs import INVALID_OUTPUT
from .secret_environment import environment_for_tools

_LAST_WORDS_S = 0.5

ProgressSink = Callable[[str | None, float | None, Any], None]


class WorkerPool:
    """Gives each call a worker process of its own while it runs."""

    def __init__(self, store: ArtifactStore, workdir: Path) -> None:
        """Start no process yet.

        Args:
            store: The device's files.
            workdir: The directory that tools work in.
        """
        self._store = store
        self._workdir = workdir
        self._idle: list[_WorkerProcess] = []

    async def call(
        self,
        reference: str,
        arguments: dict[str, Any],
        *,
        attempt: str,
        files: Sequence[ArtifactInfo],
        progress: ProgressSink,
        grace_s: Callable[[], float],
    ) -> Any:
        """Call a tool in a worker process and return its output.

        Being cancelled stops the work: the tool is interrupted, and after what `grace_s` then says, in seconds,
        the worker and everything in its process group is killed.

        Args:
            reference: Where the worker finds the tool.
            arguments: As they came; the worker validates them.
            attempt: The id of the try that this is.
            files: The files that the arguments refer to; they are in the store.
            progress: Takes what the tool reports and prints.
            grace_s: Asked when the call is cancelled.

        Raises:
            WorkFailed: the tool raised, or its worker died.
        """
        request = {
            "reference": reference,
            "arguments": arguments,
            "attempt": attempt,
            "files": {info.sha256: str(self._store.path(info.sha256)) for info in files},
        }
        while True:
            reused = bool(self._idle)
            worker = self._idle.pop() if reused else await _WorkerProcess.start(self._store, self._workdir)
            healthy = False
            try:
                reply = await worker.call(request, progress)
                healthy = reply is not None
            except anyio.get_cancelled_exc_class():
                await worker.stop(grace_s())
                raise
            finally:
                if healthy:
                    self._idle.append(worker)
                else:
                    await worker.stop(0)
            if reply is not None:
                return _unpack(reply)
            if worker.began or not reused:
                raise WorkFailed(worker.death())
            # An idle worker that was found dead had not begun this call: another one may.

    async def aclose(self) -> None:
        """Kill the idle workers; calls that still run are stopped by cancelling them."""
        while self._idle:
            await self._idle.pop().stop(0)


class _WorkerProcess:
    """One worker process and the two streams that come from it."""

    def __init__(self, process: Process, token: str, store: ArtifactStore) -> None:
        assert process.stdout is not None
        self._store = store
        self._process = process
        self._replies = BufferedByteReceiveStream(process.stdout)
        self._output = OutputSplitter(token)
        self._body_length: int | None = None
        self._calls = 0
        self._heard = False
        self._stopped = False
        self.began = False

    @classmethod
    async def start(cls, store: ArtifactStore, workdir: Path) -> _WorkerProcess:
        token = secrets.token_hex(8)
        with anyio.CancelScope(shield=True):  # cancelled half way, it would leave a process that nobody waits for
            process = await anyio.open_process(
                [sys.executable, "-m", "constellation_devices.worker_main"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment_for_tools(),
                start_new_session=True,
            )
        worker = cls(process, token, store)
        opening = {"token": token, "path": sys.path, "workdir": str(workdir)}
        try:
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # the first call finds it dead
                await worker._send(opening)
        except BaseException:
            await worker.stop(0)
            raise
        return worker

    async def call(self, request: Frame, progress: ProgressSink) -> Frame | None:
        """Run one call to its end; None when the worker died under it, or was found dead."""
        self._calls += 1
        self.began = self._heard = False
        try:
            await self._send({"call": self._calls, **request})
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None
        except ValueError as error:
            raise WorkFailed(
                ErrorInfo(type="InvalidArguments", message=f"the arguments are too long: {error}")
            ) from error
        reply: Frame | None = None
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._read_output, progress)
            reply = await self._read_reply(progress)
            if reply is None:  # what it printed last is worth a moment; a program it started may keep the pipe open
                readers.cancel_scope.deadline = anyio.current_time() + _LAST_WORDS_S
        return reply

    async def stop(self, grace_s: float) -> None:
        """Interrupt the tool, wait up to `grace_s` seconds for it, then kill the group; returns when it is dead."""
        if self._stopped:
            return
        self._stopped = True
        with anyio.CancelScope(shield=True):
            if grace_s > 0 and self._process.returncode is None:
                with suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGINT)
                with anyio.move_on_after(grace_s):
                    await self._await_end_of_call()
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            await self._process.wait()
            await self._process.aclose()

    def death(self) -> ErrorInfo:
        """Say how the worker died; asked after `stop`."""
        code = self._process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code is not None and code < 0 else f"exited ({code})"
        return ErrorInfo(type=WORKER_DIED, message=f"the worker process {how} while the tool ran")

    async def _await_end_of_call(self) -> None:
        # What still comes is read, or a talkative tool would block on a full pipe and never see its end.
        def unheard(text: str | None, fraction: float | None, data: Any) -> None:
            return None

        async with anyio.create_task_group() as readers:
            readers.start_soon(self._read_output, unheard)
            await self._read_reply(unheard)

    async def _send(self, frame: Frame) -> None:
        assert self._process.stdin is not None
        await self._process.stdin.send(encode_frame(frame))

    async def _read_reply(self, progress: ProgressSink) -> Frame | None:
        while True:
            try:
                if self._body_length is None:  # kept apart, so that a cancelled read can be taken up again
                    header = await self._replies.receive_exactly(HEADER.size)
                    self._body_length = int(HEADER.unpack(header)[0])
                frame = decode_body(await self._replies.receive_exactly(self._body_length))
                self._body_length = None
            except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return None
            except ValueError as error:
                raise WorkFailed(
                    ErrorInfo(type=INVALID_OUTPUT, message=f"what the tool has told can't be read again: {error}")
                ) from error
            if frame.get("call") != self._calls:
                continue  # reported by a thread that an earlier call has left running
            if (report := frame.get("progress")) is not None:
                progress(*report)
            elif frame.get("began"):
                self.began = True
            elif (keep := frame.get("keep")) is not None:
                await self._keep(keep)
            else:
                return frame

    async def _keep(self, keep: Frame) -> None:
        """Put a file into the store that the tool wants kept, and tell the worker what it is called from now on."""
        source = Path(keep["source"])

        def put() -> Frame:
            try:
                info = self._store.put_file(source, name=keep["name"], media_type=keep["media_type"])
            except (OSError, ArtifactError) as error:
                return {"kept": keep["number"], "error": describe_failure(error).message}
            finally:
                if keep["ours"]:
                    source.unlink(missing_ok=True)
            path = str(self._store.path(info.sha256))
            return {"kept": keep["number"], "artifact": info.model_dump(mode="json"), "path": path}

        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):  # reading its replies tells of its end
            await self._send(await anyio.to_thread.run_sync(put))

    async def _read_output(self, progress: ProgressSink) -> None:
        assert self._process.stderr is not None
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
            while True:
                for item in self._output.feed(await self._process.stderr.receive()):
                    if isinstance(item, str):
                        if self._heard:  # before the mark: printed by what an earlier call has left running
                            progress(item, None, None)
                    elif item.call == self._calls:
                        self._heard = True
                        if item.what == "end":
                            return


def _unpack(reply: Frame) -> Any:
    if (error := reply.get("error")) is not None:
        raise WorkFailed(ErrorInfo.model_validate(error))
    return reply["output"]
