"""The archives toolkit: round trips, and archives that are made to do harm."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constellation_tools import Confined, ToolFailed
from constellation_tools.toolkits.archive_formats import ArchiveLimits
from constellation_tools.toolkits.archives import archives_tools


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "data" / "deep").mkdir(parents=True)
    (inside / "data" / "a.txt").write_text("one")
    (inside / "data" / "deep" / "b.txt").write_text("two" * 1000)
    (inside / "top.txt").write_text("top")
    return inside


def call(root: Path, name: str, limits: ArchiveLimits | None = None, **arguments: Any) -> Any:
    return archives_tools(root, limits=limits).get(name).call_sync(arguments)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.TGZ", "x.tar.bz2", "x.tar.xz"])
def test_what_is_packed_is_unpacked_the_same(root: Path, name: str) -> None:
    (root / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data" / "pipe")
    made = call(root, "archives_create", path=name, sources=["data", "./top.txt"])
    assert made == {"path": name, "files": 3, "bytes": 3006, "skipped": ["data/link", "data/pipe"]}
    listed = call(root, "archives_list", path=name)
    assert [(each["path"], each["size"]) for each in listed["members"]] == [
        ("data/a.txt", 3),
        ("data/deep/b.txt", 3000),
        ("top.txt", 3),
    ]
    assert call(root, "archives_list", path=name, limit=1)["truncated"]
    assert call(root, "archives_extract", path=name, to="new/place")["files"] == 3
    assert (root / "new/place/data/deep/b.txt").read_text() == "two" * 1000
    with pytest.raises(ToolFailed, match="is there already"):
        call(root, "archives_extract", path=name, to="new/place")
    call(root, "archives_extract", path=name, to="new/place", overwrite=True)


def tar(path: Path, *members: tuple[str, bytes, bytes, str]) -> None:
    """Write a tar of (name, type, content, link target)."""
    with tarfile.open(path, "w") as archive:
        for name, kind, content, target in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), target
            archive.addfile(info, io.BytesIO(content))


def zipped(path: Path, name: str, mode: int = 0o100644, content: bytes = b"x") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("honest", "x")
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, content)


NAMES = ["../out", "a/../../out", "/abs/out", "..", "a\nb", "a\x1bb", "..\\out", "C:\\out", "C:/out", "/"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_whose_name_leads_out_is_refused_and_nothing_is_unpacked(root: Path, kind: str, name: str) -> None:
    if kind == "zip":
        zipped(root / "evil.zip", name)
    else:
        tar(root / "evil.tar", ("honest", tarfile.REGTYPE, b"x", ""), (name, tarfile.REGTYPE, b"x", ""))
    with pytest.raises(Confined):
        call(root, "archives_extract", path=f"evil.{kind}", to="to")
    assert not (root / "to").exists()
    assert not (root.parent / "out").exists()


SPECIAL = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE]


@pytest.mark.parametrize("kind", SPECIAL)
def test_links_devices_and_sparse_files_in_a_tar_are_refused(root: Path, kind: bytes) -> None:
    tar(root / "evil.tar", ("link", kind, b"", "../outside"), ("link/file", tarfile.REGTYPE, b"x", ""))
    with pytest.raises(Confined, match="link or a device"):
        call(root, "archives_extract", path="evil.tar", to="to")
    assert not (root / "to").exists()


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010666])
def test_links_and_devices_in_a_zip_are_refused(root: Path, mode: int) -> None:
    zipped(root / "evil.zip", "link", mode, b"/etc")
    with pytest.raises(Confined, match="link or a device"):
        call(root, "archives_extract", path="evil.zip", to="to")


def test_a_link_that_is_there_already_leads_nowhere_out(root: Path) -> None:
    (root / "to").symlink_to(root.parent)
    call(root, "archives_create", path="x.tar", sources=["top.txt"])
    with pytest.raises(Confined):
        call(root, "archives_extract", path="x.tar", to="to")
    assert not (root.parent / "top.txt").exists()


def gz(path: Path, write: Callable[[Path], None]) -> None:
    plain = path.with_suffix("")
    write(plain)
    path.write_bytes(gzip.compress(plain.read_bytes()))


ZEROS = b"\0" * (20 * 1024 * 1024)


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.tar.gz"])
@pytest.mark.parametrize("tool", ["archives_list", "archives_extract"])
def test_archives_that_blow_up_are_refused_by_ratio_and_by_size(root: Path, name: str, tool: str) -> None:
    if name == "bomb.zip":
        zipped(root / name, "zeros", content=ZEROS)
    else:
        gz(root / name, lambda path: tar(path, ("zeros", tarfile.REGTYPE, ZEROS, "")))
    assert (root / name).stat().st_size < 100_000
    with pytest.raises(ToolFailed, match="more than 200 times"):
        call(root, tool, path=name)
    with pytest.raises(ToolFailed, match="more than 1000000 bytes"):
        call(root, tool, ArchiveLimits(ratio=10**6, total_bytes=10**6, members=10), path=name)
    assert not (root / "zeros").exists()


def test_archives_with_too_many_members_or_two_of_one_name_are_refused(root: Path) -> None:
    tar(root / "many.tar", *((str(n), tarfile.REGTYPE, b"", "") for n in range(11)))
    with pytest.raises(ToolFailed, match="more than 10 members"):
        call(root, "archives_extract", ArchiveLimits(members=10), path="many.tar")
    tar(root / "twice.tar", ("a", tarfile.REGTYPE, b"1", ""), ("a", tarfile.REGTYPE, b"2", ""))
    with pytest.raises(ToolFailed, match="two members"):
        call(root, "archives_extract", path="twice.tar")


def test_a_zip_that_lies_about_a_size_writes_no_more_than_it_says(root: Path) -> None:
    path = root / "liar.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("liar", b"x" * 1000)
    data = path.read_bytes()
    said = (1000).to_bytes(4, "little")
    head, _, tail = data.rpartition(said)
    path.write_bytes(head + (10).to_bytes(4, "little") + tail)  # the last one is the unpacked size of the directory
    with pytest.raises(ToolFailed):
        call(root, "archives_extract", path="liar.zip", to="to")
    assert not list(root.glob("to/*"))


def test_a_header_of_a_tar_can_not_be_huge(root: Path) -> None:
    tar(root / "evil.tar", ("x", tarfile.GNUTYPE_LONGNAME, b"y" * 2_000_000, ""), ("z", tarfile.REGTYPE, b"", ""))
    with pytest.raises(ToolFailed, match="header of more than a megabyte"):
        call(root, "archives_list", path="evil.tar")


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tar.gz", "x.tar.xz", "x.tar.bz2"])
def test_what_is_no_archive_is_named(root: Path, name: str) -> None:
    (root / name).write_bytes(b"not an archive at all" * 100)
    with pytest.raises(ToolFailed, match=f"'{name}' can't be read as"):
        call(root, "archives_list", path=name)
    with pytest.raises(ToolFailed, match="no ending of an archive"):
        call(root, "archives_list", path="top.txt")


def test_a_member_of_less_than_nothing_is_refused(root: Path) -> None:
    with tarfile.open(root / "evil.tar", "w") as archive:
        info = tarfile.TarInfo("odd")
        info.size, info.pax_headers = 3, {"size": "-5"}
        archive.addfile(info, io.BytesIO(b"abc"))
    for name, more in (("archives_list", {}), ("archives_extract", {"to": "to"})):
        with pytest.raises(ToolFailed, match="-5 bytes"):
            call(root, name, path="evil.tar", **more)


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_sources_that_overlap_are_packed_once(root: Path, name: str) -> None:
    made = call(root, "archives_create", path=name, sources=["data", "data/deep", "top.txt", "./top.txt"])
    assert made["files"] == 3
    assert call(root, "archives_extract", path=name, to="to")["files"] == 3
