"""Ways out of the root of the files toolkit, each tried and refused."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from constellation_tools import Confined, ToolFailed
from constellation_tools.toolkits import confinement, files_tools
from constellation_tools.toolkits.confinement import MAX_DEPTH

OUTSIDE = "secret"
OUTSIDE_DIGEST = hashlib.sha256(OUTSIDE.encode()).hexdigest()

READERS = ["files_read", "files_hash", "files_list", "files_search", "files_write"]
"""All tools that take a path."""

MORE: dict[str, dict[str, str]] = {"files_search": {"text": OUTSIDE}, "files_write": {"text": "overwritten"}}


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    inside = tmp_path / "root"
    (inside / "data").mkdir(parents=True)
    (inside / "data" / "file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text(OUTSIDE)
    (tmp_path / "root-sibling").mkdir()
    (tmp_path / "root-sibling" / "file").write_text(OUTSIDE)
    yield inside
    assert (tmp_path / "outside" / "file").read_text() == OUTSIDE
    assert (tmp_path / "root-sibling" / "file").read_text() == OUTSIDE
    assert sorted(os.listdir(tmp_path)) == ["outside", "root", "root-sibling"]


def call(root: Path, name: str, path: str, **arguments: Any) -> Any:
    return files_tools(root).get(name).call_sync({"path": path, **MORE.get(name, {}), **arguments})


def refused(root: Path, name: str, path: str) -> None:
    with pytest.raises(Confined):
        call(root, name, path)


each_tool = pytest.mark.parametrize("name", READERS)


@each_tool
@pytest.mark.parametrize("path", ["..", "../outside/file", "data/../../outside/file", "./../outside", "data/../.."])
def test_dot_dot_does_not_lead_above_the_root(root: Path, name: str, path: str) -> None:
    refused(root, name, path)


@each_tool
def test_absolute_paths_are_refused_also_below_the_root(root: Path, name: str) -> None:
    for path in ("/etc/passwd", str(root / "data" / "file"), "//etc/passwd", "/"):
        refused(root, name, path)


@each_tool
def test_symbolic_links_do_not_lead_out(root: Path, name: str) -> None:
    (root / "relative").symlink_to("../outside")
    (root / "absolute").symlink_to(root.parent / "outside")
    (root / "data" / "chain").symlink_to("../relative/file")
    (root / "leaf").symlink_to("../outside/file")
    for path in ("relative/file", "absolute/file", "data/chain", "leaf", "relative", "relative/../outside/file"):
        refused(root, name, path)


@each_tool
def test_sibling_directories_with_the_same_beginning_are_out(root: Path, name: str) -> None:
    (root / "twin").symlink_to("../root-sibling")
    for path in ("../root-sibling/file", "twin/file", "twin"):
        refused(root, name, path)


@pytest.mark.parametrize("name", ["files_list", "files_search"])
def test_what_walks_directories_does_not_go_through_links(root: Path, name: str) -> None:
    (root / "data" / "out").symlink_to("../../outside")
    (root / "data" / "up").symlink_to("..")
    found = call(root, name, ".", **({"recursive": True} if name == "files_list" else {}))
    assert OUTSIDE not in str(found)
    assert "out/file" not in str(found)


@pytest.mark.parametrize("name", ["files_read", "files_hash"])
def test_hard_links_to_files_outside_are_not_read(root: Path, name: str) -> None:
    os.link(root.parent / "outside" / "file", root / "hard")
    with pytest.raises(Confined, match="has other names"):
        call(root, name, "hard")
    assert call(root, "files_search", ".")["matches"] == []
    allowed = files_tools(root, hard_links=True).get(name).call_sync({"path": "hard"})
    assert allowed["size"] == len(OUTSIDE)


def test_writing_to_a_hard_link_leaves_the_file_outside_as_it_is(root: Path) -> None:
    os.link(root.parent / "outside" / "file", root / "hard")
    call(root, "files_write", "hard")
    assert (root / "hard").read_text() == "overwritten"  # what is outside is looked at by the fixture


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
@pytest.mark.parametrize("name", ["files_read", "files_hash", "files_write"])
def test_devices_pipes_and_sockets_are_no_files(
    root: Path, name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    special = root / "special"
    with socket.socket(socket.AF_UNIX) as held:
        if kind == "pipe":
            os.mkfifo(special)
        elif kind == "socket":
            monkeypatch.chdir(root)  # a socket's path has to be short
            held.bind("special")
        else:
            try:
                os.mknod(special, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: endless
            except PermissionError:
                pytest.skip("only root can make a device")
        before = special.lstat()
        with pytest.raises(ToolFailed, match="is not a regular file"):
            call(root, name, "special")
        assert special.lstat() == before
        assert call(root, "files_search", ".")["files_searched"] == 1


@each_tool
@pytest.mark.parametrize("path", ["data/file\0.txt", "\0", "data\n/file", "data/file\r", "a\x1b[2Jb", "x\x7f"])
def test_names_with_nul_newlines_or_escapes_are_refused(root: Path, name: str, path: str) -> None:
    refused(root, name, path)
    assert os.listdir(root) == ["data"]


def test_names_on_the_disk_that_are_no_text_are_listed_in_a_form_that_can_be_sent(root: Path) -> None:
    os.mkdir(os.fsencode(root) + b"/odd")
    with open(os.fsencode(root) + b"/odd/\xff\n", "w"):
        pass
    listing = call(root, "files_list", "odd")
    assert [entry["path"].encode() for entry in listing["entries"]] == [b"odd/\\xff\n"]


@each_tool
def test_names_that_are_too_long_are_refused_or_told(root: Path, name: str) -> None:
    with pytest.raises((Confined, ToolFailed)):
        call(root, name, "x" * 256)
    refused(root, name, "x" * 5000)


@each_tool
def test_a_path_through_very_many_directories_is_refused_before_it_opens_them(root: Path, name: str) -> None:
    deep = root
    for _ in range(MAX_DEPTH + 5):
        deep = deep / "d"
        deep.mkdir(exist_ok=True)
    (deep / "file").write_text(OUTSIDE)
    refused(root, name, "/".join(["d"] * (MAX_DEPTH + 5) + ["file"]))
    if name in ("files_list", "files_search"):
        assert "d/file" not in str(call(root, name, ".", **({"recursive": True} if name == "files_list" else {})))


@each_tool
@pytest.mark.parametrize(
    "path", ["DATA/../../OUTSIDE/file", "data\\..\\..\\outside\\file", "data/..%2f..%2foutside/file"]
)
def test_case_backslashes_and_percent_signs_have_no_meaning(root: Path, name: str, path: str) -> None:
    with contextlib.suppress(Confined, ToolFailed):
        call(root, name, path)
    assert not list(root.parent.glob("*/*overwritten*"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs a proc file system, as Linux has")
@pytest.mark.parametrize("name", ["files_read", "files_hash", "files_list", "files_search"])
def test_the_magic_links_of_proc_are_links_that_lead_out(root: Path, name: str) -> None:
    with open(root.parent / "outside" / "file") as held:
        for path in ("self/root/etc/passwd", f"self/fd/{held.fileno()}", "self/cwd", "self/exe", "1/root"):
            with pytest.raises((Confined, ToolFailed)):
                files_tools(Path("/proc")).get(name).call_sync({"path": path, **MORE.get(name, {})})


def test_a_sparse_file_of_enormous_size_is_read_in_bounded_pieces(root: Path) -> None:
    with (root / "data" / "sparse").open("wb") as file:
        file.truncate(2**40)
    piece = call(root, "files_read", "data/sparse", offset=2**39)
    assert (len(piece["text"]), piece["size"]) == (256 * 1024, 2**40)
    assert call(root, "files_search", ".")["files_searched"] == 1


def test_a_write_keeps_no_rights_that_the_old_file_lent(root: Path) -> None:
    (root / "data" / "file").chmod(0o6755)
    call(root, "files_write", "data/file")
    assert stat.S_IMODE((root / "data" / "file").stat().st_mode) == 0o755


SWAPPER = """
import ctypes, os, sys
first, second = map(os.fsencode, sys.argv[1:])
exchange = ctypes.CDLL(None).renameat2
print("ready", flush=True)
while True:
    exchange(-100, first, -100, second, 2)
