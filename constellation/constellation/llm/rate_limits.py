"""What providers say of their rate limits in headers, and until when that holds requests back. No clock of its own."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_SPAN = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

LIMITED = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
    ("anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"),
    ("anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"),
)
"""Headers that say how much is left, and when there is more."""


def span_s(text: str, *, now: datetime) -> float | None:
    """Seconds until what a header says: `12`, `1m30s`, `20ms`, an HTTP date or an ISO time; None if it says nothing."""
    text = text.strip()
    try:
        seconds = float(text)
    except ValueError:
        pass
    else:
        return None if math.isnan(seconds) else max(seconds, 0.0)
    spans = list(_SPAN.finditer(text))
    if spans and "".join(span[0] for span in spans) == text:
        return sum(float(span["number"]) * _SECONDS[span["unit"]] for span in spans)
    return _until(text, now)


def _until(text: str, now: datetime) -> float | None:
    for read in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = read(text)
        except (ValueError, OverflowError):
            continue
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return max((moment - now).total_seconds(), 0.0)
    return None


def retry_after_s(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """How long a provider asks to wait, in seconds; None where it does not."""
    if (milliseconds := headers.get("retry-after-ms")) is not None:
        try:
            asked_ms = float(milliseconds)
        except ValueError:
            asked_ms = math.nan
        if not math.isnan(asked_ms):
            return max(asked_ms / 1e3, 0.0)
    asked = headers.get("retry-after")
    return None if asked is None else span_s(asked, now=now)


class RateGate:
    """Holds back the requests of a client while its provider would refuse them. Times are on the caller's clock."""

    def __init__(self) -> None:
        """Hold nothing back."""
        self._open_at = float("-inf")

    def observe(self, headers: Mapping[str, str], *, at: float, now: datetime) -> None:
        """Take in the headers of an answer that came at `at`, the moment `now`."""
        for remaining, reset in LIMITED:
            if headers.get(remaining, "").strip() == "0" and (until := headers.get(reset)) is not None:
                self.hold(span_s(until, now=now) or 0.0, at=at)

    def hold(self, for_s: float, *, at: float) -> None:
        """Hold back for so many seconds from `at`, if not for longer already."""
        self._open_at = max(self._open_at, at + for_s)

    def wait_s(self, at: float) -> float:
        """How long a request has to wait at `at`, in seconds."""
        return max(self._open_at - at, 0.0)
