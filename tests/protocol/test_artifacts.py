"""The artifact store: content addressing, verification, resuming, limits, and no way out of its directory."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest

from constellation_protocol import ArtifactCorrupt, ArtifactError, ArtifactInfo, ArtifactStore


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store", max_bytes=10_000)


def info_of(data: bytes) -> ArtifactInfo:
    return ArtifactInfo(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


def files_in(store: ArtifactStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*") if path.is_file())


def test_bytes_are_found_again_by_their_digest(store: ArtifactStore) -> None:
    info = store.put_bytes(b"hello", name="greeting.txt", media_type="text/plain")

    assert info.sha256 == hashlib.sha256(b"hello").hexdigest()
    assert (info.size, info.name, info.media_type) == (5, "greeting.txt", "text/plain")
    assert store.has(info.sha256)
    assert store.path(info.sha256).read_bytes() == b"hello"
    assert store.read(info.sha256, 1, 3) == b"ell"


def test_a_file_is_copied_and_keeps_its_name(store: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "report.md"
    source.write_bytes(b"# report")
    info = store.put_file(source)
    source.write_bytes(b"changed")

    assert info.name == "report.md"
    assert store.path(info.sha256).read_bytes() == b"# report"
    assert store.put_file(source, name="other").name == "other"


def test_the_same_content_is_kept_once(store: ArtifactStore) -> None:
    assert store.put_bytes(b"same") == store.put_bytes(b"same")
    assert len(files_in(store)) == 1


def test_a_kept_file_is_read_only(store: ArtifactStore) -> None:
    info = store.put_bytes(b"x")

    assert store.path(info.sha256).stat().st_mode & 0o777 == 0o444


def test_a_name_from_outside_never_becomes_part_of_a_path(store: ArtifactStore) -> None:
    info = store.put_bytes(b"x", name="../../etc/passwd")

    assert files_in(store) == [f"{info.sha256[:2]}/{info.sha256}"]


@pytest.mark.parametrize(
    "digest", ["../../etc/passwd", "", "AB" * 32, "ab" * 31, "ab" * 32 + "\n", "/" * 64, ".." + "/" * 62]
)
def test_what_is_no_digest_is_refused_everywhere(store: ArtifactStore, digest: str) -> None:
    forged = ArtifactInfo.model_construct(sha256=digest, size=1, name="", media_type="")
    for use in (store.has, store.path, lambda value: store.read(value, 0, 1), lambda value: store.begin(forged)):
        with pytest.raises(ArtifactError, match="64 lower-case"):
            use(digest)


def test_a_file_that_is_not_here_is_named(store: ArtifactStore) -> None:
    with pytest.raises(ArtifactError, match="abababababab… is not here"):
        store.path("ab" * 32)


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(store: ArtifactStore, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(10_001))
    with pytest.raises(ArtifactError, match="10000 bytes"):
        store.put_file(big)
    with pytest.raises(ArtifactError, match="10000 bytes"):
        store.put_bytes(bytes(10_001))
    with pytest.raises(ArtifactError, match="10000 bytes"):
        store.begin(info_of(bytes(10_001)))

    assert files_in(store) == []


def test_a_download_is_invisible_until_it_is_verified(store: ArtifactStore) -> None:
    info = info_of(b"abcdef")
    download = store.begin(info)
    download.write(b"abc")
    assert not store.has(info.sha256)
    download.write(b"def")
    assert not store.has(info.sha256)
    download.keep()

    assert store.path(info.sha256).read_bytes() == b"abcdef"


def test_an_interrupted_download_goes_on_where_it_stopped(store: ArtifactStore) -> None:
    info = info_of(b"abcdef")
    first = store.begin(info)
    first.write(b"abc")
    first.close()
    first.close()

    second = ArtifactStore(store.root, max_bytes=10_000).begin(info)
    assert (second.offset, second.resumed) == (3, True)
    second.write(b"def")
    second.keep()

    assert store.has(info.sha256)


@pytest.mark.parametrize("data", [b"abcdeX", b"abc", b""])
def test_other_bytes_than_announced_are_refused(store: ArtifactStore, data: bytes) -> None:
    info = info_of(b"abcdef")
    with store.begin(info) as download:
        download.write(data)
        with pytest.raises(ArtifactCorrupt, match="came with"):
            download.keep()
        download.discard()

    assert files_in(store) == []


def test_more_bytes_than_announced_are_refused(store: ArtifactStore) -> None:
    with store.begin(info_of(b"abc")) as download, pytest.raises(ArtifactError, match="more than the 3 bytes"):
        download.write(b"abcd")


def test_a_left_part_that_is_too_long_is_not_used(store: ArtifactStore) -> None:
    info = info_of(b"abc")
    (store.root / "partial" / info.sha256).write_bytes(b"abcdef")

    with store.begin(info) as download:
        assert (download.offset, download.resumed) == (0, False)


def test_two_downloads_of_one_file_do_not_disturb_each_other(store: ArtifactStore) -> None:
    info = info_of(b"abcdef")
    first, second = store.begin(info), store.begin(info)
    first.write(b"abc")
    second.write(b"abcdef")
    second.keep()
    first.write(b"def")
    first.keep()

    assert store.path(info.sha256).read_bytes() == b"abcdef"
    assert len(files_in(store)) == 1


class Doubt:
    """A look at a file that somebody doubts, which stops half-way until it is let go."""

    def __init__(self, store: ArtifactStore, sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()
        self.digest = hashlib.file_digest
        monkeypatch.setattr(hashlib, "file_digest", self._slowly)
        self.thread = threading.Thread(target=store.check, args=(sha256,))
        self.thread.start()
        assert self.reading.wait(10)

    def _slowly(self, file: Any, name: str) -> Any:
        self.reading.set()
        assert self.go_on.wait(10)
        return self.digest(file, name)

    def end(self) -> None:
        self.go_on.set()
        self.thread.join(10)


@pytest.mark.parametrize("good", [True, False])
def test_a_doubted_file_counts_as_here_only_when_it_has_been_read_again(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    info = store.put_bytes(b"hello")
    if not good:
        store.path(info.sha256).chmod(0o600)
        store.path(info.sha256).write_bytes(b"hullo")
    doubt = Doubt(store, info.sha256, monkeypatch)
    found: list[bool] = []
    asking = threading.Thread(target=lambda: found.append(store.use(info.sha256)))
    asking.start()
    asking.join(0.05)  # who does not wait has asked by then
    doubt.end()
    asking.join(10)
    assert found == [good]


def test_a_file_that_comes_while_the_old_one_is_doubted_stays(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = store.put_bytes(b"hello")
    store.path(info.sha256).chmod(0o600)
    store.path(info.sha256).write_bytes(b"hullo")
    doubt = Doubt(store, info.sha256, monkeypatch)
    store.put_bytes(b"hello")
    doubt.end()
    assert store.path(info.sha256).read_bytes() == b"hello"


def test_what_was_half_put_in_is_cleared_away_on_opening(store: ArtifactStore) -> None:
    (store.root / "partial" / "0123.tmp").write_bytes(b"half")

    assert files_in(ArtifactStore(store.root)) == []
