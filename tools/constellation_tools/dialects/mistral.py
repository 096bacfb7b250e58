"""Mistral's chat completions: OpenAI's shapes, with ids of nine characters, and arguments that may come as objects.

Its strict mode is not documented well enough to be relied on, so it is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import CallPart, ToolResult
from .openai_chat import OpenAIChat
from .rules import RequestRules, Rules


class Mistral(OpenAIChat):
    """Chat completions of Mistral."""

    name = "mistral"
    rules = Rules()
    strict_rules = None
    request_rules = RequestRules(max_tools=128)

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message of a tool for each, with the tool's name."""
        return [
            {"role": "tool", "tool_call_id": result.id, "name": result.name, "content": result.text}
            for result in results
        ]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """The deltas of a chunk, which its library wraps in `data`."""
        return super().read_event(event.get("data", event))
