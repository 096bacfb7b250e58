"""Text that comes from a server, made harmless to show and cut to a length: it is data, whatever it says."""

from __future__ import annotations

import re

# Control characters but tab and line feed, and those that turn the direction of text around or can't be seen.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\U000e0000-\U000e007f]"
)


def cleaned(text: str | None, limit: int) -> str:
    """Text without what people can't see, at most `limit` characters of it and a note on how many there were."""
    if not text:
        return ""
    visible = _UNSEEN.sub("", text.replace("\r\n", "\n").encode("utf-8", "replace").decode())
    if len(visible) <= limit:
        return visible.strip()
    return f"{visible[:limit].rstrip()}… ({len(visible) - limit} more characters)"
