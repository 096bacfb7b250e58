"""Google's Gemini, with arguments as JSON Schema (`parametersJsonSchema`).

Rules: the API reference of FunctionDeclaration and Schema (https://ai.google.dev/api). There is no strict switch in a
declaration: the calling mode VALIDATED of a request enforces schemas. Calls come whole, also in streams, unless a
request asks for arguments in pieces (`streamFunctionCallArguments`), which is not read here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .calls import NAMELESS, CallPart, ToolCall, ToolResult, given_id
from .dialect import Described, Dialect
from .rules import ARRAY_BOUNDS, REFERENCES, STRUCTURE, RequestRules, Rules

NAME = r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"
SIGNATURE = "thoughtSignature"
"""What has to be sent back with a call, beside it."""


class Gemini(Dialect):
    """Function declarations with JSON Schema."""

    name = "gemini"
    rules = Rules(
        keywords=STRUCTURE
        | REFERENCES
        | ARRAY_BOUNDS
        | frozenset({"additionalProperties", "oneOf", "prefixItems", "minimum", "maximum"}),
        tool_name=NAME,
        enum_types=frozenset({"string", "integer", "number"}),
        siblings_of_ref=False,
    )
    request_rules = RequestRules(max_tools=512)
    field = "parametersJsonSchema"

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A function declaration; one without arguments says nothing of them."""
        declared = {"name": tool.name, "description": tool.description}
        return {**declared, self.field: dict(schema)} if schema["properties"] else declared

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`, of which one holds all functions."""
        return {"tools": [{"functionDeclarations": list(payloads)}]}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """Those of an answer's first candidate, or of a content; ids are made up where there are none."""
        return [
            self.read_call(part.id or f"{NAMELESS}{number}", part.name, part.arguments, part.extra)
            for number, part in enumerate(_parts_of(answer))
        ]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One content of the model."""
        parts = [
            {"functionCall": {**given_id(call.id), "name": call.name, "args": call.arguments}, **call.extra}
            for call in calls
        ]
        return [{"role": "model", "parts": parts}]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One content of the user with all of them, each an object."""
        parts = [
            {"functionResponse": {**given_id(result.id), "name": result.name, "response": result.mapping}}
            for result in results
        ]
        return [{"role": "user", "parts": parts}]

    def read_event(self, event: Mapping[str, Any]) -> Iterable[CallPart]:
        """The calls of a chunk, each of them whole."""
        return _parts_of(event)


def _parts_of(answer: Mapping[str, Any]) -> list[CallPart]:
    candidates = answer.get("candidates")
    content = (candidates[0].get("content") or {}) if candidates else answer
    return [
        CallPart(
            id=part["functionCall"].get("id") or "",
            name=part["functionCall"]["name"],
            arguments=part["functionCall"].get("args") or {},
            ends=True,
            extra={SIGNATURE: part[SIGNATURE]} if SIGNATURE in part else {},
        )
        for part in content.get("parts") or ()
        if (part.get("functionCall") or {}).get("name")
    ]
