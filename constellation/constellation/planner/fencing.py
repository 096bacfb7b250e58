r"""Data in prompts: what devices, tools and outputs say is fenced, shortened and scrubbed, so that it reads as data.

Everything that is not ours or the user's stands between `<data …>` and `</data>`. In there, `<` is written `\u003c`,
so nothing can close the fence, or open another. That a model keeps to it is not relied on: see `capabilities.py`.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..llm.scrubbing import scrub

BYTES_PER_TOKEN = 4
"""About what a token stands for: English text and JSON have three to five bytes per token in common tokenisers."""

_SECRET_NAME = re.compile(r"(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0e\ufeff"
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""What nobody sees but a model reads: controls, directions, fillers, invisible tags, and selectors of variants."""

NAME_CHARACTERS = 80
"""How much of a name is shown."""


def tokens_in(text: str) -> int:
    """About how many tokens a text is."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN)


def secrets_of(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The values in the environment that are secret by their names: keys, tokens, passwords."""
    known = os.environ if environment is None else environment
    return tuple(value for name, value in known.items() if value and _SECRET_NAME.search(name))


class Fence:
    """Makes text of data that a model may be shown."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Keep these secrets out, and what looks like one."""
        self._secrets = tuple(secrets)

    def text(self, value: Any, *, tokens: int) -> str:
        """A value as text that can't leave a fence, at most about so many tokens long; the middle is left out."""
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        text = scrub(_CONTROL.sub("", text), self._secrets)  # in this order: what nobody sees may part a secret
        text = text.replace("<", "\\u003c")
        most = max(tokens, 1) * BYTES_PER_TOKEN
        if len(text) <= most and tokens_in(text) <= tokens:
            return text
        while tokens_in(text[:most]) > tokens and most > BYTES_PER_TOKEN:
            most //= 2
        head, tail = most * 2 // 3, most // 3
        return f"{text[:head]} …[{len(text) - head - tail:,} characters left out]… {text[len(text) - tail :]}"

    def data(self, source: str, value: Any, *, tokens: int) -> str:
        """A value between fences; `source` is ours and says where it comes from."""
        return f'<data from="{source}">\n{self.text(value, tokens=tokens)}\n</data>'

    def name(self, value: str) -> str:
        """A name that came from outside, quoted."""
        shown = value if len(value) <= NAME_CHARACTERS else value[:NAME_CHARACTERS] + "…"
        return json.dumps(self.text(shown, tokens=NAME_CHARACTERS), ensure_ascii=False)

    def names(self, values: Iterable[str], *, most: int = 30) -> str:
        """Names that came from outside, so many of them at most."""
        known = list(values)
        shown = ", ".join(self.name(value) for value in known[:most]) or "none"
        return f"{shown} and {len(known) - most} more" if len(known) > most else shown
