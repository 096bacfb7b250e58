"""Tools as a provider is told of them, by its dialect, and the arguments of its calls as the tools have them.

All requests are Chat Completions; what differs is what a provider makes of a schema. litellm passes schemas on as they
are, so each provider behind it is given one that it takes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from constellation_tools.dialects import DIALECTS, Dialect

from ..messages import ToolUse
from ..strict_json import read_json
from ..tools import ToolSpec

_DIALECTS = {
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "cohere": "cohere",
    "gemini": "gemini-openapi",
    "vertex_ai": "gemini-openapi",
    "mistral": "mistral",
}
"""The dialects of providers whose schemas are not those of Chat Completions; all others are taken to be."""

_STRICT = "openai"
"""The provider that enforces schemas where they can be said without loss."""

_CONTAINER = DIALECTS["openai-chat"]


@dataclass(frozen=True, slots=True)
class _Described:
    """A tool as a dialect wants it."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: None = None


class OfferedTools:
    """Tools as one provider is told of them.

    Attributes:
        functions: What a request says of them.
        names: What they are called.
    """

    def __init__(self, tools: tuple[ToolSpec, ...], provider: str) -> None:
        """Say tools in the dialect of a provider.

        Warns:
            ToolSkipped: once for each tool that the provider can't take.
        """
        dialect: Dialect = DIALECTS[_DIALECTS.get(provider, _CONTAINER.name)]
        described = [_Described(tool.name, tool.description, tool.input_schema) for tool in tools]
        offer = dialect.offer(described, strict=None if provider == _STRICT else False)
        taken = [each for each in offer.declared if each.report.refused is None]
        known = {each.name: each for each in described}
        self.functions = [
            _CONTAINER.payload(known[each.tool], each.schema, strict=each.report.strict and dialect is _CONTAINER)
            for each in taken
        ]
        self._declared = {each.tool: each for each in taken}
        self.names = frozenset(self._declared)

    def restored(self, call: ToolUse) -> ToolUse:
        """A call with its arguments as the tool's own schema has them; as it came where they are no object."""
        declared = self._declared.get(call.name)
        try:
            arguments = read_json(call.arguments)
        except ValueError:
            return call
        if declared is None or not isinstance(arguments, dict):
            return call
        restored = declared.restored(arguments)
        return call if restored == arguments else ToolUse(call.id, call.name, json.dumps(restored, ensure_ascii=False))


@lru_cache(maxsize=64)
def offered(tools: tuple[ToolSpec, ...], provider: str) -> OfferedTools:
    """The tools as a provider is told of them; those of a conversation are the same in every request."""
    return OfferedTools(tools, provider)
