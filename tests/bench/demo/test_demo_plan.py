"""What an audit is going to do: which files, in which parts, as which graph, on which devices."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from constellation import ToolCall, read_file, write_text
from constellation.graph.documents import dump
from constellation_bench.demo import library as library_module
from constellation_bench.demo.fleet import MAX_DEVICES, MIN_DEVICES, make_fleet
from constellation_bench.demo.library import SourceFile, TooManyFiles, deal, inside, list_sources
from constellation_bench.demo.plan import COPIES, IMPORTS, MERGE, plan_audit
from constellation_tools import Confined

ROOT = Path("/library")

sources = st.lists(
    st.builds(SourceFile, st.from_regex(r"[a-z]{1,8}(/[a-z]{1,8}){0,2}\.py", fullmatch=True), st.integers(0, 10**6)),
    unique_by=lambda source: source.path,
    min_size=1,
    max_size=60,
)


@given(sources, st.integers(), st.integers(1, 20))
@settings(max_examples=40, deadline=None)
def test_the_same_seed_plans_the_same_graph(files: list[SourceFile], seed: int, parts: int) -> None:
    assert dump(plan_audit(ROOT, files, seed=seed, parts=parts)) == dump(
        plan_audit(ROOT, list(files), seed=seed, parts=parts)
    )


@given(sources, st.integers(), st.integers(1, 20))
@settings(max_examples=60, deadline=None)
def test_every_file_is_in_one_part_and_no_part_is_empty(files: list[SourceFile], seed: int, parts: int) -> None:
    dealt = deal(files, seed=seed, parts=parts)
    assert sorted(source.path for part in dealt for source in part) == sorted(source.path for source in files)
    assert len(dealt) == min(parts, len(files))
    assert all(dealt)


def test_another_seed_deals_the_files_otherwise() -> None:
    files = [SourceFile(f"m{number}.py", 100) for number in range(40)]
    assert deal(files, seed=1, parts=4) != deal(files, seed=2, parts=4)


def test_parts_hold_about_the_same_number_of_bytes() -> None:
    files = [SourceFile(f"m{number}.py", 100 + number % 50) for number in range(400)]
    loads = [sum(source.size for source in part) for part in deal(files, seed=3, parts=8)]
    assert max(loads) - min(loads) <= 150


def test_the_analyses_wait_for_the_merge_and_the_merge_for_all_scans() -> None:
    files = [SourceFile(f"m{number}.py", 10) for number in range(5)]
    graph = plan_audit(ROOT, files, seed=0, parts=3)
    assert [line.source for line in graph.lines_into(MERGE)] == ["scan-01", "scan-02", "scan-03"]
    assert {line.target for line in graph.lines_from(MERGE)} == {IMPORTS, COPIES}


def test_the_graph_survives_a_file(tmp_path: Path) -> None:
    graph = plan_audit(ROOT, [SourceFile("a.py", 1), SourceFile("b.py", 2)], seed=0, parts=2)
    file = tmp_path / "audit.yaml"
    file.write_text(write_text(graph))
    assert dump(read_file(file)) == dump(graph)


def test_sources_are_listed_in_order_without_tests_and_what_was_installed_beside_them(library: Path) -> None:
    (library / "site-packages").mkdir()
    (library / "site-packages" / "other.py").write_text("")
    (library / "notes.txt").write_text("")
    paths = [source.path for source in list_sources(library)]
    assert paths == sorted(paths)
    assert paths[0] == "pack/__init__.py"
    assert len(paths) == 21
    assert not any("test" in path or "site-packages" in path for path in paths)


def test_links_that_lead_out_of_the_library_are_passed_by(library: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.py"
    secret.write_text("password = 1\n")
    (library / "linked.py").symlink_to(secret)
    assert "linked.py" not in [source.path for source in list_sources(library)]


def test_links_to_nothing_are_passed_by(library: Path) -> None:
    (library / "gone.py").symlink_to(library / "nowhere.py")
    assert "gone.py" not in [source.path for source in list_sources(library)]


def test_a_directory_of_too_many_files_is_refused(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_module, "MAX_FILES", 3)
    with pytest.raises(TooManyFiles, match="give a smaller directory"):
        list_sources(library)


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list_sources(tmp_path / "nowhere")


def test_a_file_is_no_library(library: Path) -> None:
    with pytest.raises(NotADirectoryError):
        list_sources(library / "plain_1.py")


@pytest.mark.parametrize("file", ["../secret.py", "/etc/passwd", "pack/../../secret.py"])
def test_a_file_is_never_looked_for_outside_of_the_library(library: Path, file: str) -> None:
    with pytest.raises(Confined):
        inside(library, file)


@pytest.mark.parametrize("devices", range(MIN_DEVICES, MAX_DEVICES + 1))
def test_any_one_device_can_be_lost_and_another_can_do_its_work(devices: int) -> None:
    fleet = make_fleet(devices, root=ROOT)
    graph = plan_audit(ROOT, [SourceFile("a.py", 1)], seed=0, parts=1)
    assert len({spec.name for spec in fleet}) == devices
    for lost in fleet:
        left = [spec.labels for spec in fleet if spec is not lost]
        for star in graph:
            assert isinstance(graph[star].work, ToolCall)
            assert any(graph[star].requires.items() <= labels.items() for labels in left), (lost.name, star)


def test_the_four_devices_differ_in_their_labels() -> None:
    fleet = make_fleet(4, root=ROOT)
    assert [spec.name for spec in fleet] == ["scanner-1", "scanner-2", "scanner-3", "analyst-1"]
    assert len({tuple(sorted(spec.labels.items())) for spec in fleet}) == 4
