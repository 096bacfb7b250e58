"""Tools of objects, classes with state, and toolsets that are made of others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from constellation_tools import (
    InvalidArguments,
    Tool,
    ToolDefinitionError,
    ToolLoadError,
    Toolset,
    UnknownTool,
    load_tools,
    tool,
    tools_of,
)


class Notes:
    """Notes that are kept for as long as the object lives."""

    def __init__(self, owner: str = "me") -> None:
        self.owner = owner
        self.kept: list[str] = []

    @tool
    def add(self, text: str) -> int:
        """Keep a note."""
        self.kept.append(text)
        return len(self.kept)

    @tool(name="all_notes", idempotent=True)
    async def everything(self) -> list[str]:
        """Return all notes."""
        return self.kept

    @classmethod
    @tool
    def kind(cls) -> str:
        """Say what this is."""
        return cls.__name__

    @staticmethod
    @tool
    def longest(texts: list[str]) -> str:
        """Return the longest text."""
        return max(texts, key=len)

    def not_offered(self) -> None:
        """No tool."""


class Diary(Notes):
    """Overrides one tool, hides another, adds a third."""

    @tool
    def add(self, text: str, day: int) -> int:
        """Keep a dated note."""
        return super().add(f"{day}: {text}")

    def kind(self) -> str:  # type: ignore[override]
        return "hidden"

    @tool
    def clear(self) -> None:
        """Forget all."""
        self.kept.clear()


def test_the_tools_of_an_object_share_its_state_and_no_other_objects() -> None:
    first, second = tools_of(Notes()), tools_of(Notes())
    assert first.names == ("add", "all_notes", "kind", "longest")
    assert first.get("add").call_sync({"text": "a"}) == 1
    assert first.get("add").call_sync({"text": "b"}) == 2
    assert second.get("add").call_sync({"text": "c"}) == 1
    assert first.get("kind").call_sync({}) == "Notes"
    assert first.get("longest").call_sync({"texts": ["a", "bc"]}) == "bc"
    assert list(first.get("add").input_schema["properties"]) == ["text"]
    assert first.get("all_notes").idempotent
    assert first.name == "Notes"


@pytest.mark.anyio
async def test_an_async_tool_of_an_object_is_bound_as_well() -> None:
    notes = Notes()
    await tools_of(notes).get("add").call({"text": "a"})
    assert await notes.everything.call({}) == ["a"]


def test_a_subclass_overrides_hides_and_adds_tools() -> None:
    diary = Diary()
    tools = tools_of(diary)
    assert tools.names == ("add", "all_notes", "longest", "clear")
    assert tools.get("add").call_sync({"text": "a", "day": 3}) == 1
    assert diary.kept == ["3: a"]


def test_binding_a_tool_derives_nothing_anew_and_leaves_the_class_as_it_is() -> None:
    notes = Notes()
    assert notes.add.input_schema is Notes.add.input_schema
    assert notes.add.__get__(Notes()) is not None
    assert notes.add.call_sync({"text": "a"}) == 1
    with pytest.raises(TypeError, match="from an instance"):
        Notes.add.call_sync({"text": "a"})


def test_a_tool_that_is_bound_stays_bound_to_its_own_object() -> None:
    notes = Notes()

    class Holder:
        borrowed = notes.add

    assert Holder().borrowed.call_sync({"text": "a"}) == 1
    assert notes.kept == ["a"]


def test_what_has_no_tools_is_told_with_what_to_do() -> None:
    with pytest.raises(ToolLoadError, match="holds no tools; mark functions with @tool"):
        tools_of(ModuleType("empty"))
    with pytest.raises(ToolLoadError, match="class Notes; give an object of it"):
        tools_of(Notes)
    with pytest.raises(ToolLoadError, match="leads to a int"):
        tools_of(3)


@tool
def read(path: str) -> str:
    """Read."""
    return path


@tool(timeout_s=3, idempotent=True)
def write(path: str, text: str) -> None:
    """Write."""


FILES = Toolset([read, write], name="files")


def test_a_prefix_is_put_before_each_name_and_the_tools_stay_what_they_are() -> None:
    prefixed = FILES.prefixed("local_")
    assert (prefixed.names, prefixed.name) == (("local_read", "local_write"), "files")
    assert FILES.names == ("read", "write")
    renamed = prefixed.get("local_write")
    assert (renamed.timeout_s, renamed.idempotent, renamed.description) == (3, True, "Write.")
    assert renamed.input_schema is write.input_schema
    assert prefixed.get("local_read").call_sync({"path": "a"}) == "a"
    with pytest.raises(InvalidArguments, match="the tool 'local_read'"):
        prefixed.get("local_read").validate({})
    with pytest.raises(ToolDefinitionError, match="can't be a tool's name"):
        FILES.prefixed("files.")


def test_a_renamed_tool_can_still_be_found_by_another_process() -> None:
    assert FILES.prefixed("x_").get("x_read").reference == read.reference == f"{__name__}:read"


def test_single_tools_are_renamed_and_described_anew() -> None:
    renamed = FILES.renamed({"read": "open"})
    assert renamed.names == ("open", "write")
    assert read.renamed("look", "Look into a file.").description == "Look into a file."
    assert read.description == "Read."
    with pytest.raises(UnknownTool, match="'raed'; did you mean 'read'"):
        FILES.renamed({"raed": "open"})
    with pytest.raises(ToolDefinitionError, match="two tools are named 'write'"):
        FILES.renamed({"read": "write"})


def test_tools_are_chosen_left_out_and_filtered() -> None:
    assert FILES.only("write", "read").names == ("write", "read")
    assert FILES.without("read").names == ("write",)
    assert FILES.where(lambda each: each.idempotent).names == ("write",)
    for choose in (FILES.only, FILES.without):
        with pytest.raises(UnknownTool):
            choose("raed")


def test_sets_of_one_kind_are_kept_apart_by_prefixes() -> None:
    both = tools_of(Notes()).prefixed("a_") + tools_of(Notes()).prefixed("b_")
    both.get("a_add").call_sync({"text": "x"})
    assert both.get("b_add").call_sync({"text": "y"}) == 1


def test_a_name_that_is_found_later_is_found_by_a_renamed_tool_too() -> None:
    @tool
    def late(item: Item) -> int:
        return item.n

    renamed = late.renamed("later")

    @dataclass
    class Item:
        n: int

    assert renamed.call_sync({"item": {"n": 1}}) == 1
    assert late.call_sync({"item": {"n": 2}}) == 2


MODULE = """
from constellation_tools import tool

