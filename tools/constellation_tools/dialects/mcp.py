"""The Model Context Protocol's tools: JSON Schema as it is, with an object at the root of arguments and results.

Rules: the specification's pages on tools (https://modelcontextprotocol.io/specification). A result that is no object is
wrapped in one under `result`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .calls import ToolCall, ToolResult
from .dialect import Described, Dialect
from .pointers import DEFINITIONS, endless_reference, resolve
from .reading import mapping
from .rules import Rules

WRAPPED = "result"
"""The key under which a result stands that is no object."""


class MCP(Dialect):
    """Tools of MCP: a call is the `params` of `tools/call`, a result that request's result."""

    name = "mcp"
    rules = Rules(tool_name=r"[A-Za-z0-9_.-]{1,128}")

    def payload(self, tool: Described, schema: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
        """A tool, with the schema of its result where there is one."""
        declared = {"name": tool.name, "description": tool.description, "inputSchema": dict(schema)}
        output = None if tool.output_schema is None else output_object(tool.output_schema)
        return declared if output is None else {**declared, "outputSchema": output}

    def request(self, payloads: Sequence[Mapping[str, Any]], *, strict: bool) -> dict[str, Any]:
        """`tools`, as `tools/list` answers it."""
        return {"tools": list(payloads)}

    def read_calls(self, answer: Mapping[str, Any]) -> list[ToolCall]:
        """The call of a request `tools/call`, or of its params."""
        params = answer.get("params", answer)
        return [self.read_call(str(answer.get("id", "")), params["name"], params.get("arguments"))]

    def write_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """One request `tools/call` for each."""
        return [
            {
                "jsonrpc": "2.0",
                "id": call.id,
                "method": "tools/call",
                "params": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]

    def write_results(self, results: Sequence[ToolResult]) -> list[dict[str, Any]]:
        """One answer for each: text for all clients, structured content for those that read it."""
        answers = []
        for result in results:
            content: dict[str, Any] = {"content": [{"type": "text", "text": result.text}], "isError": result.is_error}
            if result.structured is not None:
                content["structuredContent"] = dict(result.structured)
            answers.append({"jsonrpc": "2.0", "id": result.id, "result": content})
        return answers

    def fitted(self, result: ToolResult, output: Mapping[str, Any] | None) -> ToolResult:
        """A result with structured content where the schema of results says that it has to be there."""
        root = None if output is None else _root(output)
        if result.is_error or root is None:
            return result
        is_object = root.get("type") == "object"
        return replace(result, structured=result.value if is_object else {WRAPPED: result.value})


def output_object(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of a result with an object at its root: what refers to the root is said there, all else wrapped.

    None for a schema whose references lead nowhere, of which nothing can be told.
    """
    definitions = {keyword: schema[keyword] for keyword in DEFINITIONS if keyword in schema}
    root = _root(schema)
    if root is None:
        return None
    if root.get("type") == "object":
        return {**root, **definitions}
    value = {keyword: value for keyword, value in schema.items() if keyword not in DEFINITIONS}
    return {"type": "object", "properties": {WRAPPED: value}, "required": [WRAPPED], **definitions}


def _root(schema: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The root of a schema, said in place where it is a reference; None when that leads nowhere."""
    if endless_reference(schema) is not None:
        return None
    root: Mapping[str, Any] = {keyword: value for keyword, value in schema.items() if keyword not in DEFINITIONS}
    while "$ref" in root:
        beside = {keyword: value for keyword, value in root.items() if keyword != "$ref"}
        try:
            root = {**mapping(resolve(schema, root["$ref"])), **beside}
        except LookupError:
            return None
    return root
