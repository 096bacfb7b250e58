"""Spreadsheets and documents below one root: tables as rows, text by page, and new sheets.

Needs the extra `documents`. What comes from outside is bounded before a library sees it: an Office file is looked
through like any zip, and refused when one of its parts declares entities, which Office itself never does.
"""

from __future__ import annotations

import datetime
import io
import itertools
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from ..context import ToolContext
from ..errors import ToolFailed
from ..tool import Tool, tool
from ..toolset import Toolset
from .archive_formats import ArchiveLimits, opened_archive
from .confinement import Root, replace_file

MAX_FILE_BYTES = 64 * 1024 * 1024
"""The largest file that is opened."""

LIMITS = ArchiveLimits(members=10_000, total_bytes=256 * 1024**2, ratio=200)
"""How much an Office file, which is a zip, may hold."""

MAX_ROWS = 10_000
MAX_COLUMNS = 1000
MAX_WRITTEN_COLUMNS = 16_384  # what spreadsheets have
MAX_TEXT_CHARACTERS = 1024 * 1024

_PIECE_BYTES = 1024 * 1024

Cell = str | int | float | bool | None


class SheetRows(TypedDict):
    """Rows of a sheet, up to 1000 columns wide; dates are ISO texts. `truncated` when there are more rows."""

    sheets: list[str]
    sheet: str
    rows: list[list[Cell]]
    truncated: bool


class SheetWritten(TypedDict):
    """What has been written."""

    path: str
    rows: int


class DocumentPage(TypedDict):
    """The text of a page, from 1; a Word document is one page, since only printing makes pages of it."""

    page: int
    text: str


class DocumentText(TypedDict):
    """The pages that were asked for; `truncated` when text was left out."""

    pages: int
    text: list[DocumentPage]
    truncated: bool


