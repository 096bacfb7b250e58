"""The overhead benchmark with PostgreSQL: durability read back, the server's CPU time, and what is said without one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from constellation.cli import main
from constellation.testing.postgres import PostgresServer
from constellation_bench.errors import MeasurementFailed
from constellation_bench.overhead import database as module
from constellation_bench.overhead.cases.measure import measure
from constellation_bench.overhead.cpu import server_cpu_s
from constellation_bench.overhead.database import open_database

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("home")]

SMALL = ("--stars", "200", "--repeats", "1", "--peer", "none")
POSTGRES = ("bench", "overhead", "--case", "journaled_postgres", *SMALL)

Out = pytest.CaptureFixture[str]


def schemas(server: PostgresServer) -> list[tuple[Any, ...]]:
    return server.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'constellation_bench_%'")


def test_sqlite_and_postgres_are_measured_side_by_side_with_what_their_own_connections_say_of_durability(
    capsys: Out, postgres_server: PostgresServer
) -> None:
    url = postgres_server.url()
    assert main([*POSTGRES, "--case", "journaled", "--store", url, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    postgres, sqlite = shown["cases"]
    assert (sqlite["name"], sqlite["durability"]) == ("journaled", "journal_mode=wal, synchronous=2 (FULL)")
    assert (postgres["name"], postgres["durability"]) == ("journaled_postgres", "fsync=on, synchronous_commit=on")
    assert sqlite["server_cpu_us_per_star"] is None
    assert postgres["server_cpu_us_per_star"] >= 0.0  # counted in ticks of 10 ms
    assert postgres["client_cpu_us_per_star"] > 0.0
    assert shown["database"]["server_cpu_known"] is True
    assert shown["skipped"] == []
    assert schemas(postgres_server) == []


def test_without_a_database_a_server_is_started_and_is_gone_in_the_end(
    capsys: Out, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    picture = tmp_path / "overhead.svg"
    before = set(psutil.pids())
    assert main([*POSTGRES, "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    (row,) = [line for line in out.splitlines() if line.startswith("journaled_postgres  ")]
    assert "the same, journal in PostgreSQL" in row
    assert "journaled_postgres: fsync=on, synchronous_commit=on" in out
    assert "a server of its own, files on " in out
    assert picture.stat().st_size > 0
    assert [pid for pid in set(psutil.pids()) - before if psutil.Process(pid).name() == "postgres"] == []


def test_where_no_server_can_be_started_the_case_is_left_out_with_what_to_do(
    capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresServer, "installed", lambda: False)
    assert main([*POSTGRES, "--case", "edit_batch", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [case["name"] for case in shown["cases"]] == ["edit_batch"]
    (skipped,) = shown["skipped"]
    assert skipped["name"] == "journaled_postgres"
    assert "no PostgreSQL server to start here" in skipped["reason"]
    assert "--store postgresql://" in skipped["reason"]
    assert main([*POSTGRES]) == 0
    assert "skipped journaled_postgres: no PostgreSQL server to start here" in capsys.readouterr().out


def test_without_psycopg_the_case_is_left_out_with_what_to_install(
    capsys: Out, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert main([*POSTGRES, "--json"]) == 0
    (skipped,) = json.loads(capsys.readouterr().out)["skipped"]
    assert skipped["reason"] == "psycopg not installed: pip install 'constellation-agents[postgres]'"


@pytest.mark.requires_module("psycopg")
def test_a_database_that_can_not_be_reached_ends_it_and_its_password_is_not_told(capsys: Out) -> None:
    assert main([*POSTGRES, "--store", "postgresql://someone:s3cretword@127.0.0.1:1/nothing"]) == 1
    out, err = capsys.readouterr()
    assert (
        "error: the measurement has no database: the journal postgresql://someone@127.0.0.1:1/nothing can't be" in err
    )
    assert "s3cretword" not in out + err


def test_a_store_that_is_no_database_is_refused(capsys: Out) -> None:
    assert main([*POSTGRES, "--store", "journal.db"]) == 2
    assert "--store takes the postgresql:// URL of a database" in capsys.readouterr().err


def test_a_journal_that_does_not_survive_a_power_cut_gives_no_figure(tmp_path: Path) -> None:
    volatile = "constellation_bench.overhead.cases.in_process"
    with pytest.raises(MeasurementFailed, match="found a journal that does not survive a power cut: it says nothing"):
        measure(volatile, 10, True, tmp_path)


@pytest.mark.anyio
async def test_processes_that_are_not_seen_from_here_are_not_counted(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(postgres_server.url(), tmp_path) as found:
        assert found.server is not None
        assert server_cpu_s(found.server) > 0
    monkeypatch.setattr(module, "SAME_PROCESS_S", -1.0)  # as when the process with that number is another one
    async with open_database(postgres_server.url(), tmp_path) as found:
        assert found.server is None


@pytest.mark.anyio
async def test_a_schema_takes_the_place_of_the_search_path_that_the_url_names(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    async with open_database(postgres_server.new_url(), tmp_path) as found:
        async with found.schema() as url:
            ((path,),) = postgres_server.execute("SHOW search_path", url)
            assert [(path,)] == schemas(postgres_server)
        assert schemas(postgres_server) == []


def test_the_servers_user_gets_no_further_than_where_all_may_go(tmp_path: Path) -> None:
    assert PostgresServer.can_enter(Path("/tmp"))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert PostgresServer.can_enter(closed) is (os.geteuid() != 0)
