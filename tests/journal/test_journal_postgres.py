"""What is PostgreSQL's own: the server's settings and failures, lost connections, and what is told of the URL."""

from __future__ import annotations

import sys
from functools import partial

import anyio
import pytest

from constellation.journal import (
    JournalCorrupt,
    JournalTooNew,
    JournalUnavailable,
    Record,
    UnsupportedJournal,
    open_journal,
)

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def test_a_lost_connection_is_told_and_the_next_call_connects_again(postgres_server, postgres_url, records):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(records("r1", 1, 2))
        postgres_server.stop("immediate")
        try:
            with pytest.raises(JournalUnavailable, match="see that the server runs"):
                await journal.append(records("r1", 3, 3))
            with pytest.raises(JournalUnavailable, match="see that the server runs"):
                await journal.runs()
        finally:
            postgres_server.start()
        assert (await journal.run("r1")).events == 2
        await journal.append(records("r1", 3, 3))
        assert [record async for record in journal.read("r1")] == records("r1", 1, 3)


async def test_reading_does_not_notice_that_its_connection_was_ended_meanwhile(postgres_server, postgres_url, records):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(records("r1", 1, 2))
        postgres_server.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = 'constellation'"
        )
        assert [record async for record in journal.read("r1")] == records("r1", 1, 2)
        with pytest.raises(JournalUnavailable):
            await journal.append(records("r1", 3, 3))
        await journal.append(records("r1", 3, 3))


async def test_a_crash_of_the_server_loses_nothing_that_was_stored(postgres_server, postgres_url, records):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(records("r1", 1, 500))
    postgres_server.stop("immediate")
    postgres_server.start()
    async with open_journal(postgres_url) as journal:
        assert [record async for record in journal.read("r1")] == records("r1", 1, 500)


async def test_a_server_that_may_lose_what_it_confirms_is_refused_unless_that_is_wanted(postgres_server, postgres_url):
    postgres_server.stop()
    postgres_server.start("fsync=off")
    try:
        with pytest.raises(JournalUnavailable, match="turn fsync on"):
            async with open_journal(postgres_url):
                pass
        async with open_journal(postgres_url, synchronous="normal") as journal:
            await journal.create_run("r1", name="x", at=1.0)
    finally:
        postgres_server.stop()
        postgres_server.start()


async def test_commits_wait_for_the_disk_even_where_the_server_says_otherwise(postgres_server, postgres_url):
    from constellation.journal.postgres_server import PostgresServer

    relaxed = f"{postgres_url}%20-csynchronous_commit%3Doff"
    with PostgresServer(relaxed, synchronous="full").connect() as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    with PostgresServer(postgres_url, synchronous="normal").connect() as connection:
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)


@pytest.mark.parametrize(("synchronous", "commits", "survives"), [("full", "on", True), ("normal", "off", False)])
async def test_how_durable_it_is_is_told_by_the_connection_that_writes(postgres_url, synchronous, commits, survives):
    async with open_journal(postgres_url, synchronous=synchronous) as journal:
        said = await journal.durability()
    assert (said.survives_power_cut, said.settings) == (survives, {"fsync": "on", "synchronous_commit": commits})


async def test_a_database_in_another_encoding_is_refused(postgres_server):
    postgres_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(JournalUnavailable, match="encoding is LATIN1"):
        async with open_journal(postgres_server.url(database="latin")):
            pass


async def test_a_journal_of_a_newer_release_is_not_touched(postgres_server, postgres_url):
    async with open_journal(postgres_url):
        pass
    postgres_server.execute("UPDATE constellation_format SET version = 99", postgres_url)
    with pytest.raises(JournalTooNew, match="format 99"):
        async with open_journal(postgres_url):
            pass
    postgres_server.execute("DELETE FROM constellation_format", postgres_url)
    with pytest.raises(JournalCorrupt, match="format version is missing"):
        async with open_journal(postgres_url):
            pass


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE constellation_records SET body = 'x' WHERE seq = 2", "record 2 of run 'r1' is not what was written"),
        ("DELETE FROM constellation_records WHERE seq = 2", "record 2 of run 'r1' is missing"),
    ],
)
async def test_damage_is_noticed(postgres_server, postgres_url, records, statement, problem):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(records("r1", 1, 3))
        postgres_server.execute(statement, postgres_url)
        with pytest.raises(JournalCorrupt, match=problem):
            assert [record async for record in journal.read("r1")] == []


async def test_info_that_someone_has_spoilt_is_noticed(postgres_server, postgres_url):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        postgres_server.execute("UPDATE constellation_runs SET info = '{'", postgres_url)
        with pytest.raises(JournalCorrupt, match="info of run 'r1' is not JSON"):
            await journal.runs()


async def test_tables_that_are_gone_are_told_of(postgres_server, postgres_url, records):
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        postgres_server.execute("DROP TABLE constellation_runs CASCADE", postgres_url)
        with pytest.raises(JournalUnavailable, match="constellation_runs"):
            await journal.runs()
        with pytest.raises(JournalUnavailable, match="constellation_runs"):
            await journal.create_run("r2", name="x", at=1.0)


