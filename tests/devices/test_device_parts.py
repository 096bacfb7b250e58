"""The device's parts without I/O: progress buffers, worker output, files in outputs, the profile, failures."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation_devices import profile as profile_module
from constellation_devices.failures import describe_failure
from constellation_devices.framing import Mark, OutputSplitter, decode_body, encode_frame, encode_mark
from constellation_devices.outputs import find_artifacts
from constellation_devices.profile import Machine, build_profile, detect_machine, parse_nvidia_smi
from constellation_devices.progress import MAX_DATA_BYTES, MAX_LINE_CHARS, MAX_WAITING_CHARS, ProgressBuffer

TOKEN = "0123456789abcdef"


# --- progress ---------------------------------------------------------------------------------------------------


def test_reports_that_wait_are_merged_into_one_message() -> None:
    buffer = ProgressBuffer()
    for number in range(3):
        buffer.add(f"line {number}", number / 10, None)
    (message,) = buffer.take("a", 7)
    assert (message.text, message.fraction, message.epoch) == ("line 0\nline 1\nline 2", 0.2, 7)
    assert not buffer
    assert buffer.take("a", 7) == []


def test_partial_outputs_stay_apart_and_in_order() -> None:
    buffer = ProgressBuffer()
    buffer.add("before", None, None)
    buffer.add(None, None, 1)
    buffer.add("after", None, 2)
    assert [(message.text, message.data) for message in buffer.take("a", 1)] == [("before", 1), ("after", 2)]


def test_a_flood_keeps_the_newest_lines_and_says_how_many_are_missing() -> None:
    buffer = ProgressBuffer()
    for number in range(100_000):
        buffer.add(f"line {number}", None, None)
    (message,) = buffer.take("a", 1)
    assert message.text is not None
    lines = message.text.split("\n")
    assert lines[-1] == "line 99999"
    assert lines[0] == f"[{100_000 - (len(lines) - 1)} earlier reports left out]"
    assert len(message.text) < MAX_WAITING_CHARS + 100


def test_long_lines_and_long_data_are_cut_and_say_so() -> None:
    buffer = ProgressBuffer()
    buffer.add("x" * (MAX_LINE_CHARS + 5), None, None)
    buffer.add(None, None, "y" * MAX_DATA_BYTES)
    (message,) = buffer.take("a", 1)
    assert message.text is not None
    assert "(5 more characters)" in message.text
    assert "partial output" in message.text


@pytest.mark.parametrize("data", [10**5000, json.loads("[" * 101 + "]" * 101)], ids=["digits", "deep"])
def test_partial_output_that_not_everybody_could_read_is_left_out_and_the_text_is_not(data: Any) -> None:
    buffer = ProgressBuffer()
    buffer.add("line", None, data)
    (message,) = buffer.take("a", 1)
    assert message.data is None
    assert message.text is not None
    assert message.text.startswith("line[partial output left out")


def test_data_that_is_not_json_is_refused_where_it_is_reported() -> None:
    with pytest.raises(ValueError, match="serialize"):
        ProgressBuffer().add(None, None, object())


# --- worker output ------------------------------------------------------------------------------------------------

_pieces = st.lists(st.one_of(st.text(alphabet="ab \n\r\0", max_size=8), st.integers(1, 9)), max_size=12)


@given(_pieces, st.data())
def test_output_is_split_the_same_however_it_is_cut_into_pieces(pieces: list[str | int], data: st.DataObject) -> None:
    stream = b"".join(
        encode_mark(TOKEN, Mark("end", piece)) if isinstance(piece, int) else piece.encode() for piece in pieces
    ) + encode_mark(TOKEN, Mark("end", 0))
    whole = list(OutputSplitter(TOKEN).feed(stream))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter, found = OutputSplitter(TOKEN), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found.extend(splitter.feed(stream[start:end]))
    assert found == whole
    assert [item.call for item in found if isinstance(item, Mark)] == [
        *(piece for piece in pieces if isinstance(piece, int)),
        0,
    ]


def test_a_line_without_end_comes_in_parts() -> None:
    splitter = OutputSplitter(TOKEN)
    parts = [item for _ in range(100) for item in splitter.feed(b"x" * 1000)]
    assert sum(len(part) for part in parts if isinstance(part, str)) > 80_000


def test_a_frame_survives_the_pipe() -> None:
    frame = {"call": 1, "arguments": {"text": "ä\n", "none": None}}
    assert decode_body(encode_frame(frame)[4:]) == frame


# --- outputs --------------------------------------------------------------------------------------------------------


def test_artifacts_are_found_wherever_they_are_nested() -> None:
    form = {"$artifact": "a" * 64, "size": 1, "name": "n", "media_type": ""}
    inner = {"$artifact": "b" * 64}
    output: Any = {"x": [form, {"$artifact": "no digest", "inner": inner}], "y": {"$artifact": 3}, "z": "text"}
    found = {info.sha256: info for info in find_artifacts(output)}
    assert found.keys() == {"a" * 64, "b" * 64}
    assert found["a" * 64].media_type == "application/octet-stream"


# --- profile --------------------------------------------------------------------------------------------------------


def test_the_machine_is_described() -> None:
    machine = detect_machine()
    assert machine.os in ("linux", "darwin", "windows")
    assert machine.cpus >= 1
    assert machine.memory_bytes > 2**20
    assert detect_machine() is machine


def test_what_a_device_is_told_wins_over_what_it_finds_out() -> None:
    machine = Machine("linux", "x86_64", "", "3.11", 4, 8 * 2**30, ())
    profile = build_profile(
        machine, tools=[], slots=2, labels={"os": "custom", "zone": "a"}, resources={"cpu": 2, "licences": 1}
    )
    assert profile.labels == {"os": "custom", "arch": "x86_64", "zone": "a"}
    assert profile.resources == {"cpu": 2.0, "memory_gb": 8.0, "gpu": 0.0, "licences": 1.0}


def test_gpus_are_read_from_nvidia_smi() -> None:
    gpus = parse_nvidia_smi("NVIDIA H100 80GB HBM3, 81559\nName, with comma, 1024\n[N/A], [N/A]\nno comma\n")
    assert [(gpu.name, gpu.memory_bytes // 2**20) for gpu in gpus] == [
        ("NVIDIA H100 80GB HBM3", 81559),
        ("Name, with comma", 1024),
    ]


@pytest.mark.parametrize(
    ("script", "count"), [("echo 'Tesla T4, 15360'", 1), ("echo no devices; exit 9", 0), ("kill -9 $$", 0)]
)
def test_nvidia_smi_is_asked_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, count: int
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    detect_machine.cache_clear()
    assert len(profile_module.detect_machine().gpus) == count
    detect_machine.cache_clear()


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_lone_error_of_a_group_speaks_for_itself() -> None:
    group = ExceptionGroup("several", [ExceptionGroup("nested", [KeyError("k")])])
    assert describe_failure(group).type == "KeyError"


def test_messages_and_tracebacks_are_bounded_and_never_empty() -> None:
    assert describe_failure(ValueError()).message == "ValueError without a message"
    info = describe_failure(ValueError("x" * 100_000))
    assert len(info.message) < 5_000
    assert len(info.details["traceback"]) < 7_000


# --- imports --------------------------------------------------------------------------------------------------------


def test_importing_the_package_is_cheap_and_offers_what_it_says() -> None:
    program = (
        "import sys, constellation_devices as d\n"
        "heavy = {'pydantic', 'psutil', 'typer', 'anyio', 'websockets'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert all(getattr(d, name) for name in d.__all__)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    import constellation_devices

    with pytest.raises(AttributeError, match="nothing"):
        _ = constellation_devices.nothing