def documents_tools(root: Path) -> Toolset:
    """Return tools for .xlsx, .docx and .pdf files below a directory.

    Raises:
        ValueError: the root is not a directory.
        ToolFailed: the extra `documents` is not installed.
    """
    try:
        import docx
        import openpyxl
        import pypdf
        from openpyxl.utils.exceptions import IllegalCharacterError
    except ImportError as error:
        raise ToolFailed("documents need libraries: install constellation-agents[documents]") from error
    inside = Root(root)

    @tool(read_only=True, open_world=False)
    def sheets_read(
        context: ToolContext,
        path: str,
        sheet: str | None = None,
        first_row: Annotated[int, Field(ge=1)] = 1,
        limit: Annotated[int, Field(ge=1, le=MAX_ROWS)] = 1000,
    ) -> SheetRows:
        """Read rows of a sheet of an .xlsx file; formulas as the values that were last computed.

        Args:
            context: Tells when to stop.
            path: The file, relative to the root.
            sheet: The sheet's name; the first one by default.
            first_row: The row to start at, from 1.
            limit: The most rows to return.
        """
        data = _office(inside, path, context)
        try:
            book = openpyxl.load_workbook(data, read_only=True, data_only=True, keep_links=False)
            names = list(book.sheetnames)
            if sheet is not None and sheet not in names:
                raise ToolFailed(f"{path!r} has no sheet {sheet!r}; there are {', '.join(names)}")
            chosen = sheet or names[0]
            found = book[chosen].iter_rows(min_row=first_row, values_only=True)
            rows: list[list[Cell]] = []
            for row in itertools.islice(found, limit + 1):
                context.check_cancelled()
                rows.append([_cell(value) for value in row[:MAX_COLUMNS]])
            book.close()
        except ToolFailed:
            raise
        except Exception as error:  # a damaged file makes the library raise anything
            raise ToolFailed(f"{path!r} can't be read as a spreadsheet: {error}") from error
        return {"sheets": names, "sheet": chosen, "rows": rows[:limit], "truncated": len(rows) > limit}

    @tool(idempotent=True, destructive=True, open_world=False, runs_programs=False)
    def sheets_write(
        path: str, rows: Annotated[list[list[Cell]], Field(max_length=MAX_ROWS)], sheet: str = "Sheet1"
    ) -> SheetWritten:
        """Write an .xlsx file with one sheet, in place of what is there. Texts are never formulas.

        Args:
            path: The file, relative to the root.
            rows: The cells, row by row.
            sheet: The sheet's name.
        """
        book = openpyxl.Workbook()
        made = book.active
        assert made is not None  # a new book has a sheet
        try:
            made.title = sheet
            for number, row in enumerate(rows, 1):
                if len(row) > MAX_WRITTEN_COLUMNS:
                    raise ValueError(f"row {number} has more than {MAX_WRITTEN_COLUMNS} cells")
                for column, value in enumerate(row, 1):
                    cell = made.cell(number, column)
                    cell.value = value
                    if isinstance(value, str):
                        cell.data_type = "s"  # never a formula, which could fetch or run something where it is opened
        except (
            ValueError,
            IllegalCharacterError,
        ) as error:  # control characters, names of sheets, and columns that sheets don't have
            raise ToolFailed(f"{path!r} can't be written as a spreadsheet: {error}") from error
        with inside.parent(path, create=True) as (directory, name):
            try:
                replace_file(directory, name, book.save)
            except OSError as error:
                raise ToolFailed(f"{path!r} can't be written: {error.strerror}") from error
        return {"path": path, "rows": len(rows)}

    @tool(read_only=True, open_world=False)
    def documents_read(
        context: ToolContext,
        path: str,
        first_page: Annotated[int, Field(ge=1)] = 1,
        pages: Annotated[int, Field(ge=1, le=1000)] = 50,
    ) -> DocumentText:
        """Read the text of a .pdf by page, or of a .docx.

        Args:
            context: Tells when to stop.
            path: The file, relative to the root.
            first_page: The page to start at, from 1.
            pages: How many pages.
        """
        is_word = path.lower().endswith(".docx")
        data = _office(inside, path, context) if is_word else _content(inside, path)
        text: list[DocumentPage] = []
        left = MAX_TEXT_CHARACTERS
        try:
            if is_word:
                lines = [paragraph.text for paragraph in docx.Document(data).paragraphs]
                found: list[Any] = ["\n".join(lines)]
            else:
                found = list(pypdf.PdfReader(data).pages)
            for number in range(first_page, min(first_page + pages, len(found) + 1)):
                context.check_cancelled()
                page = found[number - 1]
                words = page if isinstance(page, str) else page.extract_text()
                text.append({"page": number, "text": words[:left]})
                left -= len(words)
                if left < 0:
                    break
        except Exception as error:  # a damaged file makes the library raise anything
            context.check_cancelled()
            raise ToolFailed(f"{path!r} can't be read as a document: {error}") from error
        return {"pages": len(found), "text": text, "truncated": left < 0}

    tools: list[Tool[..., Any]] = [sheets_read, sheets_write, documents_read]
    return Toolset(tools, name="documents")


def _content(inside: Root, path: str) -> io.BytesIO:
    with inside.regular_file(path) as descriptor, open(descriptor, "rb", closefd=False) as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ToolFailed(f"{path!r} is larger than {MAX_FILE_BYTES} bytes")
    return io.BytesIO(data)


def _office(inside: Root, path: str, context: ToolContext) -> io.BytesIO:
    """An Office file that unpacks to no more than it should, and whose XML declares nothing."""
    data = _content(inside, path)
    with opened_archive("zip", data, path, LIMITS, context.check_cancelled) as archive:
        for member in archive.members():
            context.check_cancelled()
            read = 0
            end = b""
            with archive.content(member) as part:
                while piece := part.read(_PIECE_BYTES):
                    read += len(piece)
                    if read > member.size:
                        raise ToolFailed(f"{path!r} has a part that is longer than it says")
                    # Also in UTF-16, where each letter stands beside a zero; a mark may lie across two pieces.
                    plain = (end + piece).replace(b"\0", b"")
                    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
                        raise ToolFailed(f"{path!r} has XML with a document type, which may expand without end")
                    end = piece[-64:]
    data.seek(0)
    return data


def _cell(value: Any) -> Cell:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    return value if isinstance(value, str | int | float | bool | None) else str(value)
