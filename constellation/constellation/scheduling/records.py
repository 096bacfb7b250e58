"""Journal entries as bytes and back. A record says its own version, so that older journals stay readable for ever."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any, get_args

from pydantic import TypeAdapter

from ..graph import StarError
from . import events as ev
from .events import JournalEntry, RunEvent

RECORD_VERSION = 1

_ANY_EVENT: TypeAdapter[RunEvent] = TypeAdapter(ev.RunEvent)

_FLAT = {
    kind: (names := tuple(field.name for field in fields(kind)), attrgetter(*names))
    for kind in get_args(get_args(RunEvent)[0])
    if kind not in (ev.RunStarted, ev.GraphEdited)
}
"""The names and values of the fields of events that hold JSON only: several times as fast as through pydantic."""


def _plain(value: object) -> Any:
    if isinstance(value, StarError):
        return asdict(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


# Written as ASCII, so that text which is no valid Unicode, as a device may send it, comes back as it was.
_JSON = json.JSONEncoder(separators=(",", ":"), default=_plain)


def encode_entry(entry: JournalEntry) -> bytes:
    """An entry as JSON text."""
    event = entry.event
    flat = _FLAT.get(type(event))
    body = dict(zip(flat[0], flat[1](event), strict=True)) if flat else _ANY_EVENT.dump_python(event, mode="json")
    record: dict[str, Any] = {"v": RECORD_VERSION, "event": body}
    if entry.verdicts:
        record["verdicts"] = dict(entry.verdicts)
    return _JSON.encode(record).encode()


def decode_entry(body: bytes) -> JournalEntry:
    """An entry from its JSON text.

    Raises:
        ValueError: it is of a newer version, or no entry at all.
    """
    try:
        data = json.loads(body)
    except ValueError as error:
        raise ValueError(f"this is no journal record: {error}") from error
    if not isinstance(data, dict):
        raise ValueError("this is no journal record: not an object")
    version = data.get("v")
    if version != RECORD_VERSION:
        raise ValueError(f"this journal has records of version {version}; upgrade constellation-agents to read it")
    if "event" not in data:
        raise ValueError("this is no journal record: it has no event")
    event = _ANY_EVENT.validate_python(data["event"])
    return JournalEntry(event, data.get("verdicts", {}))
