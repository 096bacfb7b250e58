"""Validation errors in words that a model or a person can repair a call from: where, what was expected, what came."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from .errors import ArgumentProblem

_SHOWN_CHARACTERS = 60
_PREFIX = re.compile(r"^(?:Input should be |Value error, |Assertion failed, )")
_SUBJECT = re.compile(r"^(String|List|Tuple|Set|Dictionary|Data|Value|URL|Decimal input) should ")
_JSON_NAMES = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def problems_of(
    details: Iterable[ErrorDetails], arguments: Mapping[str, Any], known: tuple[str, ...]
) -> tuple[ArgumentProblem, ...]:
    """Translate pydantic's errors; the alternatives of a union at one place become one problem."""
    found: dict[str, tuple[list[str], str]] = {}
    for detail in details:
        place = place_of(detail, arguments)
        path = path_text(place)
        expected, got = _expected(detail, known if len(place) == 1 else ()), _got(detail)
        alternatives, _ = found.setdefault(path, ([], got))
        if expected not in alternatives:
            alternatives.append(expected)
    return tuple(ArgumentProblem(path, " or ".join(expected), got) for path, (expected, got) in found.items())


def shown(value: Any) -> str:
    """Show a value as its JSON type and its shortened JSON text."""
    if value is None:
        return "null"
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return f"a Python {type(value).__name__}"
    if len(text) > _SHOWN_CHARACTERS:
        text = text[: _SHOWN_CHARACTERS - 1] + "…"
    return f"{_JSON_NAMES.get(type(value), type(value).__name__)} {text}"


def place_of(detail: ErrorDetails, arguments: Any) -> tuple[str | int, ...]:
    """Follow a location through the arguments; steps that are not in them name pydantic's alternatives, not places."""
    place: list[str | int] = []
    value: Any = arguments
    last = len(detail["loc"]) - 1
    for index, step in enumerate(detail["loc"]):
        in_list = isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)
        if in_list or (isinstance(value, Mapping) and step in value):
            value = value[step]
        elif index != last or detail["type"] not in ("missing", "missing_argument"):
            continue
        place.append(step)
    return tuple(place)


def path_text(place: Iterable[str | int]) -> str:
    """Write a place among arguments as people do: `items[2].name`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(steps).removeprefix(".") or "arguments"


def _expected(detail: ErrorDetails, known: tuple[str, ...]) -> str:
    if detail["type"] == "missing":
        return "a value, it is required"
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(str(detail["loc"][-1]), known, n=1)
        if close:
            return f"no such argument, did you mean {close[0]!r}?"
        return f"one of the arguments {', '.join(known)}" if known else "nothing of this name"
    message = _PREFIX.sub("", detail["msg"])
    return _SUBJECT.sub(lambda match: f"a {match[1].lower()} that should ", message)


def _got(detail: ErrorDetails) -> str:
    return "nothing" if detail["type"] == "missing" else shown(detail["input"])
