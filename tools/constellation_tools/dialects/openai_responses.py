"""OpenAI's Responses: the same rules as for chat completions, flat declarations, items in place of messages.

Strict mode is the default there, so that a plain tool has to say `strict: false`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import CallPart, ToolCall, ToolResult, to_text
from .dialect import Described, Dialect
from .openai_chat import REQUEST, STRICT
from .rules import Rules

ASYNC = "async"
"""Says of tools and calls that the model does not wait for the output."""


class OpenAIResponses(Dialect):
    """Responses."""

    name = "openai-responses"
    rules = Rules()
    strict_rules = STRICT
    request_rules = REQUEST
    late_results = True

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A function tool."""
        return {
            "type": "function",
            "name": tool.name,
            "description": tool.description,
            "parameters": dict(schema),
            "strict": strict,
        }

    def late_payload(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """A function whose output may come with any later request."""
        return {**payload, ASYNC: True}

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`."""
        return {"tools": list(payloads)}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The function calls among the items of a response; a single item will do, too."""
        items = answer["output"] if "output" in answer and "call_id" not in answer else [answer]
        return [
            self.read_call(item["call_id"], item["name"], item.get("arguments"), _extra(item))
            for item in items
            if item.get("type") == "function_call"
        ]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One item for each."""
        return [
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": to_text(call.arguments),
                **call.extra,
            }
            for call in calls
        ]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One item for each."""
        return [{"type": "function_call_output", "call_id": each.id, "output": each.text} for each in results]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """Calls begin with an item, grow by deltas, and end with the item as a whole; all by the index of the item."""
        kind = event.get("type")
        index = event.get("output_index")
        if kind in ("response.output_item.added", "response.output_item.done"):
            item = event["item"]
            if item.get("type") == "function_call":
                done = kind.endswith("done")
                whole = item.get("arguments") if done else None
                yield CallPart(index, item["call_id"], item["name"], arguments=whole, ends=done, extra=_extra(item))
        elif kind == "response.function_call_arguments.delta":
            yield CallPart(index, text=event["delta"])


def _extra(item: Mapping[str, Any]) -> dict[str, Any]:
    return {ASYNC: True} if item.get(ASYNC) else {}
