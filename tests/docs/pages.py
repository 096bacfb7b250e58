"""The documentation as data: its pages, their code blocks, their headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w+-]*)(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)
_NO_RUN = re.compile(r"<!-- no-run: (?P<reason>[^>]*?) *-->\s*\Z")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence.
        text: The code, without the fence's indent.
        line: The number of its first line in the page.
        title: The file that it shows, which later blocks find beside them; else None.
        no_run: Why it can't be run; None when it is to be run.
    """

    language: str
    text: str
    line: int
    title: str | None
    no_run: str | None


def pages() -> list[Path]:
    """All pages, the README first."""
    own = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*own, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]


def name_of(page: Path) -> str:
    """A page's path for people."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        title = _TITLE.search(found["info"])
        no_run = _NO_RUN.search(text[: found.start()])
        yield Block(
            language=found["language"],
            text=re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE),
            line=text[: found.start("text")].count("\n") + 1,
            title=title[1] if title else None,
            no_run=no_run["reason"] if no_run else None,
        )


def links(page: Path) -> list[str]:
    """Where the links of a page lead, code left out."""
    return _LINK.findall(_prose(page))


@lru_cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of a page's headings, made as GitHub makes them."""
    return frozenset(
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    )


def _prose(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _FENCE.sub("", page.read_text(encoding="utf-8")))
