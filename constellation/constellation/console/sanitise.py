"""The one place where text from stars, tools and devices becomes fit to be shown.

Such text is written by programs and models elsewhere. Left as it is, it could move the cursor, rename the window, hide
what comes after it, or look like a line of ours. So everything that acts instead of showing is replaced by its name.
"""

from __future__ import annotations

import unicodedata

_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Co", "Cn"})
"""Unicode's categories of characters that are not ink: controls, formats, halves of pairs, separators, unassigned."""

_SHORT = {"\t": "\\t", "\n": "\\n", "\r": "\\r", "\x1b": "\\e", "\0": "\\0"}

_ELLIPSIS = "…"


def visible(text: object, *, limit: int | None = None) -> str:
    r"""The text on one line, with everything that would act on a terminal made visible.

    Args:
        text: Anything; what is not a string is shown by `str`.
        limit: The most characters to return; what is cut off is marked by an ellipsis.

    Examples:
        >>> visible("done\x1b[2J\nerror: none")
        'done\\e[2J\\nerror: none'
    """
    whole = text if isinstance(text, str) else str(text)
    # The longest texts are cut before the work is done: a megabyte on one line of a log shows nothing more.
    shown = whole if limit is None else whole[: limit + 1]
    if not shown.isprintable():
        shown = "".join(character if character.isprintable() else _name(character) for character in shown)
    if limit is not None and len(shown) > limit:
        shown = shown[: max(limit - 1, 0)] + _ELLIPSIS
    return shown


def visible_lines(text: str, *, limit: int | None = None) -> list[str]:
    """The lines of a text, each made visible; empty lines at the end are left out."""
    return [visible(line, limit=limit) for line in text.rstrip().split("\n")]


def _name(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if unicodedata.category(character) not in _ACTING:
        return " "  # a space of another width
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
