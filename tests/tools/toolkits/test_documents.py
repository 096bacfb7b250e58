"""The documents toolkit: tables and text, and files that are made to do harm."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path
from typing import Any

import pytest

from constellation_tools import Confined, ToolFailed

docx = pytest.importorskip("docx", reason="needs the extra documents")
openpyxl = pytest.importorskip("openpyxl", reason="needs the extra documents")
pypdf = pytest.importorskip("pypdf", reason="needs the extra documents")

from constellation_tools.toolkits.documents import documents_tools  # noqa: E402 - after the libraries


def call(root: Path, name: str, **arguments: Any) -> Any:
    return documents_tools(root).get(name).call_sync(arguments)


def test_a_sheet_is_written_and_read_with_its_types(tmp_path: Path) -> None:
    rows = [["name", "n", "ok"], ["a", 1, True], ["b", 2.5, None]]
    assert call(tmp_path, "sheets_write", path="out/x.xlsx", rows=rows, sheet="Numbers") == {
        "path": "out/x.xlsx",
        "rows": 3,
    }
    read = call(tmp_path, "sheets_read", path="out/x.xlsx")
    assert read == {"sheets": ["Numbers"], "sheet": "Numbers", "rows": rows, "truncated": False}
    part = call(tmp_path, "sheets_read", path="out/x.xlsx", first_row=2, limit=1)
    assert (part["rows"], part["truncated"]) == ([["a", 1, True]], True)
    with pytest.raises(ToolFailed, match="no sheet 'Other'"):
        call(tmp_path, "sheets_read", path="out/x.xlsx", sheet="Other")


def test_dates_are_iso_texts(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append([datetime.datetime(2026, 1, 2, 3, 4)])  # noqa: DTZ001 - as Excel has them
    book.save(tmp_path / "d.xlsx")
    assert call(tmp_path, "sheets_read", path="d.xlsx")["rows"] == [["2026-01-02T03:04:00"]]


def test_texts_are_never_written_as_formulas(tmp_path: Path) -> None:
    call(tmp_path, "sheets_write", path="x.xlsx", rows=[['=HYPERLINK("http://evil.test")']])
    cell = openpyxl.load_workbook(tmp_path / "x.xlsx").active["A1"]
    assert (cell.data_type, cell.value) == ("s", '=HYPERLINK("http://evil.test")')


def test_documents_are_read_by_page(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("héllo")
    document.add_paragraph("world")
    document.save(tmp_path / "a.docx")
    assert call(tmp_path, "documents_read", path="a.docx")["text"] == [{"page": 1, "text": "héllo\nworld"}]
    writer = pypdf.PdfWriter()
    for _ in range(3):
        writer.add_blank_page(100, 100)
    writer.write(tmp_path / "b.pdf")
    read = call(tmp_path, "documents_read", path="b.pdf", first_page=2, pages=1)
    assert read == {"pages": 3, "text": [{"page": 2, "text": ""}], "truncated": False}


ENTITIES = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(("name", "tool"), [("x.xlsx", "sheets_read"), ("x.docx", "documents_read")])
def test_xml_with_entities_is_refused(tmp_path: Path, name: str, tool: str, encoding: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("[Content_Types].xml", (" " * (1024 * 1024 - 45) + ENTITIES).encode(encoding))
    with pytest.raises(ToolFailed, match="document type"):
        call(tmp_path, tool, path=name)


@pytest.mark.parametrize(("name", "tool"), [("x.xlsx", "sheets_read"), ("x.docx", "documents_read")])
def test_office_files_that_blow_up_are_refused(tmp_path: Path, name: str, tool: str) -> None:
    with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 30_000_000)
    with pytest.raises(ToolFailed, match="more than 200 times"):
        call(tmp_path, tool, path=name)


@pytest.mark.parametrize(
    ("name", "tool"), [("x.xlsx", "sheets_read"), ("x.docx", "documents_read"), ("x.pdf", "documents_read")]
)
def test_what_is_no_document_is_named_and_paths_stay_inside(tmp_path: Path, name: str, tool: str) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 10)
    with pytest.raises(ToolFailed, match=f"'{name}' can't be read"):
        call(tmp_path, tool, path=name)
    with pytest.raises(Confined):
        call(tmp_path, tool, path=f"../{name}")


@pytest.mark.parametrize(
    ("rows", "sheet"), [([["\x00"]], "Sheet1"), ([[1]], "a/b"), ([[1]], ""), ([[1] * 20_000], "Sheet1")]
)
def test_what_sheets_cant_hold_is_refused_and_nothing_is_written(tmp_path: Path, rows: Any, sheet: str) -> None:
    with pytest.raises(ToolFailed, match="can't be written as a spreadsheet"):
        call(tmp_path, "sheets_write", path="x.xlsx", rows=rows, sheet=sheet)
    assert not (tmp_path / "x.xlsx").exists()