class Counter:
    def __init__(self):
        self.n = 0

    @tool
    def count(self, by: int = 1) -> int:
        self.n += by
        return self.n

counter = Counter()
alias = counter
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_objects_with_tools_are_found_in_modules_once_whatever_names_they_have(folder: Path) -> None:
    (folder / "counting.py").write_text(MODULE)
    loaded = load_tools(f"{folder}/counting.py")
    assert loaded.names == ("count",)
    assert loaded.get("count").call_sync({"by": 2}) == 2
    assert load_tools(f"{folder}/counting.py:counter").get("count").call_sync({}) == 3
    assert tools_of(importlib.import_module("counting")).names == ("count",)


def test_a_directory_is_all_its_files_but_those_with_an_underscore(folder: Path) -> None:
    (folder / "b.py").write_text("from constellation_tools import tool\n@tool\ndef second() -> int: return 2\n")
    (folder / "a.py").write_text("from constellation_tools import tool\n@tool\ndef first() -> int: return 1\n")
    (folder / "_hidden.py").write_text("raise RuntimeError\n")
    (folder / "without.py").write_text("number = 3\n")
    (folder / "notes.txt").write_text("no Python")
    assert load_tools(str(folder)).names == ("first", "second")


def test_a_file_that_ends_the_program_is_told_as_one_that_cant_be_imported(folder: Path) -> None:
    (folder / "ends.py").write_text("raise SystemExit(7)\n")
    with pytest.raises(ToolLoadError, match=r"ends.py.*SystemExit: 7"):
        load_tools(str(folder / "ends.py"))


def test_an_empty_directory_holds_no_tools(folder: Path) -> None:
    with pytest.raises(ToolLoadError, match="holds no tools"):
        load_tools(str(folder))


def test_installed_packages_offer_tools_by_entry_points(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "offering.py").write_text(MODULE)
    entries = "[constellation.tools]\nwhole = offering\none = offering:counter\nbroken = no_such_module_here\n"
    info = folder / "offering-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offering\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(str(folder))
    assert metadata.version("offering") == "1.0"
    assert load_tools("entry-point:whole").names == ("count",)
    assert load_tools("entry-point:one").names == ("count",)
    with pytest.raises(ToolLoadError, match="offers tools as 'other'; there are: broken, one, whole"):
        load_tools("entry-point:other")
    with pytest.raises(ToolLoadError, match="no_such_module_here"):
        load_tools("entry-point:broken")


def test_a_function_given_to_tools_of_becomes_a_tool() -> None:
    def plain(n: int) -> int:
        return n

    (made,) = tools_of(plain)
    assert isinstance(made, Tool)
    assert tools_of([plain, read], name="mine").name == "mine"
