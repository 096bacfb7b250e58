"""The page on writing constellations: its Python runs, and its files are constellations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from constellation.graph.files import parse_text

PAGE = (Path(__file__).parents[2] / "docs" / "graph.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("language", "code"), BLOCKS, ids=[f"{index}-{block[0]}" for index, block in enumerate(BLOCKS)]
)
def test_a_block_of_the_page_is_what_it_says(language: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    if language == "python":
        exec(compile(code, "docs/graph.md", "exec"), {"__name__": "__main__"})
    else:
        assert len(parse_text(code, yaml={"yaml": True, "json": False}[language])) > 1
