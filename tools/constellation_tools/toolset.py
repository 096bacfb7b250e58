"""An ordered collection of tools, each found by its name; others are made of it by prefix, name or choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from .errors import ToolDefinitionError, UnknownTool
from .tool import Tool


class Toolset:
    """Tools in the order they were added; names are unique.

    Attributes:
        name: What people call the collection; may be empty.
    """

    def __init__(self, tools: Iterable[Tool[..., Any] | Callable[..., Any]] = (), *, name: str = "") -> None:
        """Collect tools; plain functions become tools.

        Raises:
            ToolDefinitionError: a function can't be described, or two tools share a name.
        """
        self.name = name
        self._tools: dict[str, Tool[..., Any]] = {}
        for item in tools:
            self.add(item)

    def add(self, item: Tool[..., Any] | Callable[..., Any]) -> Tool[..., Any]:
        """Add a tool, or a function as a tool, and return the tool.

        Raises:
            ToolDefinitionError: the function can't be described, or the name is taken.
        """
        added: Tool[..., Any] = item if isinstance(item, Tool) else Tool.from_function(item)
        if added.name in self._tools:
            raise ToolDefinitionError(
                f"two tools are named {added.name!r} ({_origin(self._tools[added.name])} and {_origin(added)}); "
                "give one of them another name with @tool(name=...)"
            )
        self._tools[added.name] = added
        return added

    def get(self, name: str) -> Tool[..., Any]:
        """Return the tool of this name.

        Raises:
            UnknownTool: there is none; names the close ones.
        """
        try:
            return self._tools[name]
        except KeyError:
            raise UnknownTool(name, self._tools) from None

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in order."""
        return tuple(self._tools)

    def prefixed(self, prefix: str) -> Toolset:
        """Return a set of the same tools, each under its name with a prefix.

        Raises:
            ToolDefinitionError: a name can't be a tool's.
        """
        return Toolset((tool.renamed(prefix + tool.name) for tool in self), name=self.name)

    def renamed(self, names: Mapping[str, str]) -> Toolset:
        """Return a set of the same tools, some under other names.

        Args:
            names: New names by old ones; the other tools keep theirs.

        Raises:
            UnknownTool: there is no tool of an old name.
            ToolDefinitionError: a new name can't be a tool's, or is taken.
        """
        for old in names:
            self.get(old)
        renamed = (tool.renamed(names[tool.name]) if tool.name in names else tool for tool in self)
        return Toolset(renamed, name=self.name)

    def only(self, *names: str) -> Toolset:
        """Return a set of the tools of these names, in the order given.

        Raises:
            UnknownTool: there is no tool of a name.
        """
        return Toolset((self.get(name) for name in names), name=self.name)

    def without(self, *names: str) -> Toolset:
        """Return a set of all tools but those of these names.

        Raises:
            UnknownTool: there is no tool of a name.
        """
        left_out = {self.get(name).name for name in names}
        return self.where(lambda tool: tool.name not in left_out)

    def where(self, wanted: Callable[[Tool[..., Any]], bool]) -> Toolset:
        """Return a set of the tools for which a function says so."""
        return Toolset((tool for tool in self if wanted(tool)), name=self.name)

    def __contains__(self, item: object) -> bool:
        """Whether a name or a tool is in the set."""
        return any(tool is item for tool in self) if isinstance(item, Tool) else item in self._tools

    def __iter__(self) -> Iterator[Tool[..., Any]]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)

    def __add__(self, other: Toolset) -> Toolset:
        """Return a set with the tools of both."""
        if not isinstance(other, Toolset):
            return NotImplemented
        return Toolset([*self, *other], name=self.name or other.name)

    def __repr__(self) -> str:
        return f"<Toolset {self.name or 'unnamed'}: {', '.join(self.names) or 'empty'}>"


def _origin(tool: Tool[..., Any]) -> str:
    return f"{getattr(tool, '__module__', '?')}:{getattr(tool, '__qualname__', tool.name)}"
