"""The worker process: runs one blocking tool call after another for its device, until the device is gone.

It is started by `workers.py` as the leader of its own process group. Whatever a tool prints goes to the device
as progress. An interrupt (SIGINT) asks the running tool to stop: it sees a KeyboardInterrupt, as from a terminal.
When standard input ends, the device is gone, and the whole group is killed from a thread of its own, so that not
even a tool in the middle of its work, or a program that it has started, is left behind.
"""

from __future__ import annotations

import itertools
import os
import queue
import signal
import sys
import tempfile
import threading
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO

from constellation_protocol.messages import ArtifactInfo
from constellation_tools import Artifact, ArtifactUnavailable, Tool, ToolContext, ToolFailed, load_tool

from .failures import describe_failure
from .framing import Frame, Mark, encode_frame, encode_mark, read_frame
from .outputs import DEFAULT_MEDIA_TYPE, artifact_of


class _Device:
    """The device at the other end of standard input and output."""

    def __init__(self, requests: BinaryIO, replies: BinaryIO, marks: int) -> None:
        self._requests = requests
        self._replies = replies
        self._replying = threading.Lock()
        self._marks = marks
        self._calls: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._kept: dict[int, queue.SimpleQueue[Frame]] = {}
        self._numbers = itertools.count(1)
        self.token = ""

    def listen(self) -> None:
        """Take in requests and answers until the device is gone; runs in a thread of its own."""
        while (frame := read_frame(self._requests)) is not None:
            if "kept" in frame:
                self._kept.pop(frame["kept"]).put(frame)
            else:
                self._calls.put(frame)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def next_call(self) -> Frame:
        return self._calls.get()

    def say(self, frame: Frame) -> None:
        encoded = encode_frame(frame)
        with self._replying:
            self._replies.write(encoded)
            self._replies.flush()

    def mark(self, mark: Mark) -> None:
        os.write(self._marks, encode_mark(self.token, mark))

    def keep(self, call: int, source: Path, name: str, media_type: str, *, ours: bool) -> Frame:
        """Have the device keep a file, and wait until it has; `ours` files are removed afterwards."""
        number = next(self._numbers)
        answer: queue.SimpleQueue[Frame] = queue.SimpleQueue()
        self._kept[number] = answer
        keep = {"number": number, "source": str(source), "name": name, "media_type": media_type, "ours": ours}
        self.say({"call": call, "keep": keep})
        return answer.get()


class _Call:
    """One call and the surroundings of its tool."""

    def __init__(self, device: _Device, request: Frame, workdir: Path) -> None:
        self._device = device
        self._number = int(request["call"])
        self._request = request
        self._files: dict[str, str] = request["files"]
        self.context = ToolContext(
            attempt=request["attempt"],
            workdir=workdir,
            progress=self._progress,
            store=self._keep,
            resolve=self._find,
        )

    def run(self) -> Frame:
        """Call the tool and say how it went."""
        try:
            output = _load(self._request["reference"]).call_sync(self._request["arguments"], self.context)
            return {"call": self._number, "output": output}
        except BaseException as error:  # a tool's SystemExit is its failure, not this process's end
            return {"call": self._number, "error": describe_failure(error).model_dump(mode="json")}

    def _progress(self, text: str | None, fraction: float | None, data: Any) -> None:
        self._device.say({"call": self._number, "progress": [text, fraction, data]})

    def _keep(self, source: Path | bytes, name: str, media_type: str) -> Artifact:
        media_type = media_type or DEFAULT_MEDIA_TYPE
        if isinstance(source, bytes):
            descriptor, path = tempfile.mkstemp(prefix="constellation-")
            with open(descriptor, "wb") as file:
                file.write(source)
            answer = self._device.keep(self._number, Path(path), name, media_type, ours=True)
        else:
            answer = self._device.keep(self._number, source.resolve(), name, media_type, ours=False)
        if "error" in answer:
            raise ToolFailed(f"the device could not keep {name or 'the file'}: {answer['error']}")
        artifact = artifact_of(ArtifactInfo.model_validate(answer["artifact"]))
        self._files[artifact.sha256] = answer["path"]
        return artifact.at(Path(answer["path"]))

    def _find(self, artifact: Artifact) -> Path:
        try:
            return Path(self._files[artifact.sha256])
        except KeyError:
            raise ArtifactUnavailable(
                f"artifact {artifact.name or artifact.sha256[:12]!r} is not at hand: "
                "only files that the call's arguments refer to are"
            ) from None


class _Worker:
    """The loop over calls."""

    def __init__(self, device: _Device, workdir: Path) -> None:
        self._device = device
        self._workdir = workdir
        self._running: _Call | None = None

    def run(self) -> None:
        signal.signal(signal.SIGINT, self._interrupt)
        while True:
            request = self._device.next_call()
            number = int(request["call"])
            self._device.say({"call": number, "began": True})
            self._device.mark(Mark("begin", number))
            self._running = _Call(self._device, request, self._workdir)
            reply = self._running.run()
            self._running = None
            sys.stdout.flush()
            sys.stderr.flush()
            self._device.mark(Mark("end", number))
            try:
                self._device.say(reply)
            except ValueError as error:
                self._device.say({"call": number, "error": describe_failure(error).model_dump(mode="json")})

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._running is not None:
            self._running.context.cancel()
        raise KeyboardInterrupt


@lru_cache(maxsize=256)
def _load(reference: str) -> Tool[..., Any]:
    return load_tool(reference)


def main() -> None:
    """Serve the device at the other end of standard input and output."""
    requests = os.fdopen(os.dup(0), "rb")
    device = _Device(requests, os.fdopen(os.dup(1), "wb"), os.dup(2))
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
    device.token = str(opening["token"])
    sys.path[:] = opening["path"]
    threading.Thread(target=device.listen, name="requests", daemon=True).start()
    _Worker(device, Path(opening["workdir"])).run()


if __name__ == "__main__":
    main()
