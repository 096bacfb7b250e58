"""Tools that are nothing but schemas, as a server elsewhere would describe them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Plain:
    """A tool by its schemas."""

    input_schema: dict[str, Any]
    name: str = "plain"
    description: str = "Plain."
    output_schema: dict[str, Any] | None = field(default=None)


def of_one(schema: Any, *, required: bool = True, **more: Any) -> Plain:
    """A tool of one argument, `a`."""
    return Plain(
        {
            "type": "object",
            "properties": {"a": schema},
            **({"required": ["a"]} if required else {}),
            "additionalProperties": False,
            **more,
        }
    )
