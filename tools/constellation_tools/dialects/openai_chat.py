"""OpenAI's chat completions, and the many servers that speak them.

Rules: the guides "Function calling" and "Structured outputs" (https://platform.openai.com/docs/guides). Strict mode
is a property of each tool.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from .calls import NAMELESS, CallPart, ToolCall, ToolResult, to_text
from .dialect import Described, Dialect
from .rules import ARRAY_BOUNDS, LOOK_AROUND, NUMBER_BOUNDS, REFERENCES, STRUCTURE, RequestRules, Rules

STRICT = Rules(
    keywords=STRUCTURE
    | REFERENCES
    | NUMBER_BOUNDS
    | ARRAY_BOUNDS
    | frozenset({"additionalProperties", "const", "format", "pattern"}),
    formats=frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}),
    closed=True,
    all_required=True,
    typed=True,
    siblings_of_ref=False,
    no_pattern=LOOK_AROUND,
    max_depth=10,
    max_properties=5_000,
    max_enum_values=1_000,
    max_text=120_000,
)
REQUEST = RequestRules(max_tools=128)


class OpenAIChat(Dialect):
    """Chat completions."""

    name = "openai-chat"
    rules = Rules()
    strict_rules: ClassVar[Rules | None] = STRICT
    request_rules = REQUEST

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A function, around which all who follow this format put the same."""
        function = {"name": tool.name, "description": tool.description, "parameters": dict(schema)}
        return {"type": "function", "function": {**function, "strict": True} if strict else function}

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`."""
        return {"tools": list(payloads)}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """Those of a completion's first choice, or of a message."""
        message = answer["choices"][0]["message"] if "choices" in answer else answer
        calls = [call for call in message.get("tool_calls") or () if "function" in call]
        return [
            self.read_call(
                call.get("id") or f"{NAMELESS}{number}",  # some servers give none
                call["function"]["name"],
                call["function"].get("arguments"),
            )
            for number, call in enumerate(calls)
        ]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One message of the assistant."""
        return [{"role": "assistant", "tool_calls": [self._written(call) for call in calls]}]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message of a tool for each."""
        return [{"role": "tool", "tool_call_id": result.id, "content": result.text} for result in results]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """The deltas of a chunk."""
        for choice in event.get("choices") or ():
            for call in (choice.get("delta") or {}).get("tool_calls") or ():
                function = call.get("function") or {}
                arguments = function.get("arguments")
                yield CallPart(
                    index=call.get("index"),
                    id=call.get("id") or "",
                    name=function.get("name") or "",
                    text=arguments if isinstance(arguments, str) else "",
                    arguments=None if isinstance(arguments, str) else arguments,
                )

    def _written(self, call: ToolCall) -> dict[str, Any]:
        function = {"name": call.name, "arguments": to_text(call.arguments)}
        return {"id": call.id, "type": "function", "function": function}
