"""Which journal a name stands for, and where the user's own is."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from constellation.journal import Record, UnsupportedJournal, default_home, journal_name, open_journal, without_password


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def write_one(journal):
    await journal.create_run("r1", name="x", at=1.0)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["j.db", "sub/j.db", "sqlite:///j.db", "sqlite:///sub/j.db", "SQLITE:///j.db"])
async def test_relative_names_are_files_below_the_working_directory(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    async with open_journal(name) as journal:
        await write_one(journal)
    assert (tmp_path / name.lower().removeprefix("sqlite:///")).is_file()


@pytest.mark.anyio
async def test_a_url_with_four_slashes_and_a_path_are_the_same_file(tmp_path):
    async with open_journal(f"sqlite:///{tmp_path}/j.db") as journal:
        await write_one(journal)
    async with open_journal(tmp_path / "j.db") as journal:
        assert [summary.run for summary in await journal.runs()] == ["r1"]


@pytest.mark.anyio
async def test_a_tilde_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    async with open_journal("~/a.db"), open_journal(Path("~/b.db")):
        pass
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.db", "b.db"}


@pytest.mark.anyio
async def test_no_name_is_the_users_own_journal(tmp_path, monkeypatch):
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    async with open_journal() as journal:
        await write_one(journal)
    assert (tmp_path / "home" / "journal.db").is_file()


@pytest.mark.anyio
@pytest.mark.parametrize("name", [":memory:", "sqlite:///:memory:"])
async def test_memory_makes_no_file_and_no_thread(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    before = threading.active_count()
    async with open_journal(name) as journal:
        await write_one(journal)
        assert threading.active_count() == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["mysql://me:hunter2@db/x", "sqlite://x/j.db", "sqlite:///j.db?mode=ro&key=hunter2"])
async def test_an_unsupported_url_is_refused_without_repeating_its_password(url):
    with pytest.raises(UnsupportedJournal, match=r"supported are .*sqlite:///relative\.db.*:memory:") as caught:
        async with open_journal(url):
            pass
    assert "hunter2" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["", "sqlite:///"])
async def test_an_empty_name_is_refused(name):
    with pytest.raises(UnsupportedJournal, match="empty"):
        async with open_journal(name):
            pass


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CONSTELLATION_HOME": "/srv/c", "XDG_STATE_HOME": "/state"}, "/srv/c"),
        ({"CONSTELLATION_HOME": "~/c"}, "/home/u/c"),
        ({"CONSTELLATION_HOME": "", "XDG_STATE_HOME": "/state"}, "/state/constellation"),
        ({"XDG_STATE_HOME": "not/absolute"}, "/home/u/.local/state/constellation"),
        ({"XDG_STATE_HOME": ""}, "/home/u/.local/state/constellation"),
        ({}, "/home/u/.local/state/constellation"),
    ],
)
def test_the_home_follows_the_environment(monkeypatch, variables, expected):
    for name in ("CONSTELLATION_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/u")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert default_home() == Path(expected)


def test_a_relative_home_is_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSTELLATION_HOME", "here")
    assert default_home() == tmp_path / "here"


@pytest.mark.anyio
async def test_a_journal_named_none_keeps_which_runs_there_are_but_no_records():
    async with open_journal(":none:") as journal:
        await write_one(journal)
        await journal.append([Record("r1", 1, 1.0, "x", b"{}")])
        assert not journal.keeps_records
        assert [(summary.run, summary.events) for summary in await journal.runs()] == [("r1", 0)]
        assert [record async for record in journal.read("r1")] == []


@pytest.mark.parametrize(
    ("journal", "shown"),
    [
        ("runs.db", "runs.db"),
        ("sqlite:////srv/runs.db", "sqlite:////srv/runs.db"),
        ("postgresql://host/runs", "postgresql://host/runs"),
        ("postgresql://me@host/runs", "postgresql://me@host/runs"),
        ("postgresql://me:hunter2@host:5432/runs?sslmode=require", "postgresql://me@host:5432/runs?sslmode=require"),
        ("postgresql://me:hunt@er2@host/runs", "postgresql://me@host/runs"),
        ("postgresql://host/runs?password=hunter2&user=me", "postgresql://host/runs?user=me"),
        ("postgresql://host/runs?user=me&sslpassword=hunter2", "postgresql://host/runs?user=me"),
    ],
)
def test_a_journal_is_shown_without_its_password(journal: str, shown: str) -> None:
    assert without_password(journal) == shown


def test_a_journal_is_called_the_same_however_it_was_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONSTELLATION_HOME", str(tmp_path / "home"))
    assert {journal_name(name) for name in ("j.db", "sqlite:///j.db", Path("j.db"), tmp_path / "j.db")} == {
        str(tmp_path / "j.db")
    }
    assert journal_name(None) == str(tmp_path / "home" / "journal.db")
    assert journal_name("postgresql://me:hunter2@host/runs") == "postgresql://me@host/runs"
