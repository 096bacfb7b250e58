"""Where lines go: a terminal with colours, or a pipe, one complete line at a time."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TextIO

from .lines import Line, Tone

if TYPE_CHECKING:
    from rich.console import Console

_STYLES: Mapping[Tone, str] = {
    Tone.PLAIN: "",
    Tone.HEAD: "bold",
    Tone.GOOD: "green",
    Tone.BAD: "bold red",
    Tone.WARN: "yellow",
    Tone.DIM: "dim",
}


class OutputClosed(Exception):
    """Raised when the reader of our output has gone away, as `head` does."""


def style_of(tone: Tone) -> str:
    """The style, in rich's words, for lines that matter this much."""
    return _STYLES[tone]


def write_text(text: str, stream: TextIO | None = None) -> None:
    """Write text and a line break, and hand them on at once.

    Raises:
        OutputClosed: the reader has gone away.
    """
    target = sys.stdout if stream is None else stream
    try:
        target.write(text + "\n")
        target.flush()
    except BrokenPipeError:
        raise OutputClosed from None


def is_live_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream is a terminal on which a picture can be drawn over and over."""
    target = sys.stdout if stream is None else stream
    encoding = (getattr(target, "encoding", None) or "").lower().replace("-", "")
    return target.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "") and encoding.startswith("utf")


class Printer:
    """Prints lines: coloured on a terminal, as they are elsewhere. Colours follow NO_COLOR.

    Args:
        stream: Where to; the standard output of the moment when None.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._console: Console | None = None
        if is_live_terminal(self._stream):
            from rich.console import Console

            self._console = Console(file=self._stream, highlight=False, markup=False, emoji=False)

    def line(self, line: Line, *, prefix: str = "") -> None:
        """Print a line; raises OutputClosed when the reader has gone away."""
        if self._console is None:
            write_text(prefix + line.text, self._stream)
        else:
            self._console.print(prefix + line.text, style=style_of(line.tone), soft_wrap=True)
