"""The sql toolkit on real databases: what it returns, and that a query can't write, reach files or run for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from constellation_tools import ToolFailed, Toolset

if TYPE_CHECKING:
    from ...postgres_server import PostgresServer

pytest.importorskip("sqlalchemy", reason="needs the extra sql")

from constellation_tools.toolkits.sql import sql_tools

SCHEMA = [
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "CREATE TABLE books (title TEXT, author INTEGER REFERENCES authors (id), price NUMERIC(8, 2))",
    "INSERT INTO authors VALUES (1, 'Ann'), (2, 'O''Hara')",
    "INSERT INTO books VALUES ('one', 1, 9.50), ('two', 2, 12)",
]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with two tables."""
    if request.param == "sqlite":
        with sqlite3.connect(tmp_path / "a b.db") as connection:
            for statement in SCHEMA:
                connection.execute(statement)
        connection.close()
        return f"sqlite:///{tmp_path}/a b.db"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    place = server.new_url()
    for statement in [*SCHEMA, "CREATE SEQUENCE counter"]:
        server.execute(statement, place)
    return place


def query(tools: Toolset, text: str, /, **arguments: Any) -> Any:
    return tools.get("sql_query").call_sync({"query": text, **arguments})


def test_a_query_takes_parameters_and_returns_rows(url: str) -> None:
    tools = sql_tools(url)
    found = query(tools, "SELECT name, id FROM authors WHERE name = :name", parameters={"name": "O'Hara"})
    assert found == {"columns": ["name", "id"], "rows": [["O'Hara", 2]], "truncated": False, "affected": None}
    injected = query(tools, "SELECT * FROM authors WHERE name = :n", parameters={"n": "' OR 1=1 --"})
    assert injected["rows"] == []
    with pytest.raises(ToolFailed, match=r"bind parameter|parameter"):
        query(tools, "SELECT :missing")


def test_the_schema_names_columns_and_keys(url: str) -> None:
    tables = {table["name"]: table for table in sql_tools(url).get("sql_schema").call_sync({})}
    assert tables["authors"]["primary_key"] == ["id"]
    assert tables["books"]["references"] == ["author -> authors.id"]
    assert [column["name"] for column in tables["books"]["columns"]] == ["title", "author", "price"]


def test_rows_and_bytes_are_limited(url: str) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n"
    few = query(sql_tools(url), many, limit=3)
    assert (few["rows"], few["truncated"]) == ([[1], [2], [3]], True)
    short = query(sql_tools(url, max_bytes=100), many, limit=5000)
    assert short["truncated"]
    assert 10 < len(short["rows"]) < 40


WRITES = [
    "INSERT INTO authors VALUES (3, 'x')", "UPDATE authors SET name = 'x'", "DELETE FROM books", "DROP TABLE books",
    "CREATE TABLE more (a INTEGER)", "SELECT 1; DELETE FROM books", "COMMIT; DELETE FROM books",
    "WITH gone AS (DELETE FROM books RETURNING *) SELECT * FROM gone",
]  # fmt: skip
SQLITE_TRICKS = [
    "ATTACH DATABASE '{}' AS other", "PRAGMA query_only = 0", "PRAGMA writable_schema = 1", "VACUUM INTO '{}'",
    "SELECT load_extension('x')", "CREATE TEMP TABLE t (a)",
]  # fmt: skip
POSTGRES_TRICKS = [
    "SET TRANSACTION READ WRITE", "SELECT set_config('transaction_read_only', 'off', false)",
    "COPY authors TO PROGRAM 'cat > {}'", "COPY authors TO '{}'", "DO $$ BEGIN DELETE FROM books; END $$",
    "SELECT nextval('counter')", "SELECT setval('counter', 5)",
]  # fmt: skip


@pytest.mark.parametrize("writable", [False, True])
def test_a_query_can_not_write_whatever_it_says(url: str, tmp_path: Path, writable: bool) -> None:
    tools = sql_tools(url, writable=writable)
    tricks = SQLITE_TRICKS if url.startswith("sqlite") else POSTGRES_TRICKS
    for statement in [*WRITES, *tricks]:
        with pytest.raises(ToolFailed):
            query(tools, statement.format(tmp_path / "out"))
    assert query(tools, "SELECT count(*) FROM books")["rows"] == [[2]]
    assert query(tools, "SELECT count(*) FROM authors WHERE name = 'x'")["rows"] == [[0]]
    assert not (tmp_path / "out").exists()


def test_a_query_that_takes_too_long_is_given_up(url: str) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with pytest.raises(ToolFailed, match=r"interrupted|timeout"):
        query(sql_tools(url, timeout_s=0.3), endless)


def test_only_a_writable_toolset_has_a_tool_that_writes(url: str) -> None:
    assert "sql_execute" not in sql_tools(url)
    execute = sql_tools(url, writable=True).get("sql_execute")
    done = execute.call_sync({"statement": "UPDATE books SET price = :p", "parameters": {"p": 5}})
    assert done["affected"] == 2
    with pytest.raises(ToolFailed):
        execute.call_sync({"statement": "DELETE FROM books; DELETE FROM authors"})
    assert query(sql_tools(url), "SELECT count(*) FROM books WHERE price = 5")["rows"] == [[2]]


@pytest.mark.parametrize(
    "make", [lambda place: f"ATTACH DATABASE '{place}' AS o", lambda place: f"VACUUM INTO '{place}'"]
)
def test_a_statement_reaches_no_other_file(tmp_path: Path, make: Callable[[Path], str]) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    (tmp_path / "a.db").touch()
    execute = sql_tools(f"sqlite:///{tmp_path}/a.db", writable=True).get("sql_execute")
    with pytest.raises(ToolFailed):
        execute.call_sync({"statement": make(tmp_path / "other.db")})
    assert not (tmp_path / "other.db").exists()


def test_a_value_can_not_be_huge(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "a.db").close()
    (tmp_path / "a.db").touch()
    with pytest.raises(ToolFailed, match="too big"):
        query(sql_tools(f"sqlite:///{tmp_path}/a.db"), "SELECT length(zeroblob(500000000) || 'x')")


def test_a_password_is_never_shown() -> None:
    tools = sql_tools("postgresql://ann:hunter2@127.0.0.1:1/x", timeout_s=2)
    with pytest.raises(ToolFailed) as caught:
        query(tools, "SELECT 1")
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__!r}"
    for url in ("mysql://ann:hunter2@h/x", "sqlite://", "nonsense hunter2"):
        with pytest.raises(ValueError, match=r"database|SQLite") as refused:
            sql_tools(url)
        assert "hunter2" not in str(refused.value)


def test_sqlite_tells_no_addresses_in_memory(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    with pytest.raises(ToolFailed, match=r"not authorized|no such function"):
        query(sql_tools(f"sqlite:///{tmp_path}/x.db"), "SELECT fts3_tokenizer('simple')")
