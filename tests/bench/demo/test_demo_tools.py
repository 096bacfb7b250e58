"""The demo's tools, called as a device calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from constellation_bench.demo import tools
from constellation_bench.demo.library import list_sources
from constellation_tools import Confined, ToolCancelled, ToolContext, ToolFailed, load_tools

pytestmark = pytest.mark.anyio


async def scan(library: Path, files: list[str], context: ToolContext) -> Any:
    return await tools.audit_scan.call({"root": str(library), "files": files}, context)


async def test_a_whole_audit_by_hand(library: Path) -> None:
    context = ToolContext()
    files = [source.path for source in list_sources(library)]
    scans = [await scan(library, files[at::2], context) for at in (0, 1)]
    look = await tools.audit_look.call({"root": str(library), "file": "strained_8.py"}, context)
    merged = await tools.audit_merge.call({"scans": scans, "looks": [look]}, context)
    assert merged["files"] == 21
    assert merged["functions"] == 8 + 8 + 2 + 1
    assert merged["marks"] == 8
    assert [file["file"] for file in merged["unparsable"]] == ["pack/broken.py"]
    assert "line 1" in merged["unparsable"][0]["reason"]
    assert [size["name"] for size in merged["longest"][:2]] == ["long_8", "long_7"]
    assert merged["looks"] == [look]
    assert look["worst"][0]["complexity"] == 99
    imports = await tools.audit_imports.call({"findings": merged["findings"]}, context)
    assert imports["cycles"] == [{"modules": 2, "members": ["pack.first", "pack.second"]}]
    assert imports["most_imported"][0] == {"module": "pack.first", "importers": 10}
    copies = await tools.audit_copies.call({"findings": merged["findings"]}, context)
    assert copies["worst"] == [{"lines": 12, "places": ["pack.first:4 copied", "pack.second:4 copied"]}]
    assert all(output["cpu_s"] >= 0 for output in (*scans, look, merged, imports, copies))


async def test_a_scan_puts_up_its_most_strained_modules(library: Path) -> None:
    found = await scan(library, [f"strained_{number}.py" for number in range(1, 9)], ToolContext())
    assert [module["module"] for module in found["worst"]] == ["strained_8", "strained_7", "strained_6", "strained_5"]
    assert [module["strain"] for module in found["worst"]] == [100, 95, 90, 85]


async def test_a_scan_says_how_far_it_has_come(library: Path) -> None:
    told: list[float | None] = []
    context = ToolContext(progress=lambda text, fraction, data: told.append(fraction))
    await scan(library, [f"plain_{number}.py" for number in range(1, 9)], context)
    assert told == [0.5, 1.0]


async def test_a_scan_stops_when_it_is_cancelled(library: Path) -> None:
    with pytest.raises(ToolCancelled):
        await scan(library, ["plain_1.py"], ToolContext(cancelled=lambda: True))


async def test_a_file_that_is_too_long_is_not_parsed(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "MAX_SOURCE_BYTES", 50)
    found = await scan(library, ["strained_1.py"], ToolContext())
    assert found["unparsable"] == [{"file": "strained_1.py", "reason": "longer than 50 bytes"}]


async def test_a_look_at_what_can_not_be_parsed_fails_with_the_place(library: Path) -> None:
    with pytest.raises(ToolFailed, match=r"pack/broken\.py can't be parsed: line 1"):
        await tools.audit_look.call({"root": str(library), "file": "pack/broken.py"})


async def test_a_look_at_a_module_without_functions_finds_none(library: Path) -> None:
    found = await tools.audit_look.call({"root": str(library), "file": "pack/__init__.py"})
    assert (found["functions"], found["mean_complexity"], found["worst"]) == (0, 0.0, [])


@pytest.mark.parametrize("tool", [tools.audit_scan, tools.audit_look])
async def test_no_tool_reads_outside_of_the_library(library: Path, tool: Any) -> None:
    file = "../outside.py"
    (library.parent / "outside.py").write_text("secret = 1\n")
    with pytest.raises(Confined):
        await tool.call({"root": str(library), **({"files": [file]} if tool is tools.audit_scan else {"file": file})})


async def test_a_module_that_cannot_be_read_fails_the_scan(library: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await scan(library, ["gone.py"], ToolContext())


async def test_devices_find_all_tools_by_the_module_and_may_repeat_each() -> None:
    found = load_tools("constellation_bench.demo.tools")
    assert sorted(found.names) == ["audit_copies", "audit_imports", "audit_look", "audit_merge", "audit_scan"]
    assert all(tool.idempotent and tool.reference for tool in found)
