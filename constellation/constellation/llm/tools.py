"""Tools as models are told of them. How a provider wants the schema is seen to in `wire/tools.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from constellation_tools import Tool


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a model is told of a tool.

    Attributes:
        name: What it calls it by.
        description: What it does.
        input_schema: Its arguments, JSON Schema (2020-12) of an object.
    """

    name: str
    description: str
    input_schema: Mapping[str, Any] = field(hash=False)

    @classmethod
    def of(cls, tool: Tool[..., Any]) -> ToolSpec:
        """What a model is told of one of ours.

        Raises:
            UnresolvedAnnotation: an annotation of it names something that is not defined.
        """
        return cls(tool.name, tool.description, tool.input_schema)
