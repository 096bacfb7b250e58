"""Calls put together from the pieces of a stream.

Pieces belong to a call by index and id. Servers differ: some send the id with every piece, some only with the first,
some no index at all, and some one index for all calls; a new id always begins a new call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .calls import JSON, NAMELESS, CallPart, ToolCall

ReadPart = Callable[[Mapping[str, Any]], Iterable[CallPart]]
"""The pieces of calls in one event of a provider's stream."""

MakeCall = Callable[[str, str, Any, Mapping[str, JSON]], ToolCall]
"""Makes a call of id, name, arguments and extra."""


@dataclass(slots=True, eq=False)
class _Growing:
    index: int | str | None
    id: str
    name: str = ""
    texts: list[str] = field(default_factory=list)
    arguments: Any = None
    extra: dict[str, JSON] = field(default_factory=dict)
    told: bool = False


class CallStream:
    """Takes a provider's events and gives calls as soon as they are complete."""

    def __init__(self, read: ReadPart, make: MakeCall) -> None:
        """Begin with nothing; `Offer.stream` is the way to get here."""
        self._read = read
        self._make = make
        self._growing: list[_Growing] = []

    def feed(self, event: Mapping[str, Any]) -> list[ToolCall]:
        """Take one event; returns the calls that are complete with it."""
        complete: list[ToolCall] = []
        for part in self._read(event):
            growing = self._of(part)
            if growing is None:
                continue
            growing.name = growing.name or part.name
            growing.extra.update(part.extra)
            if part.text:
                growing.texts.append(part.text)
            if part.arguments is not None:
                growing.arguments = part.arguments
            if part.ends and not growing.told:
                complete.append(self._completed(growing))
        return complete

    def finish(self) -> list[ToolCall]:
        """The stream is over: returns the calls that were not known to be complete before."""
        return [self._completed(growing) for growing in self._growing if not growing.told]

    def _of(self, part: CallPart) -> _Growing | None:
        """The call that a piece belongs to; None for pieces of what is no call, such as the end of a text."""
        for growing in reversed(self._growing):
            if part.id and growing.id and part.id != growing.id:
                continue
            if part.index is not None and growing.index is not None and part.index != growing.index:
                continue
            known = bool(part.id and part.id == growing.id) or (part.index is not None and part.index == growing.index)
            if known or (not part.id and part.index is None and not part.name):
                growing.id = growing.id or part.id
                return growing
        if not part.id and not part.name:
            return None
        growing = _Growing(part.index, part.id)
        self._growing.append(growing)
        return growing

    def _completed(self, growing: _Growing) -> ToolCall:
        growing.told = True
        arguments = "".join(growing.texts) if growing.arguments is None else growing.arguments
        id = growing.id or f"{NAMELESS}{self._growing.index(growing)}"
        return self._make(id, growing.name, arguments, growing.extra)
