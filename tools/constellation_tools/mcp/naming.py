"""Names for a server's tools: what it calls them, in the letters that tools here may have, and no two alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from ..definition import MAX_NAME

_OTHER = re.compile(r"[^A-Za-z0-9_-]+")
_MARK_CHARS = 6


def tool_names(originals: Iterable[str], prefix: str = "") -> dict[str, str]:
    """Return our name for each of a server's names.

    A name that can stay as it is does so. One that had to be changed, and then is the same as another, gets a mark made
    from the original, as does one that is too long: so names do not depend on the order in which tools are listed.
    """
    unique = list(dict.fromkeys(originals))
    fitting = {name: prefix + (_OTHER.sub("_", name) or "tool") for name in unique}
    taken = {ours for name, ours in fitting.items() if ours == prefix + name and len(ours) <= MAX_NAME}
    changed = [ours for name, ours in fitting.items() if ours != prefix + name]
    names = {}
    for name, ours in fitting.items():
        is_changed = ours != prefix + name
        if len(ours) > MAX_NAME or (is_changed and (ours in taken or changed.count(ours) > 1)):
            mark = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_MARK_CHARS]
            ours = f"{ours[: MAX_NAME - _MARK_CHARS - 1]}_{mark}"
        names[name] = ours
    return names
