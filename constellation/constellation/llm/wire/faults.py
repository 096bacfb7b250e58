"""Which of our errors a provider's error is: told by its status, its code and its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import (
    AccessDenied,
    ContextOverflow,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    RequestRefused,
    ServerFault,
)
from ..rate_limits import retry_after_s
from ..scrubbing import scrub

_OVERFLOW = re.compile(
    r"context[_ ]length|context window|context size|maximum context|prompt is too long|input is too long"
    r"|too many (input )?tokens|maximum number of tokens|exceeds? the (model'?s )?max",
    re.IGNORECASE,
)
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})

_TOLD = 2_000
"""How many characters of a provider's message are told."""

_WORTH_RETRYING = frozenset({408, 409, 425})
"""Statuses below 500 that say that the request itself was right: too slow, in conflict, too early."""


def fault_of(
    status: int | None,
    body: Any,
    headers: Mapping[str, str],
    *,
    provider: str,
    message: str = "",
    secrets: Iterable[str] = (),
    now: datetime | None = None,
) -> ProviderError:
    """The error that a provider's answer stands for.

    Args:
        status: The HTTP status; None for an error in the middle of a stream that bears none.
        body: What came with it: JSON, or text.
        headers: Those of the answer, names in lower case.
        provider: Who answered.
        message: What to tell where the body says nothing.
        secrets: What must not be told.
        now: When it came, for waits that are given as a date.
    """
    told, code, number = _words(body)
    problem = scrub(told or message or "it gave no reason", secrets)[:_TOLD]
    if status is None:
        status = number
    asked_s = retry_after_s(headers, now=now or datetime.now(UTC))
    kind = _kind(status, code, problem)
    return kind(problem, provider=provider, status=status, code=code, retry_after_s=asked_s)


def _kind(status: int | None, code: str, problem: str) -> type[ProviderError]:
    if code in _QUOTA_CODES or status == 402:
        return QuotaExhausted
    if status in (None, 400, 413, 422) and (code in _OVERFLOW_CODES or _OVERFLOW.search(problem)):
        return ContextOverflow
    if status in (401, 403):
        return AccessDenied
    if status == 429:
        return RateLimited
    if status is None or status >= 500 or status in _WORTH_RETRYING:
        return ServerFault
    return RequestRefused


def _words(body: Any) -> tuple[str, str, int | None]:
    """What a body says, its code, and the HTTP status where the body has that.

    Servers differ: `error` may be an object or a string, or `detail` or nothing. llama.cpp and vLLM give the status as
    the code, and what others give as the code as the type.
    """
    if not isinstance(body, Mapping):
        return (body if isinstance(body, str) else ""), "", None
    inner = body.get("error", body)
    if not isinstance(inner, Mapping):
        return str(inner), "", None
    told = inner.get("message") or inner.get("detail") or body.get("detail") or ""
    code, kind = str(inner.get("code") or ""), str(inner.get("type") or "")
    number = int(code) if len(code) == 3 and code.isdecimal() and 400 <= int(code) <= 599 else None
    if number is not None or not code:
        code = kind or code
    return _told(told), code, number


def _told(told: Any) -> str:
    """A complaint in words. Of a list of what does not fit, what was sent is left out: only what is wrong counts.

    Else a complaint about anything would name all fields of the request.
    """
    if isinstance(told, list) and all(isinstance(each, Mapping) and "msg" in each for each in told):
        return "; ".join(f"{'.'.join(map(str, each.get('loc') or ()))}: {each['msg']}" for each in told)
    return told if isinstance(told, str) else str(told)
