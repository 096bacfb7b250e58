"""The SQLite file: how it is born, who may read it, and what is said when it is damaged or not ours."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from constellation.journal import (
    JournalClosed,
    JournalCorrupt,
    JournalError,
    JournalTooNew,
    JournalUnavailable,
    open_journal,
    sqlite_file,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.db"


async def fill(path, records, count=50):
    async with open_journal(path) as journal:
        await journal.create_run("r1", name="x", at=1.0, info={"a": 1})
        await journal.append(records("r1", 1, count))


async def read_all(path):
    async with open_journal(path) as journal:
        return [record async for record in journal.read("r1")]


def run_sql(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return [connection.execute(statement).fetchall() for statement in statements]


async def test_what_was_written_is_there_when_the_file_is_opened_again(path, records):
    await fill(path, records)
    assert await read_all(path) == records("r1", 1, 50)


async def test_a_closed_journal_is_one_file_that_can_be_copied(path, records, tmp_path):
    await fill(path, records)
    assert [entry.name for entry in tmp_path.iterdir()] == ["journal.db"]
    shutil.copy(path, tmp_path / "copy.db")
    assert await read_all(tmp_path / "copy.db") == records("r1", 1, 50)


async def test_files_and_the_directories_made_for_them_are_private(tmp_path, records):
    path = tmp_path / "one" / "two" / "journal.db"
    async with open_journal(path) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in (tmp_path / "one").rglob("*")}
    assert modes == {"two": 0o700, "journal.db": 0o600, "journal.db-wal": 0o600, "journal.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700


async def test_a_directory_that_was_there_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    async with open_journal(tmp_path / "journal.db"):
        pass
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize(("options", "level"), [({}, 2), ({"synchronous": "normal"}, 1)])
async def test_commits_reach_the_disk_unless_that_is_relaxed(path, options, level):
    sqlite_file.prepare(path)
    with closing(sqlite_file.connect(path, writable=True, **options)) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    async with open_journal(path, **options) as journal:
        await journal.create_run("r1", name="x", at=1.0)


def test_a_connection_for_reading_does_not_write(path):
    sqlite_file.prepare(path)
    with closing(sqlite_file.connect(path, writable=False)) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM runs")


@pytest.mark.e2e
def test_processes_that_make_the_same_journal_at_once_all_get_it(path):
    script = (
        "import sys, anyio\n"
        "from constellation.journal import open_journal\n"
        "async def main():\n"
        "    print('ready', flush=True); sys.stdin.readline()\n"
        "    async with open_journal(sys.argv[1]) as journal:\n"
        "        await journal.create_run(sys.argv[2], name='x', at=1.0)\n"
        "anyio.run(main)\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, path, f"r{n}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for n in range(4)
    ]
    for child in children:
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=30)
        assert child.returncode == 0
    assert run_sql(path, "SELECT count(*) FROM runs") == [[(4,)]]
    assert [entry.name for entry in path.parent.iterdir()] == ["journal.db"]


def test_a_file_made_by_another_process_meanwhile_is_kept(path, monkeypatch):
    lay_tables = sqlite_file._lay_tables

    def lay_tables_too_late(draft):
        lay_tables(draft)
        lay_tables(path)
        run_sql(path, "UPDATE journal_format SET version = -7")

    monkeypatch.setattr(sqlite_file, "_lay_tables", lay_tables_too_late)
    sqlite_file.prepare(path)
    assert run_sql(path, "SELECT version FROM journal_format") == [[(-7,)]]


def test_a_file_that_could_not_be_finished_leaves_nothing(path, monkeypatch):
    def fail(draft):
        raise sqlite3.OperationalError("no room")

    monkeypatch.setattr(sqlite_file, "_lay_tables", fail)
    with pytest.raises(JournalUnavailable, match="no room"):
        sqlite_file.prepare(path)
    assert list(path.parent.iterdir()) == []


# --- not ours ---


async def test_a_journal_of_a_newer_version_is_refused_and_says_what_to_do(path, records):
    await fill(path, records)
    run_sql(path, "UPDATE journal_format SET version = 9")
    with pytest.raises(JournalTooNew, match=r"newer version \(format 9, .* up to 1\); upgrade") as caught:
        await read_all(path)
    assert (caught.value.found, caught.value.supported) == (9, 1)


async def test_another_programs_database_is_left_alone(path):
    run_sql(path, "CREATE TABLE bookmarks (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalUnavailable, match="something else"):
        await read_all(path)
    assert path.read_bytes() == before


async def test_a_place_where_no_file_can_be_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalUnavailable, match=r"file/journal\.db can't be used"):
        await read_all(tmp_path / "file" / "journal.db")
    with pytest.raises(JournalUnavailable, match="unable to open"):
        await read_all(tmp_path)
    with pytest.raises(JournalUnavailable, match="too long"):
        await read_all(tmp_path / ("x" * 300))


async def test_a_failed_opening_leaves_no_thread(path):
    path.write_bytes(b"not a database, but long enough to look at" * 50)
    before = threading.active_count()
    with pytest.raises(JournalError):
        await read_all(path)
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("journal ")] == []
    assert threading.active_count() <= before + 1  # anyio keeps its worker


async def test_an_opening_that_fails_halfway_closes_what_it_had_opened(path, monkeypatch):
    connections = []
    connect = sqlite3.connect

    def connect_once(*arguments, **options):
        if connections:
            raise sqlite3.OperationalError("no more")
        connections.append(connect(*arguments, **options))
        return connections[0]

    sqlite_file.prepare(path)
    monkeypatch.setattr(sqlite3, "connect", connect_once)
    with pytest.raises(JournalUnavailable, match="no more"):
        await read_all(path)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connections[0].execute("SELECT 1")


# --- damaged ---


@pytest.mark.parametrize("content", [b"", b"not a database" * 1000], ids=["empty", "garbage"])
async def test_a_file_that_is_no_database_is_damaged(path, content):
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt, match=r"journal\.db is damaged: .*restore it"):
        await read_all(path)


async def test_a_file_without_its_version_is_damaged(path, records):
    await fill(path, records)
    run_sql(path, "DELETE FROM journal_format")
    with pytest.raises(JournalCorrupt, match="version is missing"):
        await read_all(path)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
async def test_a_file_that_was_cut_short_is_damaged(path, records, share):
    await fill(path, records, 2000)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))
    with pytest.raises(JournalCorrupt):
        await read_all(path)


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"?"])
async def test_an_overwritten_page_is_found_when_it_is_read(path, records, filler):
    await fill(path, records, 2000)
    with path.open("r+b") as file:
        pages = path.stat().st_size // 4096
        file.seek((pages - 3) * 4096)
        file.write(filler * 4096)
    with pytest.raises(JournalCorrupt):
        await read_all(path)


async def test_a_flipped_bit_in_a_body_is_found_when_it_is_read(path, records):
    await fill(path, records)
    content = path.read_bytes()
    assert content.count(b'{"n":33}') == 1
    path.write_bytes(content.replace(b'{"n":33}', b'{"n":32}'))
    with pytest.raises(JournalCorrupt, match="record 33 of run 'r1' is not what was written"):
        await read_all(path)


async def test_a_missing_record_is_found_when_it_is_read(path, records):
    await fill(path, records)
    run_sql(path, "DELETE FROM records WHERE seq = 20")
    with pytest.raises(JournalCorrupt, match="record 20 of run 'r1' is missing"):
        await read_all(path)


async def test_a_damaged_summary_is_named(path, records):
    await fill(path, records)
    run_sql(path, "UPDATE runs SET info = '{'")
    async with open_journal(path) as journal:
        with pytest.raises(JournalCorrupt, match="info of run 'r1'"):
            await journal.runs()


async def test_a_log_without_its_file_is_not_replayed_into_a_new_one(path, records, tmp_path):
    async with open_journal(path) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        shutil.copy(f"{path}-wal", tmp_path / "other.db-wal")
    with pytest.raises(JournalCorrupt, match="the file is gone"):
        await read_all(tmp_path / "other.db")


async def test_a_torn_log_loses_only_what_was_torn(path, records, tmp_path):
    copy = tmp_path / "copy.db"
    async with open_journal(path) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        for seq in range(1, 11):
            await journal.append(records("r1", seq, seq))
        shutil.copy(path, copy)
        shutil.copy(f"{path}-wal", f"{copy}-wal")
    log = tmp_path / "copy.db-wal"
    log.write_bytes(log.read_bytes()[:-100])
    assert await read_all(copy) == records("r1", 1, 9)


async def test_a_file_that_another_process_writes_to_is_not_compacted(path, records, monkeypatch):
    monkeypatch.setattr(sqlite_file, "BUSY_TIMEOUT_S", 0.1)
    await fill(path, records)
    async with open_journal(path) as journal:
        with closing(sqlite3.connect(path, isolation_level=None)) as rival:
            rival.execute("BEGIN IMMEDIATE")
            with pytest.raises(JournalUnavailable, match="another process has kept it locked"):
                await journal.compact()
    with pytest.raises(JournalClosed):
        await journal.compact()


@pytest.mark.parametrize(
    ("synchronous", "level", "survives"), [("full", "2 (FULL)", True), ("normal", "1 (NORMAL)", False)]
)
async def test_how_durable_it_is_is_told_by_the_connection_that_writes(path, synchronous, level, survives):
    async with open_journal(path, synchronous=synchronous) as journal:
        said = await journal.durability()
    assert (said.survives_power_cut, said.settings) == (survives, {"journal_mode": "wal", "synchronous": level})
    with pytest.raises(JournalClosed):
        await journal.durability()


async def test_what_is_in_memory_survives_no_power_cut():
    async with open_journal(":memory:") as journal:
        assert not (await journal.durability()).survives_power_cut
