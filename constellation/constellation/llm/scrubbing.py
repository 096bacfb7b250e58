"""Secrets are taken out of what is written down or shown: recordings, and messages of errors."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote

HIDDEN = "[secret]"

_LOOKS_SECRET = re.compile(
    r"\b(?:sk|pk|rk|xai|gsk|hf|ghp|gho|github_pat|AIza|AKIA|ASIA|xox[abps])[-_]?[A-Za-z0-9*][A-Za-z0-9_*-]{14,}"
    r"|(?<=Bearer )[A-Za-z0-9._~+/*-]{8,}=*"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
)
"""What keys of well-known services and JSON web tokens look like."""

_SHORTEST = 6
"""What is shorter is no secret, and replacing it would spoil ordinary text."""


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without these secrets, and without what looks like one."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            for form in _forms(secret):
                text = text.replace(form, HIDDEN)
    return _LOOKS_SECRET.sub(HIDDEN, text)


@lru_cache(maxsize=256)
def _forms(secret: str) -> tuple[str, ...]:
    """A secret as it is, as it stands in JSON, in JSON within JSON (the arguments of calls), and in a URL."""
    once = {json.dumps(secret, ensure_ascii=plain)[1:-1] for plain in (False, True)}
    twice = {json.dumps(form, ensure_ascii=False)[1:-1] for form in once}
    return tuple(sorted({secret, *once, *twice, quote(secret, safe="")}, key=len, reverse=True))
