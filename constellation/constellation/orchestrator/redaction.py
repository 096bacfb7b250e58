"""Taking what is private out of journal records, so that they can be shown to strangers and still be replayed.

Everything that is text is replaced by as many `x`, unless it is known to say how a run went: ids, kinds, states,
triggers, conditions, names of tools, devices, labels and error types. What lies in payloads (arguments, outputs,
details of errors, a run's info) is replaced whatever it is called there, but for references, which a replay follows.
Numbers, truth values, keys, and the lengths of texts and lists stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PAYLOADS = frozenset({"arguments", "output", "details", "info"})
"""Keys below which nothing is ours."""

_REFERENCES = ({"$ref"}, {"$input"})
"""The keys of objects that stand for something else in arguments."""

_BY_STAR = frozenset({"stars", "records"})
"""Keys of objects whose own keys are ids of stars, which may be any words."""

_KEPT = frozenset(
    {
        "format", "kind", "op", "state", "trigger", "when", "type", "code",
        "run", "parent", "child", "star", "source", "target", "attempt", "id", "timer",
        "device", "memory", "tool", "requires", "on",
        "proposal", "about", "stars", "usd",
    }
)  # fmt: skip
"""Keys whose texts say how a run went, not what it was about."""


def redacted(value: Any) -> Any:
    """A copy of a record, or of a part of one that is no payload, without what is private."""
    if isinstance(value, Mapping):
        # The schema that a prompt's output has to fit may be an input of a nested constellation, too.
        references = ("arguments", "output") if "instruction" in value else ("arguments",)
        return {key: _under(key, item, keep_references=key in references) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(item) for item in value]
    return hidden(value)


def hidden(value: Any, *, keep_references: bool = False) -> Any:
    """A copy of a payload, every text of which is hidden."""
    if isinstance(value, str):
        return "x" * len(value)
    if isinstance(value, Mapping):
        if keep_references and value.keys() in _REFERENCES:
            return value
        return {key: hidden(item, keep_references=keep_references) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [hidden(item, keep_references=keep_references) for item in value]
    return value


def _under(key: str, value: Any, *, keep_references: bool) -> Any:
    """What stands under a key of something that is no payload."""
    if key in _PAYLOADS:
        return hidden(value, keep_references=keep_references)
    if key in _BY_STAR and isinstance(value, Mapping):
        return {star: redacted(item) for star, item in value.items()}
    if key in _KEPT and _is_flat(value):
        return value
    return redacted(value)


def _is_flat(value: Any) -> bool:
    """Whether nothing lies further in: texts and numbers, or a list or a mapping of such."""
    inside = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return not any(isinstance(item, (Mapping, list, tuple)) for item in inside)
