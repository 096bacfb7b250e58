"""What is derived from a tool's function: its signature, and how arguments and results are checked and converted."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

from .annotations import gathered_type
from .arguments import Arguments
from .docstrings import parse_docstring
from .errors import ToolDefinitionError
from .results import Results, names_matter
from .signature import read_signature, underlying_function

MAX_NAME = 64
"""The most characters of a tool's name."""

_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_NAME}}}")


class Definition:
    """A function's signature, arguments and results; the latter are derived when they are first asked for.

    Attributes:
        signature: What the function takes and returns.
        arguments: Its validator.
        streams: Whether it is a generator function, whose result is all that it yields.
        direct: Whether converted arguments are its keyword arguments as they are, and what it returns is the result.
    """

    def __init__(self, name: str, function: Callable[..., Any], names: Mapping[str, Any]) -> None:
        """Derive all that arguments need.

        Raises:
            ToolDefinitionError: a parameter can't be described; the message names it.
            UnresolvedAnnotation: an annotation names something that is not defined.
        """
        underlying = underlying_function(function)
        self.streams = inspect.isgeneratorfunction(underlying) or inspect.isasyncgenfunction(underlying)
        self.signature = read_signature(function, names=names)
        self.arguments = Arguments(name, self.signature, parse_docstring(docstring_of(function)).parameters, names)
        plain = self.arguments.keywords_only and not self.signature.context_parameters
        self.direct = plain and not self.streams and not self.signature.unbound
        returns = self.signature.returns
        if self.streams:
            returns = gathered_type(returns)
        self._returns = returns
        self._name = name
        if names_matter(returns, names):
            self.results = Results(name, returns, names)

    @functools.cached_property
    def results(self) -> Results:
        """The result's schema and serialiser.

        Raises:
            UnresolvedAnnotation: the type of the result refers to a name that is not defined.
        """
        return Results(self._name, self._returns, {})


def docstring_of(function: Callable[..., Any]) -> str | None:
    """Return the docstring, but not that of a callable object's class or of `partial` itself."""
    if isinstance(function, functools.partial):
        return docstring_of(function.func)
    if inspect.isroutine(function) or hasattr(function, "__wrapped__"):
        return inspect.getdoc(function)
    return inspect.getdoc(type(function).__call__) or inspect.getdoc(function)


def name_of(function: Callable[..., Any]) -> str:
    """The name that a tool of this function has when it is given none.

    Raises:
        ToolDefinitionError: it is a descriptor of a class, which can't be called.
    """
    if isinstance(function, functools.partial):
        return name_of(function.func)
    kind = type(function).__name__
    if kind in ("classmethod", "property"):
        raise ToolDefinitionError(f"a {kind} can't be a tool: write @{kind} above @tool, not below it")
    return str(getattr(function, "__name__", type(function).__name__))


def checked_name(name: str) -> str:
    """Return a tool's name.

    Raises:
        ToolDefinitionError: it can't be one.
    """
    if not _NAME.fullmatch(name):
        raise ToolDefinitionError(
            f"{name!r} can't be a tool's name: give 1 to {MAX_NAME} letters, digits, '_' or '-' with name=..."
        )
    return name
