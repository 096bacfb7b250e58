"""Toolsets, and loading tools by reference."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from constellation_tools import (
    Tool,
    ToolDefinitionError,
    ToolLoadError,
    Toolset,
    UnknownTool,
    load_tool,
    load_tools,
    tool,
)

MODULE = '''
"""Tools for a test."""
from helper_beside import SUFFIX
from constellation_tools import Toolset, tool

@tool
def shout(text: str) -> str:
    return text.upper() + SUFFIX

@tool(name="other")
def whisper(text: str) -> str:
    return text.lower()

def plain(n: int) -> int:
    return n + 1

class Kit:
    @staticmethod
    @tool
    def inner(n: int) -> int:
        return n

both = Toolset([shout, whisper])
several = [plain, both]
alias = shout
number = 3
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "mytools.py").write_text(MODULE)
    (tmp_path / "helper_beside.py").write_text("SUFFIX = '!'\n")
    (tmp_path / "broken.py").write_text("import no_such_module_here\n")
    (tmp_path / "empty.py").write_text("")
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@tool
def first() -> int:
    return 1


def second() -> int:
    """Second."""
    return 2


def test_a_toolset_keeps_order_and_finds_by_name() -> None:
    tools = Toolset([first], name="mine")
    added = tools.add(second)
    assert isinstance(added, Tool)
    assert tools.names == ("first", "second")
    assert list(tools) == [first, added]
    assert len(tools) == 2
    assert tools.get("second") is added
    assert "first" in tools
    assert first in tools
    assert Tool.from_function(second) not in tools
    assert "third" not in tools
    assert repr(tools) == "<Toolset mine: first, second>"
    assert repr(Toolset()) == "<Toolset unnamed: empty>"


def test_toolsets_are_combined_into_a_new_one() -> None:
    left, right = Toolset([first], name="left"), Toolset([second])
    both = left + right
    assert both.names == ("first", "second")
    assert (both.name, (right + Toolset(name="x")).name) == ("left", "x")
    assert len(left) == 1
    with pytest.raises(TypeError):
        left + [first]  # type: ignore[operator]  # noqa: RUF005 - adding a list is the point


def test_two_tools_of_one_name_are_refused_and_both_named() -> None:
    impostor = tool(name="first")(second)
    with pytest.raises(ToolDefinitionError, match=r"'first'.*:first and .*:second.*name="):
        Toolset([first, impostor])
    with pytest.raises(ToolDefinitionError):
        Toolset([first]) + Toolset([first])


def test_an_unknown_tool_gets_a_hint() -> None:
    with pytest.raises(UnknownTool, match="'frist'; did you mean 'first'"):
        Toolset([first]).get("frist")
    with pytest.raises(UnknownTool, match="there are first, second"):
        Toolset([first, second]).get("zzzzz")
    with pytest.raises(UnknownTool, match=r"no tool is named 'x'$"):
        Toolset().get("x")


def test_a_file_is_loaded_with_all_its_tools_and_what_stands_beside_it(folder: Path) -> None:
    loaded = load_tools(f"{folder}/mytools.py")
    assert loaded.names == ("shout", "other")
    assert loaded.get("shout").call_sync({"text": "a"}) == "A!"
    assert load_tools(f"{folder}/mytools.py").get("shout") is loaded.get("shout")


@pytest.mark.parametrize(
    ("attribute", "names"),
    [
        ("shout", ("shout",)),
        ("plain", ("plain",)),
        ("both", ("shout", "other")),
        ("several", ("plain", "shout", "other")),
        ("Kit.inner", ("inner",)),
    ],
)
def test_an_attribute_may_be_a_tool_a_function_a_toolset_or_several(
    folder: Path, attribute: str, names: tuple[str, ...]
) -> None:
    assert load_tools(f"{folder}/mytools.py:{attribute}").names == names
    sys.path.append(str(folder))
    assert load_tools(f"mytools:{attribute}").names == names


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("no_such_module:x", "No module named"),
        ("", "can't import"),
        ("{}/missing.py", "there is no file"),
        ("{}/broken.py", "no_such_module_here"),
        ("{}/empty.py", "holds no tools"),
        ("{}/mytools.py:nothing", "has no 'nothing'"),
        ("{}/mytools.py:number", "leads to a int"),
        ("{}/mytools.py:Kit", "leads to a type"),
    ],
)
def test_a_reference_that_leads_nowhere_says_why(folder: Path, reference: str, message: str) -> None:
    for _ in range(2):  # a failure leaves nothing behind that would hide it the second time
        with pytest.raises(ToolLoadError, match=message):
            load_tools(reference.format(folder))


def test_a_single_tool_needs_an_attribute_that_is_one(folder: Path) -> None:
    assert load_tool(f"{folder}/mytools.py:shout").name == "shout"
    with pytest.raises(ToolLoadError, match="names no tool"):
        load_tool(f"{folder}/mytools.py")
    with pytest.raises(ToolLoadError, match="holds 2 tools"):
        load_tool(f"{folder}/mytools.py:both")


@pytest.mark.e2e
@pytest.mark.parametrize("from_file", [True, False])
def test_another_process_finds_a_tool_by_its_reference(folder: Path, from_file: bool) -> None:
    sys.path.append(str(folder))
    loaded = load_tools(f"{folder}/mytools.py" if from_file else "mytools").get("other")
    assert loaded.reference == (f"{folder}/mytools.py:whisper" if from_file else "mytools:whisper")
    program = (
        "import sys; from constellation_tools import load_tool; print(load_tool(sys.argv[1]).call_sync({'text': 'A'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, loaded.reference], capture_output=True, text=True, cwd=folder, check=True
    )
    assert done.stdout == "a\n"


def test_what_cannot_be_imported_has_no_reference() -> None:
    class Holder:
        def method(self) -> None: ...

        @tool
        def marked(self) -> None: ...

    def local() -> None: ...

    assert tool(local).reference is None
    assert tool(Holder().method).reference is None
    assert Holder.marked.reference is None
    assert Holder().marked.reference is None
    assert tool(name="nameless")(lambda: None).reference is None
    pretending = Tool.from_function(second)
    pretending.__module__ = "__main__"
    assert pretending.reference is None
    renamed = Tool.from_function(second)
    renamed.__qualname__ = "first"
    assert renamed.reference is None
