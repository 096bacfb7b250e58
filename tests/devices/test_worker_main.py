"""The inside of a worker process, with a device that is played by the test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constellation_devices import framing, worker_main
from constellation_devices.framing import Frame, Mark
from constellation_protocol.artifacts import ArtifactStore


class PlayedDevice:
    """Hands out calls, then ends the worker; keeps files in a store of its own."""

    def __init__(self, calls: list[Frame], store: ArtifactStore) -> None:
        self.calls = calls
        self.said: list[Frame] = []
        self.marks: list[Mark] = []
        self.store = store
        self.failure: str | None = None

    def next_call(self) -> Frame:
        if not self.calls:
            raise EOFError
        return self.calls.pop(0)

    def say(self, frame: Frame) -> None:
        framing.encode_frame(frame)
        self.said.append(frame)

    def mark(self, mark: Mark) -> None:
        self.marks.append(mark)

    def keep(self, call: int, source: Path, name: str, media_type: str, *, ours: bool) -> Frame:
        if self.failure is not None:
            return {"kept": 1, "error": self.failure}
        info = self.store.put_file(source, name=name, media_type=media_type)
        if ours:
            source.unlink()
        return {"kept": 1, "artifact": info.model_dump(mode="json"), "path": str(self.store.path(info.sha256))}


@pytest.fixture(autouse=True)
def interrupt_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def played(tmp_path: Path) -> PlayedDevice:
    return PlayedDevice([], ArtifactStore(tmp_path / "store"))


def run(played: PlayedDevice, workdir: Path, *calls: Frame) -> list[Frame]:
    blank = {"attempt": "a", "files": {}, "arguments": {}}
    played.calls = [{"call": number, **blank, **call} for number, call in enumerate(calls, 1)]
    with pytest.raises(EOFError):
        worker_main._Worker(played, workdir).run()  # type: ignore[arg-type]
    return [frame for frame in played.said if "output" in frame or "error" in frame]


def test_calls_are_answered_in_order_between_their_marks(
    played: PlayedDevice, tmp_path: Path, sample_tools_file: Path
) -> None:
    reference = f"{sample_tools_file}:add"
    answers = run(
        played,
        tmp_path,
        {"reference": reference, "arguments": {"a": 1, "b": 2}},
        {"reference": reference, "arguments": {"a": "x", "b": 2}},
        {"reference": f"{sample_tools_file}:no_such_tool"},
        {"reference": f"{sample_tools_file}:leave"},
        {"reference": f"{sample_tools_file}:report"},
    )
    assert answers[0] == {"call": 1, "output": 3}
    assert [answer["error"]["type"] for answer in answers[1:4]] == ["InvalidArguments", "ToolLoadError", "SystemExit"]
    assert answers[4]["output"] == "reported"
    assert [(mark.what, mark.call) for mark in played.marks[:4]] == [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]
    assert {"call": 5, "progress": ["started", 0.25, None]} in played.said


def test_files_are_kept_by_the_device_and_found_again(
    played: PlayedDevice, tmp_path: Path, sample_tools_file: Path
) -> None:
    (made,) = run(played, tmp_path, {"reference": f"{sample_tools_file}:write_file", "arguments": {"text": "kept"}})
    form = made["output"]["files"][0]
    digest = form["$artifact"]
    files = {digest: str(played.store.path(digest))}
    found, lost = run(
        played,
        tmp_path,
        {"reference": f"{sample_tools_file}:read_file", "arguments": {"file": form}, "files": files},
        {"reference": f"{sample_tools_file}:read_file", "arguments": {"file": form}},
    )[1:]
    assert found["output"] == "kept"
    assert lost["error"]["type"] == "ArtifactUnavailable"


def test_a_file_that_cannot_be_kept_is_the_tools_failure(
    played: PlayedDevice, tmp_path: Path, sample_tools_file: Path
) -> None:
    played.failure = "the disk is full"
    (answer,) = run(played, tmp_path, {"reference": f"{sample_tools_file}:write_file", "arguments": {"text": "x"}})
    assert answer["error"]["type"] == "ToolFailed"
    assert "the disk is full" in answer["error"]["message"]


def test_an_output_that_is_too_long_for_the_pipe_fails(
    played: PlayedDevice, tmp_path: Path, sample_tools_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "MAX_FRAME_BYTES", 10_000)
    (answer,) = run(played, tmp_path, {"reference": f"{sample_tools_file}:big", "arguments": {"size": 20_000}})
    assert answer["error"]["type"] == "ValueError"
    assert "over the limit" in answer["error"]["message"]


def test_an_interrupt_tells_the_tool_and_ends_its_call(
    played: PlayedDevice, tmp_path: Path, sample_tools_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker: Any = worker_main._Worker(played, tmp_path)  # type: ignore[arg-type]
    contexts = []

    def interrupted(reference: str) -> Any:
        contexts.append(worker._running.context)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(worker_main, "_load", interrupted)
    played.calls = [{"call": 1, "attempt": "a", "files": {}, "arguments": {}, "reference": "x"}]
    with pytest.raises(EOFError):
        worker.run()
    assert contexts[0].cancelled
    assert played.said[-1]["error"]["type"] == "KeyboardInterrupt"
