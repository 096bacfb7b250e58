"""The worker process: runs one blocking tool call after another for its device, until the device is gone.

It is started by `workers.py` as the leader of its own process group. Whatever a tool prints goes to the device
as progress. An interrupt (SIGINT) asks the running tool to stop: it sees a KeyboardInterrupt, as from a terminal.
When standard input ends, the device is gone, and the whole group is killed from a thread of its own, so that not
even a tool in the middle of its work, or a program that it has started, is left behind.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from constellation_protocol.artifacts import ArtifactStore

from constellation_tools import Tool, ToolContext
from constellation_tools.loading import load_tool

from .failures import describe_failure
from .files import ToolFiles
from .framing import Frame, Mark, encode_frame, encode_mark, read_frame
from .outputs import pack_output


class _Worker:
    """Standard input and output as channels to the device, and the call that is running."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO, marks: int, opening: Frame) -> None:
        self._requests = requests
        self._replies = replies
        self._replying = threading.Lock()
        self._marks = marks
        self._token = str(opening["token"])
        self._workdir = Path(opening["workdir"])
        self._files = ToolFiles(ArtifactStore(Path(opening["store"]), max_bytes=opening["max_artifact_bytes"]))
        self._incoming: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._running: ToolContext | None = None

    def run(self) -> None:
        signal.signal(signal.SIGINT, self._interrupt)
        threading.Thread(target=self._listen, name="requests", daemon=True).start()
        while True:
            request = self._incoming.get()
            number = int(request["call"])
            self._reply({"call": number, "began": True})
            self._mark(Mark("begin", number))
            reply = self._call(number, request)
            sys.stdout.flush()
            sys.stderr.flush()
            self._mark(Mark("end", number))
            self._reply({"call": number, **reply})

    def _call(self, number: int, request: Frame) -> Frame:
        def progress(text: str | None, fraction: float | None, data: Any) -> None:
            self._reply({"call": number, "progress": [text, fraction, data]})

        context = ToolContext(
            workdir=self._workdir, progress=progress, store=self._files.keep, resolve=self._files.find
        )
        self._running = context
        try:
            output = _load(request["reference"]).call_sync(request["arguments"], context)
            packed = pack_output(output, store=self._files.store, max_inline_bytes=request["max_inline_bytes"])
            artifacts = [info.model_dump(mode="json") for info in packed.artifacts]
            return {"output": packed.output, "artifacts": artifacts}
        except KeyboardInterrupt:
            return {"interrupted": True}
        except BaseException as error:
            return {"error": describe_failure(error).model_dump(mode="json")}
        finally:
            self._running = None

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._running is not None:
            self._running.cancel()
        raise KeyboardInterrupt

    def _listen(self) -> None:
        while (frame := read_frame(self._requests)) is not None:
            self._incoming.put(frame)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _mark(self, mark: Mark) -> None:
        os.write(self._marks, encode_mark(self._token, mark))

    def _reply(self, frame: Frame) -> None:
        with self._replying:
            self._replies.write(encode_frame(frame))
            self._replies.flush()


@lru_cache(maxsize=256)
def _load(reference: str) -> Tool[..., Any]:
    return load_tool(reference)


def main() -> None:
    """Serve the device at the other end of standard input and output."""
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    marks = os.dup(2)
    # From here on the tool's own input is empty, and all that is printed goes the way of its errors.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    opening = read_frame(requests)
    if opening is None:
        return
    sys.path[:] = opening["path"]
    _Worker(requests, replies, marks, opening).run()


if __name__ == "__main__":
    main()
