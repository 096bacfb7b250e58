"""Journal entries as bytes and back. A record says its own version, so that older journals stay readable for ever."""

from __future__ import annotations

import json
from typing import Any

from pydantic import TypeAdapter

from . import events as ev
from .events import JournalEntry, RunEvent

RECORD_VERSION = 1

_ANY_EVENT: TypeAdapter[RunEvent] = TypeAdapter(ev.RunEvent)


def encode_entry(entry: JournalEntry) -> bytes:
    """An entry as JSON text."""
    body = _ANY_EVENT.dump_json(entry.event)
    if not entry.verdicts:
        return b'{"v":%d,"event":%b}' % (RECORD_VERSION, body)
    verdicts = json.dumps(dict(entry.verdicts), separators=(",", ":")).encode()
    return b'{"v":%d,"verdicts":%b,"event":%b}' % (RECORD_VERSION, verdicts, body)


def decode_entry(body: bytes) -> JournalEntry:
    """An entry from its JSON text.

    Raises:
        ValueError: it is of a newer version, or no entry at all.
    """
    data: dict[str, Any] = json.loads(body)
    version = data.get("v")
    if version != RECORD_VERSION:
        raise ValueError(f"this journal has records of version {version}; upgrade constellation-agents to read it")
    event = _ANY_EVENT.validate_python(data["event"])
    return JournalEntry(event, data.get("verdicts", {}))
