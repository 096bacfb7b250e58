"""What was too long to show whole, kept so that the model can read the rest of it piece by piece."""

from __future__ import annotations

from constellation_tools import ToolFailed

MAX_KEPT_CHARS = 8_000_000
"""How much is kept in all; the oldest goes first."""

MAX_PIECE_CHARS = 8_000
"""How much `read_more` gives at once."""


class Shelf:
    """Texts by the names that the model knows them by."""

    def __init__(self, *, max_chars: int = MAX_KEPT_CHARS) -> None:
        """Keep nothing yet."""
        self._texts: dict[str, str] = {}
        self._chars = 0
        self._max_chars = max_chars

    def keep(self, source: str, text: str) -> None:
        """Keep a text; what is longer than all that may be kept is cut."""
        text = text[: self._max_chars]
        self._chars += len(text) - len(self._texts.pop(source, ""))
        self._texts[source] = text
        while self._chars > self._max_chars:
            self._chars -= len(self._texts.pop(next(iter(self._texts))))

    def read_more(self, source: str, offset: int = 0) -> str:
        """Read on in an input or a result that was shown shortened.

        Args:
            source: What the note in the shortened text names.
            offset: The character to begin at.
        """
        text = self._texts.get(source)
        if text is None:
            known = ", ".join(self._texts) or "nothing"
            raise ToolFailed(f"nothing is kept under {source!r}; there is {known[:500]}")
        if not 0 <= offset < max(len(text), 1):
            raise ToolFailed(f"{source!r} has {len(text)} characters; give an offset from 0 to {max(len(text) - 1, 0)}")
        end = min(offset + MAX_PIECE_CHARS, len(text))
        rest = f"\n[… goes on at {end} of {len(text)} …]" if end < len(text) else ""
        return f"{text[offset:end]}{rest}"
