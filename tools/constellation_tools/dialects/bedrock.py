"""Amazon Bedrock's Converse.

Rules: the API reference of ToolSpecification and the guide "Structured outputs" (https://docs.aws.amazon.com/bedrock).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import CallPart, ToolCall, ToolResult
from .dialect import Described, Dialect
from .rules import BACK_REFERENCE, LOOK_AROUND, REFERENCES, SCALARS, STRUCTURE, RequestRules, Rules

STRICT = Rules(
    keywords=STRUCTURE | REFERENCES | frozenset({"additionalProperties", "format", "pattern", "minItems"}),
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


class Bedrock(Dialect):
    """Converse."""

    name = "bedrock"
    rules = Rules(argument_name=r"[A-Za-z0-9_.-]{1,64}")
    strict_rules = STRICT
    request_rules = RequestRules(max_strict_tools=20, max_strict_optional=24, max_strict_unions=16)

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A `toolSpec`; its description may not be empty, so that the name stands in for it."""
        spec = {
            "name": tool.name,
            "description": tool.description or tool.name,
            "inputSchema": {"json": dict(schema)},
        }
        return {"toolSpec": {**spec, "strict": True} if strict else spec}

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`toolConfig`."""
        return {"toolConfig": {"tools": list(payloads)}}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The blocks of an answer's message, or of a message, that use tools."""
        message = answer["output"]["message"] if "output" in answer else answer
        used = [block["toolUse"] for block in message.get("content") or () if "toolUse" in block]
        return [self.read_call(use["toolUseId"], use["name"], use.get("input")) for use in used]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One message of the assistant."""
        uses = [{"toolUseId": call.id, "name": call.name, "input": call.arguments} for call in calls]
        return [{"role": "assistant", "content": [{"toolUse": use} for use in uses]}]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One message of the user with all of them; objects as JSON, all else as text."""
        blocks = [
            {
                "toolUseId": result.id,
                "content": [{"json": result.value} if isinstance(result.value, dict) else {"text": result.text}],
                "status": "error" if result.is_error else "success",
            }
            for result in results
        ]
        return [{"role": "user", "content": [{"toolResult": block} for block in blocks]}]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """Blocks start, grow and stop, by their index."""
        if "contentBlockStart" in event:
            block = event["contentBlockStart"]
            use = block.get("start", {}).get("toolUse")
            if use is not None:
                yield CallPart(block["contentBlockIndex"], use["toolUseId"], use["name"])
        elif "contentBlockDelta" in event:
            block = event["contentBlockDelta"]
            use = block.get("delta", {}).get("toolUse")
            if use is not None:
                yield CallPart(block["contentBlockIndex"], text=use.get("input") or "")
        elif "contentBlockStop" in event:
            yield CallPart(event["contentBlockStop"]["contentBlockIndex"], ends=True)