"""


@contextlib.contextmanager
def swapped(first: Path, second: Path) -> Iterator[None]:
    """Let two names change places all the time, each time at once, as only Linux can."""
    command = [sys.executable, "-I", "-S", "-c", SWAPPER, first, second]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.kill()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "renameat2"), reason="needs renameat2, which Linux has")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("files_read", "directory"),
        ("files_read", "file"),
        ("files_write", "directory"),
        ("files_list", "directory"),
        ("files_search", "directory"),
    ],
)
def test_links_that_are_swapped_in_between_check_and_use_do_not_lead_out(root: Path, name: str, what: str) -> None:
    honest = root / "data" if what == "directory" else root / "data" / "file"
    trap = root / "trap"
    trap.symlink_to(root.parent / "outside" if what == "directory" else root.parent / "outside" / "file")
    arguments = {"path": "data/file" if name in ("files_read", "files_write") else "data", **MORE.get(name, {})}
    made = files_tools(root).get(name)
    met: set[str] = set()
    with swapped(honest, trap):
        for attempt in range(20_000):
            try:
                result = str(made.call_sync(arguments))
            except (Confined, ToolFailed) as error:
                met.add(type(error).__name__)
            else:
                met.add("done")
                assert OUTSIDE not in result
                assert OUTSIDE_DIGEST not in result
            if attempt > 200 and {"done", "Confined"} <= met:
                break
    assert {"done", "Confined"} <= met  # both were met, so there was a race


@each_tool
@pytest.mark.parametrize("what", ["directory", "file"])
def test_a_link_that_is_put_in_place_right_after_the_check_is_not_followed(
    root: Path, name: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = root / "data" if what == "directory" else root / "data" / "file"
    path = "data/file" if what == "file" or name in ("files_read", "files_hash", "files_write") else "data"
    checked = confinement._link_target

    def check_then_swap(directory: int, asked: str) -> str | None:
        target = checked(directory, asked)
        if asked == honest.name and target is None:
            honest.rename(root / "away")
            honest.symlink_to(root.parent / "outside" / ("file" if what == "file" else ""))
        return target

    monkeypatch.setattr(confinement, "_link_target", check_then_swap)
    try:
        result = call(root, name, path)
    except ToolFailed:
        return
    assert (name, what) == ("files_write", "file")  # nothing is refused, and the link itself replaced or left
    assert result["path"] == path
