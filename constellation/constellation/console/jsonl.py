"""A run as JSON lines: each event as one object on one line, handed on at once, for programs to read."""

from __future__ import annotations

import json
from typing import TextIO

from ..orchestrator.events import Event
from .output import write_text


def json_line(event: Event) -> str:
    """The event on one line, in ASCII, so that no terminal, log or encoding takes it for more than text."""
    return json.dumps(event.as_json(), separators=(",", ":"), default=str)


class JsonLines:
    """Prints every event as a JSON line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Print an event; raises OutputClosed when the reader has gone away."""
        write_text(json_line(event), self._stream)
