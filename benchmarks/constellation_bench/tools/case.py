"""A case: a function, calls that have to reach it with the right values, and calls that must not reach it.

What is right follows from JSON Schema and from the function's signature, and is written down by hand in `cases/`;
nothing of it comes from a library's output.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .library import Library

Arguments = Mapping[str, Any]
"""Arguments of a call, as JSON types."""

Calls = list[tuple[Arguments, tuple[Any, ...]]]
"""Arguments, each with the values that the function has to get."""

Refused = list[Arguments]
"""Arguments that must not reach the function."""

Says = dict[str, dict[str, Any]]
"""What a schema has to state, by property."""

RECEIVED: list[tuple[Any, ...]] = []
"""What the functions of cases have been called with since this was last emptied."""


def got(*values: Any) -> None:
    """Called by a case's function: these are the values that have reached it."""
    RECEIVED.append(values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a case is about.

    Attributes:
        function: The function; None where the library has no way to write it.
        made: The tool, where it has to be made in the place where the function is written.
        good: Arguments that the schema has to accept, each with the values that the function has to get.
        lenient: Arguments that models send though the schema does not accept them, with the values all the same.
        bad: Arguments that the schema has to reject, and that must not reach the function.
        unsaid: Arguments that must not reach the function, though JSON Schema can't say, or assert, why.
        says: What the schema has to state, by property; references are followed and `anyOf` is looked into.
        description: What the tool's description has to contain.
        names: The properties that the schema has to have, where they are not all of the function's parameters.
        refused: The name of the parameter because of which a library has to refuse the function.
    """

    function: Callable[..., Any] | None
    made: Any = None
    good: Sequence[tuple[Arguments, tuple[Any, ...]]] = ()
    lenient: Sequence[tuple[Arguments, tuple[Any, ...]]] = ()
    bad: Sequence[Arguments] = ()
    unsaid: Sequence[Arguments] = ()
    says: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    description: str = ""
    names: Sequence[str] | None = None
    refused: str | None = None

    @property
    def properties(self) -> set[str]:
        """The properties that the schema has to have, and no others."""
        assert self.function is not None
        return set(inspect.signature(self.function).parameters if self.names is None else self.names)


Make = Callable[["Library"], Spec]
"""Makes a case's specification for a library."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case by its name and group."""

    group: str
    name: str
    make: Make


def same(left: Any, right: Any) -> bool:
    """Whether two values are equal and of the same types, at any depth."""
    if type(left) is not type(right):
        return False
    if isinstance(left, Mapping):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)


class Group:
    """Collects the cases of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cases: list[Case] = []

    def case(self, make: Callable[[], Spec]) -> Callable[[], Spec]:
        """Add a case; the function's name, with blanks, is what it is called."""
        self.cases.append(Case(self.name, make.__name__.strip("_").replace("_", " "), lambda library: make()))
        return make

    def case_of_library(self, make: Make) -> Make:
        """Add a case that is written with the library's own means."""
        self.cases.append(Case(self.name, make.__name__.strip("_").replace("_", " "), make))
        return make
