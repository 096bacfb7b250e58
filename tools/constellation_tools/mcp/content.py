"""What a call of a server's tool gives back: JSON types, with files kept as artifacts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from ..context import ToolContext
from ..errors import ToolFailed
from ..wording import cleaned
from .errors import McpMisbehaved

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock, ReadResourceResult

ERROR_CHARS = 4_000
"""How much of an error's text is told."""


async def result_of(result: CallToolResult, context: ToolContext) -> Any:
    """Return structured content where there is some, else the text, else a list of texts, files and links.

    Files that come beside structured content are told as progress, so that its schema holds and they are not lost.

    Raises:
        ToolFailed: the server says that the tool failed.
        McpMisbehaved: what should be a file is none.
    """
    if result.is_error:
        texts = [block.text for block in result.content if block.type == "text"]
        raise ToolFailed(cleaned("\n".join(texts), ERROR_CHARS) or "the tool failed, and its server does not say why")
    parts = [await _part(block, context) for block in result.content]
    if result.structured_content is None:
        return parts[0] if len(parts) == 1 else parts or None
    beside = [part for part in parts if not isinstance(part, str)]
    if beside:
        context.progress(f"{len(beside)} files or links came beside the result", data=beside)
    return result.structured_content


async def resource_of(result: ReadResourceResult, context: ToolContext) -> Any:
    """Return the text of a resource, or the artifact of one that is no text; a list when it has several parts.

    Raises:
        McpMisbehaved: what should be a file is none.
    """
    parts = [await _resource(content, context) for content in result.contents]
    return parts[0] if len(parts) == 1 else parts


async def _part(block: ContentBlock, context: ToolContext) -> Any:
    if block.type == "text":
        return block.text
    if block.type in ("image", "audio"):
        return await _file(block.data, block.type, block.mime_type, context)
    if block.type == "resource":
        return await _resource(block.resource, context)
    return block.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _resource(content: Any, context: ToolContext) -> Any:
    if hasattr(content, "text"):
        return content.text
    name = str(content.uri).rpartition("/")[2] or "resource"
    return await _file(content.blob, name, content.mime_type or "", context)


async def _file(data: str, name: str, media_type: str, context: ToolContext) -> dict[str, Any]:
    def keep() -> dict[str, Any]:
        return context.artifact(base64.b64decode(data, validate=True), name=name, media_type=media_type).to_json()

    try:
        return await anyio.to_thread.run_sync(keep)
    except binascii.Error as error:
        raise McpMisbehaved(f"the server sent a file that is not base64: {error}") from error


def listed(items: Sequence[Any]) -> list[dict[str, Any]]:
    """Resources or templates of resources as JSON types."""
    return [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in items]
