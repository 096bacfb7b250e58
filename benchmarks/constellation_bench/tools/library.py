"""What a tool library has to be able to do to be measured: make a tool, show its schema, call it with JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

Function = Callable[..., Any]


class Library(Protocol):
    """A module of `libraries`."""

    context: Any
    """The class of a parameter that the library fills in; None where there is none."""

    def make(self, function: Function) -> Any:
        """Make a tool of a function, sync or async, in the way that the library's documentation shows."""

    def make_quick(self, function: Function) -> Any:
        """Make a tool of a sync function that does not block; as `make` where that makes no difference."""

    def schema(self, made: Any) -> Mapping[str, Any]:
        """The schema of its arguments, as a model is told of it."""

    def description(self, made: Any) -> str:
        """Its description, as a model is told of it."""

    async def call(self, made: Any, arguments: dict[str, Any]) -> Any:
        """Call it, with arguments that came as JSON; raises when they are refused."""
