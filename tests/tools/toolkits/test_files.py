"""The files toolkit: what it does, and that nothing leads out of its root."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from constellation_tools import Confined, InvalidArguments, ToolCancelled, ToolContext, ToolFailed
from constellation_tools.toolkits import builtin_tools, files_tools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "data").mkdir(parents=True)
    (inside / "data" / "a.txt").write_text("one\nTwo\nthree\n")
    (inside / "data" / "b.csv").write_text("two,2\n")
    (inside / "top.txt").write_text("top")
    (tmp_path / "secret.txt").write_text("secret")
    return inside


def call(root: Path, name: str, **arguments: Any) -> Any:
    return files_tools(root).get(name).call_sync(arguments)


def test_a_file_is_read_whole_or_in_pieces_that_never_cut_a_character(root: Path) -> None:
    text = "aé€😀" * 5
    (root / "u.txt").write_text(text, encoding="utf-8")
    whole = call(root, "files_read", path="u.txt")
    assert whole == {"text": text, "size": 50, "next_offset": None}
    pieces, offset = [], 0
    while offset is not None:
        piece = call(root, "files_read", path="u.txt", offset=offset, max_bytes=4)
        pieces.append(piece["text"])
        offset = piece["next_offset"]
    assert "".join(pieces) == text


def test_writing_replaces_the_whole_file_and_keeps_its_mode(root: Path) -> None:
    (root / "run.sh").write_text("old")
    (root / "run.sh").chmod(0o755)
    written = call(root, "files_write", path="run.sh", text="né")
    assert written == {"path": "run.sh", "size": 3, "sha256": hashlib.sha256("né".encode()).hexdigest()}
    assert (root / "run.sh").read_text() == "né"
    assert (root / "run.sh").stat().st_mode & 0o777 == 0o755
    call(root, "files_write", path="new/deep/x.txt", text="x")
    assert (root / "new/deep/x.txt").read_text() == "x"
    assert not list(root.rglob("*.tmp"))


def test_writing_does_not_change_other_names_of_the_file(root: Path, tmp_path: Path) -> None:
    os.link(tmp_path / "secret.txt", root / "hard")
    call(root, "files_write", path="hard", text="new")
    assert (tmp_path / "secret.txt").read_text() == "secret"


def test_a_write_that_fails_leaves_nothing_behind(root: Path) -> None:
    with pytest.raises(ToolFailed, match="'data' can't be written"):
        call(root, "files_write", path="data", text="x")
    assert not list(root.rglob("*.tmp"))


def test_listing_names_kinds_and_stops_at_its_limit(root: Path) -> None:
    (root / "link").symlink_to("top.txt")
    os.mkfifo(root / "pipe")
    listing = call(root, "files_list")
    assert [(entry["path"], entry["kind"]) for entry in listing["entries"]] == [
        ("data", "directory"),
        ("link", "link"),
        ("pipe", "other"),
        ("top.txt", "file"),
    ]
    deep = call(root, "files_list", recursive=True, pattern="*.txt")
    assert [entry["path"] for entry in deep["entries"]] == ["top.txt", "data/a.txt"]
    assert [entry["path"] for entry in call(root, "files_list", path="data")["entries"]] == ["data/a.txt", "data/b.csv"]
    assert call(root, "files_list", limit=1) == {"entries": listing["entries"][:1], "truncated": True}


def test_searching_finds_lines_in_readable_text_files_only(root: Path, tmp_path: Path) -> None:
    (root / "binary").write_bytes(b"two\xff\n")
    (root / "pipe").unlink(missing_ok=True)
    os.mkfifo(root / "pipe")
    (root / "out").symlink_to(tmp_path / "secret.txt")
    found = call(root, "files_search", text="two", ignore_case=True, path="data")
    assert found["matches"] == [
        {"path": "data/a.txt", "line": 2, "text": "Two"},
        {"path": "data/b.csv", "line": 1, "text": "two,2"},
    ]
    assert call(root, "files_search", text="secret")["matches"] == []
    assert len(call(root, "files_search", text="t", pattern="*.txt")["matches"]) == 2
    assert call(root, "files_search", text="t", limit=1)["truncated"]


def test_searching_passes_over_huge_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation_tools.toolkits.files.MAX_SEARCHED_BYTES", 10)
    assert call(root, "files_search", text="t")["files_searched"] == 2


def test_hashing_reads_the_whole_file(root: Path) -> None:
    assert call(root, "files_hash", path="top.txt") == {
        "path": "top.txt",
        "size": 3,
        "sha256": hashlib.sha256(b"top").hexdigest(),
    }


@pytest.mark.parametrize("name", ["files_list", "files_search", "files_hash"])
def test_long_work_stops_when_its_call_is_cancelled(root: Path, name: str) -> None:
    stop = threading.Event()
    stop.set()
    arguments = {"files_search": {"text": "t"}, "files_hash": {"path": "top.txt"}}.get(name, {})
    with pytest.raises(ToolCancelled):
        files_tools(root).get(name).call_sync(arguments, ToolContext(cancelled=stop.is_set))


READERS = [("files_read", "path"), ("files_hash", "path"), ("files_list", "path"), ("files_write", "path")]
ESCAPES = ["../secret.txt", "data/../../secret.txt", "/etc/passwd", "data/../..", "..", "out", "out/x", "up/secret.txt"]


@pytest.mark.parametrize("path", [*ESCAPES, "a\0b", "chain"])
@pytest.mark.parametrize(("name", "parameter"), READERS)
def test_no_path_leads_out(root: Path, tmp_path: Path, name: str, parameter: str, path: str) -> None:
    (root / "out").symlink_to(tmp_path / "secret.txt")
    (root / "up").symlink_to("data/../..")
    (root / "chain").symlink_to("data/next")
    (root / "data" / "next").symlink_to("../up/secret.txt")
    arguments = {parameter: path, **({"text": "x"} if name == "files_write" else {})}
    with pytest.raises(Confined):
        call(root, name, **arguments)
    assert (tmp_path / "secret.txt").read_text() == "secret"
    assert not (tmp_path / "x").exists()


def test_links_that_stay_inside_are_followed(root: Path) -> None:
    (root / "latest").symlink_to("data/../data")
    (root / "data" / "above").symlink_to("../top.txt")
    assert call(root, "files_read", path="latest/a.txt")["size"] == 14
    assert call(root, "files_read", path="latest/above")["text"] == "top"
    assert call(root, "files_list", path="latest/..")["entries"]
    call(root, "files_write", path="data/above", text="changed")
    assert (root / "top.txt").read_text() == "changed"
    assert (root / "data" / "above").is_symlink()


def test_links_in_a_circle_are_given_up(root: Path) -> None:
    (root / "round").symlink_to("round")
    with pytest.raises(ToolFailed, match="more than 40 links"):
        call(root, "files_read", path="round")


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("files_read", "missing", "'missing': No such file"),
        ("files_read", "missing/x", "'missing/x': No such file"),
        ("files_read", "top.txt/x", "'top.txt/x': Not a directory"),
        ("files_read", "data", "not a regular file"),
        ("files_read", ".", "not a regular file"),
        ("files_read", "pipe", "'pipe'"),
        ("files_list", "top.txt", "Not a directory"),
        ("files_hash", "missing", "No such file"),
    ],
)
def test_what_is_not_there_is_named(root: Path, name: str, path: str, message: str) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(ToolFailed, match=message):
        call(root, name, path=path)


def test_limits_are_part_of_the_schema(root: Path) -> None:
    with pytest.raises(InvalidArguments, match="max_bytes"):
        call(root, "files_read", path="top.txt", max_bytes=10**9)


def test_a_root_must_be_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="create it first"):
        files_tools(tmp_path / "missing")


def test_all_built_in_tools_come_together(tmp_path: Path) -> None:
    tools = builtin_tools(tmp_path)
    assert {made.name: made.idempotent for made in tools} == {
        "files_read": True,
        "files_write": True,
        "files_list": True,
        "files_search": True,
        "files_hash": True,
        "shell_run": False,
        "python_run": False,
        "http_get": True,
        "http_post": False,
        "system_profile": True,
        "system_load": True,
        "system_disks": True,
        "system_gpus": True,
        "system_processes": True,
        "system_process": True,
        "system_ports": True,
        "system_environment": True,
    }
    for made in tools:
        assert made.description
        assert made.output_schema
        assert all("description" in schema for schema in made.input_schema["properties"].values())
    profile = tools.get("system_profile").call_sync({})
    assert profile["cpus"] >= 1
    assert profile["memory_bytes"] > 0


NAMES = st.sampled_from(["a", "b", "..", ".", "", "up", "in", "abs"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.lists(NAMES, min_size=1, max_size=7).map("/".join))
def test_whatever_the_path_only_files_below_the_root_are_read(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "jail"
    if not inside.exists():
        for place in (tmp_path, inside, inside / "a", inside / "a" / "b"):
            place.mkdir(exist_ok=True)
            (place / "leaf").write_text("in" if place.is_relative_to(inside) else "out")
        (inside / "up").symlink_to("a/../..")
        (inside / "a" / "in").symlink_to("../a/b")
        (inside / "a" / "abs").symlink_to(tmp_path)
    with contextlib.suppress(Confined, ToolFailed):
        assert call(inside, "files_read", path=f"{path}/leaf")["text"] == "in"
