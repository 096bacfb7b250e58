"""Anthropic's messages.

Rules: "Tool use", "Strict tool use" and "Structured outputs" (https://platform.claude.com/docs). Strict mode is a
property of each tool, beside its schema, and bounds what one request may hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import CallPart, ToolCall, ToolResult
from .dialect import Described, Dialect
from .rules import BACK_REFERENCE, LOOK_AROUND, REFERENCES, SCALARS, STRUCTURE, RequestRules, Rules

STRICT = Rules(
    keywords=STRUCTURE | REFERENCES | frozenset({"additionalProperties", "default", "format", "pattern", "minItems"}),
    argument_name=r"[A-Za-z0-9_.-]{1,64}",
    formats=frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}),
    enum_types=SCALARS,
    closed=True,
    typed=True,
    siblings_of_ref=False,
    recursion=False,
    no_pattern=f"{LOOK_AROUND}|{BACK_REFERENCE}",
    least_items=1,
)
REQUEST = RequestRules(max_strict_tools=20, max_strict_optional=24, max_strict_unions=16)


class Anthropic(Dialect):
    """Messages."""

    name = "anthropic"
    rules = Rules(argument_name=r"[A-Za-z0-9_.-]{1,64}")
    strict_rules = STRICT
    request_rules = REQUEST

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A tool, with `strict` beside its schema."""
        declared = {"name": tool.name, "description": tool.description, "input_schema": dict(schema)}
        return {**declared, "strict": True} if strict else declared

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`."""
        return {"tools": list(payloads)}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The blocks of a message that use tools."""
        content = answer.get("content")
        blocks = content if isinstance(content, list) else ()
        return [self.read_call(b["id"], b["name"], b.get("input")) for b in blocks if b.get("type") == "tool_use"]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One message of the assistant."""
        blocks = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in calls]
        return [{"role": "assistant", "content": blocks}]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message of the user with all of them, since calls that were made together are answered together."""
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": result.id,
                "content": result.text,
                **({"is_error": True} if result.is_error else {}),
            }
            for result in results
        ]
        return [{"role": "user", "content": blocks}]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """Blocks start, grow and stop, by their index."""
        kind, index = event.get("type"), event.get("index")
        if kind == "content_block_start":
            block = event["content_block"]
            if block.get("type") == "tool_use":
                # The input is empty there unless a server sends it all at once.
                yield CallPart(index, block["id"], block["name"], arguments=block.get("input") or None)
        elif kind == "content_block_delta" and event["delta"].get("type") == "input_json_delta":
            yield CallPart(index, text=event["delta"].get("partial_json") or "")
        elif kind == "content_block_stop":
            yield CallPart(index, ends=True)
