"""Which artifacts nobody needs, told while others use the store: never one that a run refers to, or is about to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from constellation import DeviceSpec, Orchestrator, TaskConstellation
from constellation.journal import Journal, Record, journal_name, open_journal
from constellation.journal.memory import MemoryJournal
from constellation.orchestrator.artifact_gc import (
    GRACE_S,
    remove_files,
    unneeded_files,
    users_of,
)
from constellation.orchestrator.errors import FilesInUse
from constellation.orchestrator.homes import using_files
from constellation_protocol import ArtifactStore, Hello, Welcome, direct_link
from constellation_protocol.stored import remove_unused, stored_files
from constellation_protocol.transfer import ArtifactTransfers
from constellation_tools import Artifact, ToolContext, tool

pytestmark = pytest.mark.anyio

OLD = 1_000.0
NOW = 2 * GRACE_S


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def put(store: ArtifactStore, data: bytes) -> str:
    """A file that came long ago."""
    digest = store.put_bytes(data).sha256
    os.utime(store.path(digest), (OLD, OLD))
    return digest


async def journal_with(*bodies: object) -> Journal:
    journal = MemoryJournal()
    await journal.create_run("r", name="r", at=OLD)
    await journal.append(
        [Record("r", seq, OLD, "k", json.dumps(body).encode()) for seq, body in enumerate(bodies, start=1)]
    )
    return journal


async def unneeded(home: Path, journal: Journal) -> set[str]:
    return {file.sha256 for file in (await unneeded_files(home, {"j": journal}, now=NOW)).files}


async def test_a_file_is_needed_wherever_a_record_names_it(tmp_path: Path, store: ArtifactStore) -> None:
    as_output, as_argument, as_text, never = (put(store, name) for name in (b"1", b"2", b"3", b"4"))
    journal = await journal_with(
        {"output": {"$artifact": as_output}},
        {"stars": [{"arguments": {"file": [{"$artifact": as_argument, "size": 1}]}}]},
        {"message": f"see {as_text}."},
    )
    assert await unneeded(tmp_path, journal) == {never}


async def test_a_file_is_needed_when_a_needed_one_refers_to_it(tmp_path: Path, store: ArtifactStore) -> None:
    leaf = put(store, b"leaf")
    twig = put(store, json.dumps([{"$artifact": leaf, "size": 4}]).encode())
    branch = put(store, json.dumps({"output": {"$artifact": twig}}).encode())
    loose = put(store, json.dumps({"$artifact": "0" * 64}).encode())
    assert await unneeded(tmp_path, await journal_with({"output": {"$artifact": branch}})) == {loose}


async def test_a_file_that_has_come_lately_or_was_offered_again_stays(tmp_path: Path, store: ArtifactStore) -> None:
    offered, old = put(store, b"offered"), put(store, b"old")
    ours, theirs = direct_link(Hello(device="d"), Welcome(session="s", epoch=1))
    device_store = ArtifactStore(tmp_path / "device")
    hub, device = ArtifactTransfers(ours, store), ArtifactTransfers(theirs, device_store)

    async def pump(link: object, transfers: ArtifactTransfers) -> None:
        while True:
            for message in await link.receive():  # type: ignore[attr-defined]
                transfers.handle(message)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for link, transfers in ((ours, hub), (theirs, device)):
                tasks.start_soon(pump, link, transfers)
                tasks.start_soon(transfers.run)
            await device.offer(device_store.put_bytes(b"offered"))
            tasks.cancel_scope.cancel()
    store.put_bytes(b"new")
    assert store.has(offered)
    assert await unneeded(tmp_path, await journal_with()) == {old}


async def test_what_comes_into_use_before_it_is_removed_stays(tmp_path: Path, store: ArtifactStore) -> None:
    used, unused = put(store, b"used"), put(store, b"unused")
    found = await unneeded_files(tmp_path, {"j": await journal_with()}, now=NOW)
    assert found.size == len(b"used") + len(b"unused")
    assert store.use(used)
    gone = await remove_files(tmp_path, found)
    assert [file.sha256 for file in gone.files] == [unused]
    assert (store.has(used), store.has(unused)) == (True, False)
    assert not store.use(unused)
    assert (await remove_files(tmp_path, found)).files == ()


async def test_a_file_that_comes_into_use_in_the_middle_of_its_removal_is_put_back(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(store, b"wanted at once")
    (file,) = stored_files(store.root)
    rename = Path.rename

    def use_first(path: Path, target: Path) -> Path:
        monkeypatch.undo()
        assert store.use(digest)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", use_first)
    assert not remove_unused(store.root, file, before=NOW - GRACE_S)
    assert store.path(digest).read_bytes() == b"wanted at once"


async def test_beginnings_that_nobody_goes_on_with_are_unneeded(tmp_path: Path, store: ArtifactStore) -> None:
    fresh, stale = "a" * 64, "b" * 64
    for name, used_at in ((fresh, None), (stale, OLD)):
        path = store.root / "partial" / name
        path.write_bytes(b"begin")
        if used_at is not None:
            os.utime(path, (used_at, used_at))
    journal = await journal_with({"output": {"$artifact": stale}})
    assert await unneeded(tmp_path, journal) == {stale}


async def test_every_journal_that_was_used_with_a_home_is_asked(tmp_path: Path) -> None:
    digests = []
    store = ArtifactStore(tmp_path / "artifacts")
    for name in ("one.db", "two.db"):
        digests.append(put(store, name.encode()))
        with using_files(tmp_path, tmp_path / name):
            async with open_journal(tmp_path / name) as journal:
                await journal.create_run("r", name="r", at=OLD)
                await journal.append([Record("r", 1, OLD, "k", json.dumps(digests[-1]).encode())])
    lost = put(store, b"lost")
    async with open_journal(tmp_path / "one.db") as one:
        async with users_of(tmp_path, {journal_name(tmp_path / "one.db"): one}) as users:
            assert sorted(users) == [str(tmp_path / "one.db"), str(tmp_path / "two.db")]
            found = await unneeded_files(tmp_path, users, now=NOW)
    assert [file.sha256 for file in found.files] == [lost]


async def test_nothing_is_told_while_an_orchestrator_without_a_lasting_journal_uses_the_files(tmp_path: Path) -> None:
    async with Orchestrator.local(1, journal=":memory:", home=tmp_path):
        with pytest.raises(FilesInUse, match="whose journal is in memory"):
            async with users_of(tmp_path, {}):
                pass
    async with users_of(tmp_path, {}) as users:
        assert users == {}


async def test_a_password_is_not_noted(tmp_path: Path) -> None:
    with using_files(tmp_path, "postgresql://me:hunter2@host/runs?password=hunter3"):
        (note,) = (tmp_path / "artifacts" / "journals").iterdir()
    assert note.read_text() == "postgresql://me@host/runs"


@tool(idempotent=True)
def write(context: ToolContext, text: str) -> Artifact:
    """Make a file."""
    return context.artifact(text.encode(), name="text")


async def test_the_files_of_a_real_run_stay_for_as_long_as_it_does(tmp_path: Path) -> None:
    place = tmp_path / "runs.db"
    graph = TaskConstellation("files")
    graph.star("write", write, text="kept")
    with anyio.fail_after(30):
        async with Orchestrator.local([DeviceSpec("d")], tools=[write], journal=place, home=tmp_path) as orchestrator:
            report = await (await orchestrator.submit(graph)).wait()
    digest = report.outputs["write"]["$artifact"]
    store = ArtifactStore(tmp_path / "artifacts")
    os.utime(store.path(digest), (OLD, OLD))
    async with users_of(tmp_path, {}) as users:
        assert (await unneeded_files(tmp_path, users, now=NOW)).files == ()
        found = await unneeded_files(tmp_path, users, now=NOW, without={report.run})
    assert [file.sha256 for file in found.files] == [digest]
