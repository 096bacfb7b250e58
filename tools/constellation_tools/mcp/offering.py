"""A server's tools as tools of ours, and its resources as two more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..described import DescribedCall, DescribedTool
from ..effects import WORST, Effects
from ..wording import cleaned
from .schemas import accepted_schema
from .screening import OUTPUT_KEY
from .settings import McpServer

if TYPE_CHECKING:
    import mcp_types

RESOURCE_TOOLS = ("list_resources", "read_resource")
"""What the tools are called, after the prefix, through which a server's resources are reached."""

_LIST_SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}
_READ_SCHEMA = {
    "type": "object",
    "properties": {"uri": {"type": "string", "description": "The resource's URI, as it is listed."}},
    "required": ["uri"],
    "additionalProperties": False,
}


def described(tool: mcp_types.Tool, name: str, server: McpServer, call: DescribedCall) -> DescribedTool:
    """Make a tool of what a server says of one.

    Args:
        tool: What it says, screened.
        name: What the tool is called here.
        server: The server.
        call: Calls it.

    Raises:
        McpMisbehaved: a schema is none that is taken.
        ToolDefinitionError: the name can't be a tool's.
    """
    limits = server.limits
    output = None
    if tool.output_schema is not None:
        whole = (tool.meta or {}).get(OUTPUT_KEY, tool.output_schema)
        output = accepted_schema(whole, max_bytes=limits.schema_bytes)
    return DescribedTool(
        call,
        name=name,
        description=cleaned(tool.description or tool.title, limits.description_chars),
        input_schema=accepted_schema(tool.input_schema, max_bytes=limits.schema_bytes),
        output_schema=output,
        idempotent=is_idempotent(tool, server),
        effects=effects_of(tool, server),
        timeout_s=limits.call_s,
    )


def is_idempotent(tool: mcp_types.Tool, server: McpServer) -> bool:
    """Whether a tool may be called again when a call was lost: what a server itself says counts only where trusted."""
    hints = tool.annotations
    is_said = hints is not None and bool(hints.idempotent_hint or hints.read_only_hint)
    return server.may_repeat(tool.name) or (server.trust_annotations and is_said)


def effects_of(tool: mcp_types.Tool, server: McpServer) -> Effects:
    """What a tool does to the world: what a server says of that counts only where it is trusted."""
    hints = tool.annotations
    if hints is None or not server.trust_annotations:
        return WORST
    read_only = bool(hints.read_only_hint)
    return Effects(
        read_only=read_only,
        destructive=not read_only and hints.destructive_hint is not False,
        open_world=hints.open_world_hint is not False,
        runs_programs=not read_only,  # there is no hint for it
        declared=True,
    )


def resource_tools(server: McpServer, calls: Mapping[str, DescribedCall]) -> Iterator[DescribedTool]:
    """The tools through which a server's resources are reached, given what calls them."""
    texts = {
        "list_resources": ("List the resources that this server has to read.", _LIST_SCHEMA),
        "read_resource": ("Read one of this server's resources.", _READ_SCHEMA),
    }
    for name in RESOURCE_TOOLS:
        description, schema = texts[name]
        yield DescribedTool(
            calls[name],
            name=server.tool_prefix + name,
            description=description,
            input_schema=schema,
            idempotent=True,
            effects=Effects(read_only=True, destructive=False, runs_programs=False, declared=True),
            timeout_s=server.limits.call_s,
        )
