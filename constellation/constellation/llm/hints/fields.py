"""What dialects are made of: fields of a request that a server may understand, each of which can be left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .hint import WorkflowHint

Place = Literal["body", "header", "marks"]


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that a server is told.

    Attributes:
        place: In the body, in a header, or as marks on blocks of the messages up to which the provider caches.
        path: Where in the body, from the top; the header's name alone; for marks, the name of the mark.
        value: JSON; a string for a header.
    """

    place: Place
    path: tuple[str, ...]
    value: Any = field(hash=False)

    @property
    def key(self) -> str:
        """What it is remembered by."""
        return f"{self.place}:{'.'.join(self.path)}"


def body(*path: str, value: Any) -> Field:
    """A field of the body."""
    return Field("body", path, value)


def header(name: str, value: str) -> Field:
    """A header. What can't stand in one is left out of its value, so that no name of a run ends a line."""
    return Field("header", (name,), re.sub(r"[^\x21-\x7e]", "_", value)[:256])


def marks(name: str, value: Mapping[str, str]) -> Field:
    """Marks on the blocks up to which the provider is to cache."""
    return Field("marks", (name,), dict(value))


class Dialect(Protocol):
    """How one kind of server is told of a workflow. Never a union: strict servers refuse what is not theirs."""

    @property
    def name(self) -> str:
        """What it is chosen by."""
        ...

    def fields(self, hint: WorkflowHint) -> tuple[Field, ...]:
        """What a server is told of this hint."""
        ...


def named_in(message: str, fields: Iterable[Field]) -> frozenset[str]:
    """The keys of the fields that a server's complaint names.

    A field is named by the last part of its path. Where no field is, whatever stands below a named part of a path is:
    a server that does not know `nvext` complains of that.
    """
    fields = tuple(fields)
    words = set(re.findall(r"[A-Za-z0-9_-]+", message.lower()))
    innermost = frozenset(each.key for each in fields if each.path[-1].lower() in words)
    if innermost:
        return innermost
    return frozenset(each.key for each in fields if any(part.lower() in words for part in each.path[:-1]))


class HintMemory:
    """What a server has refused, so that it is not sent again. One per server, shared by those who talk to it."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._refused: set[str] = set()

    @property
    def refused(self) -> frozenset[str]:
        """The keys of the fields that were refused."""
        return frozenset(self._refused)

    def accepted(self, fields: Iterable[Field]) -> tuple[Field, ...]:
        """Those that were not refused."""
        return tuple(each for each in fields if each.key not in self._refused)

    def learn(self, message: str, sent: Iterable[Field]) -> frozenset[str]:
        """Take in a complaint; returns the keys of what it names among what was sent, empty when that is nothing."""
        found = named_in(message, sent)
        self._refused |= found
        return found
