"""Cohere's chat, version 2.

Rules: "Structured outputs" and "Parameter types for tool use" (https://docs.cohere.com/v2/docs). Strict mode is a
switch of the request, for all of its tools.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import CallPart, ToolCall, ToolResult, to_text
from .openai_chat import OpenAIChat
from .rules import ANCHORS_AND_LOOK_AROUND, REFERENCES, SCALARS, STRUCTURE, RequestRules, Rules


class Cohere(OpenAIChat):
    """Chat of Cohere."""

    name = "cohere"
    rules = Rules()
    strict_rules = Rules(
        keywords=STRUCTURE | REFERENCES | frozenset({"additionalProperties", "const", "format", "pattern", "default"}),
        formats=frozenset({"date-time", "uuid", "date", "time"}),
        enum_types=SCALARS,
        no_pattern=ANCHORS_AND_LOOK_AROUND,
        required_needed=True,
        max_properties=200,
    )
    request_rules = RequestRules(max_strict_properties=200, strict_together=True)

    def payload(self, tool: Any, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A function; whether it is strict is said in the request."""
        return super().payload(tool, schema, strict=False)

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`, and `strict_tools` where all of them are."""
        return {"tools": list(payloads), **({"strict_tools": True} if strict else {})}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """Those of an answer's message, or of a message."""
        return super().read_calls(answer.get("message", answer))

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message of a tool for each, its result a document that can be cited."""
        return [
            {
                "role": "tool",
                "tool_call_id": result.id,
                "content": [{"type": "document", "document": {"data": to_text(result.mapping)}}],
            }
            for result in results
        ]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """Calls start, grow and end, by their index."""
        kind, index = event.get("type"), event.get("index")
        if kind not in ("tool-call-start", "tool-call-delta", "tool-call-end"):
            return
        call = ((event.get("delta") or {}).get("message") or {}).get("tool_calls") or {}
        function = call.get("function") or {}
        yield CallPart(
            index,
            call.get("id") or "",
            function.get("name") or "",
            function.get("arguments") or "",
            ends=kind == "tool-call-end",
        )
