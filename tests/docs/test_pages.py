"""What the documentation shows is true: its code runs, its documents are valid, its links lead somewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from constellation.graph.files import parse_text

from .pages import ROOT, Block, anchors, blocks, links, name_of, pages

RUN_PAGE = Path(__file__).with_name("run_page.py")
TIMEOUT_S = 110

LANGUAGES = {"python", "bash", "console", "yaml", "json", "toml", "mermaid", "text", "dot", "markdown", "hex", ""}
SHELL = ("bash", "console")
REASONS = re.compile(r"(needs (a|an|two|three) |installs |builds )")

every_page = pytest.mark.parametrize("page", pages(), ids=name_of)


def environment(home: Path) -> dict[str, str]:
    """The environment that a reader has, with a home of its own and our commands on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "CONSTELLATION_HOME": str(home), "PYTHONWARNINGS": "error", "NO_COLOR": "1"}


def commands(block: Block) -> list[str]:
    """The lines of a shell block that begin a command."""
    if block.language == "console":
        return [line[2:] for line in block.text.splitlines() if line.startswith("$ ")]
    joined = block.text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


@pytest.mark.e2e
@every_page
def test_the_code_blocks_run_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    runnable = {"python", *SHELL}
    if not any(block.language in runnable and not block.no_run for block in blocks(page)):
        return
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "error", RUN_PAGE, page],
        cwd=place,
        env=environment(tmp_path / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-4000:]


@every_page
def test_documents_shown_are_valid(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml" and re.search(r"^stars:", block.text, re.MULTILINE):
            parse_text(block.text, name_hint=f"{name_of(page)}:{block.line}")
        elif block.language == "json":
            rest = block.text.strip()
            while rest:
                _, end = json.JSONDecoder().raw_decode(rest)
                rest = rest[end:].lstrip()
        elif block.language == "toml":
            tomllib.loads(block.text)


@every_page
def test_shell_blocks_run_our_command_or_say_why_they_are_not_run(page: Path) -> None:
    for block in blocks(page):
        place = f"{name_of(page)}:{block.line}"
        assert block.language in LANGUAGES, f"{place}: what is {block.language!r}?"
        if block.no_run is not None:
            assert REASONS.match(block.no_run), f"{place}: {block.no_run!r} is no reason not to run a block"
        elif block.language in SHELL:
            for command in commands(block):
                assert command.split()[0] in ("constellation", "cat"), f"{place}: {command!r} needs a no-run marker"


@every_page
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?=`|\n|  )", page.read_text(encoding="utf-8")))
    assert named <= targets


@every_page
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: {name_of(target)} has {sorted(anchors(target))}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md" and page.is_file():
            reached.add(page)
            found = (link.partition("#")[0] for link in links(page) if not re.match(r"[a-z]+:", link))
            waiting += [(page.parent / path).resolve() for path in found if path]
    assert set(pages()) <= reached
