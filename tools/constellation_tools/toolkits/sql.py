"""SQL databases: queries that can't write, what tables there are, and, where the owner says so, statements that can.

Needs the extra `sql`. That a query only reads is enforced by the database, never by looking at its text.
"""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from ..errors import ToolFailed
from ..tool import Tool, tool
from ..toolset import Toolset

if TYPE_CHECKING:
    from .sql_database import Database

MAX_ROWS = 10_000
"""The most rows that a call may ask for."""

Scalar = str | int | float | bool | None
Parameters = dict[str, Scalar]


class SqlRows(TypedDict):
    """What a statement gives; `truncated` when there are more rows, `affected` is how many rows it changed."""

    columns: list[str]
    rows: list[list[Any]]
    truncated: bool
    affected: int | None


class SqlColumn(TypedDict):
    """A column of a table."""

    name: str
    type: str
    nullable: bool


class SqlTable(TypedDict):
    """A table or view; `references` are foreign keys, as in `customer -> customers.id`."""

    name: str
    columns: list[SqlColumn]
    primary_key: list[str]
    references: list[str]


def sql_tools(url: str, *, writable: bool = False, timeout_s: float = 30.0, max_bytes: int = 1024 * 1024) -> Toolset:
    """Return tools for one database.

    Args:
        url: `sqlite:///path/to/file.db`, or `postgresql://user:password@host/database`; the password is never shown.
            Give a user who may do no more than the tools should: a PostgreSQL superuser's functions reach files.
        writable: Whether there is a tool that changes data. Queries can't, either way.
        timeout_s: When the database gives a statement up.
        max_bytes: The most that a call returns, in bytes of JSON.

    Raises:
        ValueError: the URL is not one of these.
        ToolFailed: the extra `sql` is not installed.
    """
    try:
        from .sql_database import Database
    except ImportError as error:
        raise ToolFailed("SQL needs SQLAlchemy: install constellation-agents[sql]") from error
    database: Database = Database(url, timeout_s)

    @tool(read_only=True, open_world=False)
    def sql_query(
        query: str, parameters: Parameters | None = None, limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 100
    ) -> SqlRows:
        """Run one query that only reads, and return its rows.

        Args:
            query: One SELECT, with values as named parameters: `SELECT * FROM books WHERE year > :year`.
            parameters: The values by name.
            limit: The most rows to return.
        """
        with database.reading(query, parameters or {}) as result:
            return _rows(result, limit, max_bytes, None)

    @tool(read_only=True, open_world=False)
    def sql_schema() -> list[SqlTable]:
        """List the tables and views with their columns and keys."""
        return [
            {
                "name": table.name,
                "columns": [{"name": name, "type": kind, "nullable": null} for name, kind, null in table.columns],
                "primary_key": table.primary_key,
                "references": table.references,
            }
            for table in database.tables()
        ]

    @tool(destructive=True, open_world=False, runs_programs=False)
    def sql_execute(statement: str, parameters: Parameters | None = None) -> SqlRows:
        """Run one statement that may change data, in a transaction of its own.

        Args:
            statement: One statement, with values as named parameters.
            parameters: The values by name.
        """
        with database.writing(statement, parameters or {}) as result:
            return _rows(result, MAX_ROWS, max_bytes, result.rowcount)

    tools: list[Tool[..., Any]] = [sql_query, sql_schema, *([sql_execute] if writable else [])]
    return Toolset(tools, name="sql")


def _rows(result: Any, limit: int, max_bytes: int, affected: int | None) -> SqlRows:
    if not result.returns_rows:
        return {"columns": [], "rows": [], "truncated": False, "affected": affected}
    rows: list[list[Any]] = []
    left = max_bytes
    for row in result:
        values = [_plain(value) for value in row]
        left -= len(json.dumps(values))
        if len(rows) == limit or left < 0:
            return {"columns": list(result.keys()), "rows": rows, "truncated": True, "affected": affected}
        rows.append(values)
    return {"columns": list(result.keys()), "rows": rows, "truncated": False, "affected": affected}


def _plain(value: Any) -> Any:
    """A value as JSON has it: exact numbers and dates as text, bytes as hexadecimal digits."""
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, decimal.Decimal | uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | dict | None) else str(value)