async def test_a_user_who_may_not_make_tables_is_told_what_is_missing(postgres_server):
    postgres_server.execute("CREATE ROLE reader LOGIN")
    url = postgres_server.url().replace("tester@", "reader@")
    with pytest.raises(JournalUnavailable, match="needs CREATE in the schema"):
        async with open_journal(url):
            pass


async def test_a_statement_gives_up_waiting_for_another_session(postgres_server, postgres_url, monkeypatch):
    import psycopg

    from constellation.journal import postgres_server as module

    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.2)
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        with psycopg.connect(postgres_url) as rival:
            rival.execute("SELECT 1 FROM constellation_runs FOR UPDATE")
            with pytest.raises(JournalUnavailable, match="kept it locked"):
                await journal.set_state("r1", "running", at=2.0)
        await journal.set_state("r1", "running", at=2.0)


async def test_a_hub_that_stops_in_the_middle_of_a_transaction_does_not_keep_its_runs(
    postgres_server, postgres_url, monkeypatch
):
    import psycopg

    from constellation.journal import postgres_server as module

    monkeypatch.setattr(module, "IDLE_TRANSACTION_S", 0.2)
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        stopped = module.PostgresServer(postgres_url, synchronous="full").connect()
        stopped.execute("BEGIN")
        stopped.execute("SELECT * FROM constellation_runs FOR UPDATE")
        await journal.acquire("r1", owner="another", at=1.0, lease_s=1.0)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stopped.execute("COMMIT")
        stopped.close()


async def test_writers_that_lock_the_same_runs_in_opposite_orders_both_get_through(postgres_url):
    async with open_journal(postgres_url) as one, open_journal(postgres_url) as two:
        for run in "abcdef":
            await one.create_run(run, name="x", at=1.0)

        async def renew(journal, owner):
            for n in range(4):
                async with anyio.create_task_group() as tasks:
                    for run in "abcdef" if owner == "one" else "fedcba":
                        tasks.start_soon(partial(journal.set_state, run, f"{owner}-{n}", at=1.0))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(renew, one, "one")
                tasks.start_soon(renew, two, "two")
        assert {summary.state.partition("-")[2] for summary in await one.runs()} == {"3"}


async def test_many_who_open_an_empty_database_at_once_make_its_tables_once(postgres_server, postgres_url):
    async def use(number):
        async with open_journal(postgres_url) as journal:
            await journal.create_run(f"r{number}", name="x", at=1.0)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(use, number)
    async with open_journal(postgres_url) as journal:
        assert len(await journal.runs()) == 5


async def test_records_too_large_for_one_statement_are_stored_in_several(postgres_url, monkeypatch):
    from constellation.journal import postgres_writer

    monkeypatch.setattr(postgres_writer, "STATEMENT_BYTES", 100)
    written = [Record("r1", seq, 1.0, "k", bytes(40 + seq)) for seq in range(1, 90)]
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(written)
        assert [record async for record in journal.read("r1")] == written


async def test_a_page_ends_where_it_has_bytes_enough(postgres_url):
    written = [Record("r1", seq, 1.0, "k", bytes(1_500_000)) for seq in range(1, 9)]
    async with open_journal(postgres_url) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(written)
        pages = journal.read("r1")
        first = await anext(pages)
        assert [first, *[record async for record in pages]] == written


async def test_more_runs_than_are_remembered_are_written_to(postgres_url, records, monkeypatch):
    from constellation.journal import postgres_writer

    monkeypatch.setattr(postgres_writer, "MAX_HEADS", 1)
    async with open_journal(postgres_url) as journal:
        for run in "abc":
            await journal.create_run(run, name="x", at=1.0)
        for seq in (1, 2):
            for run in "abc":
                await journal.append(records(run, seq, seq))
        assert {summary.events for summary in await journal.runs()} == {2}


@pytest.mark.requires_module("psycopg")
async def test_a_server_that_cannot_be_reached_is_told_without_the_password():
    url = "postgresql://me:hunter2@127.0.0.1:1/db"
    with pytest.raises(JournalUnavailable, match=r"postgresql://me@127\.0\.0\.1:1/db") as caught:
        async with open_journal(url):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.requires_module("psycopg")
@pytest.mark.parametrize("url", ["postgresql://me:hunter2@[::1/db", "postgres://me:hunter2@h/d?nonsense=1"])
async def test_a_url_that_makes_no_sense_is_not_repeated(url):
    with pytest.raises(UnsupportedJournal, match="looks like postgresql://") as caught:
        async with open_journal(url):
            pass
    assert "hunter2" not in str(caught.value)


async def test_without_psycopg_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "constellation.journal.postgres", None)
    with pytest.raises(UnsupportedJournal, match=r"pip install 'constellation-agents\[postgres\]'"):
        async with open_journal("postgresql://localhost/db"):
            pass
