"""Secrets are taken out of what is written down or shown: recordings, and messages of errors."""

from __future__ import annotations

import re
from collections.abc import Iterable

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
            text = text.replace(secret, HIDDEN)
    return _LOOKS_SECRET.sub(HIDDEN, text)
