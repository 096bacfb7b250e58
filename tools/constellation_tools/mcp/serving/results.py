"""What a served tool returned, as the protocol has it: text for all clients, structure where it is declared, files."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...artifact import ARTIFACT_KEY, Artifact
from ...dialects import DIALECTS, ToolResult
from ...errors import ArtifactUnavailable, ToolFailed, ToolsError
from ...tool import Tool
from .files import SCHEME, ServedFiles
from .limits import ServingLimits

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock

MAX_FILES = 32
"""How many files of one result are sent or named apart from it."""

ERROR_CHARS = 8_000

DIALECT = DIALECTS["mcp"]


def succeeded(tool: Tool[..., Any], value: Any, files: ServedFiles, limits: ServingLimits) -> CallToolResult:
    """Say what a tool returned; reads the files that it made.

    Raises:
        ToolFailed: it is longer than may be sent.
    """
    from mcp_types import CallToolResult

    result = DIALECT.fitted(ToolResult("", tool.name, value), tool.output_schema)
    size = len(result.text.encode())
    if size > limits.result_bytes:
        raise ToolFailed(
            f"the result of {tool.name!r} takes {size} bytes, and {limits.result_bytes} are sent: ask for less of it"
        )
    answer = CallToolResult.model_validate(DIALECT.write_results([result])[0]["result"])
    for artifact in _artifacts(value):
        block = _file(artifact, files, limits)
        if block is not None:
            answer.content.append(block)
    return answer


def failed(error: Exception) -> CallToolResult:
    """Say what went wrong so that a model can repair its call, where that is possible."""
    from mcp_types import CallToolResult, TextContent

    text = str(error) if isinstance(error, ToolsError) and str(error) else f"{type(error).__name__}: {error}"
    return CallToolResult(content=[TextContent(type="text", text=text[:ERROR_CHARS])], is_error=True)


def _artifacts(value: Any) -> Iterator[Artifact]:
    pending, found = [value], 0
    while pending and found < MAX_FILES:
        item = pending.pop(0)
        if isinstance(item, dict):
            if ARTIFACT_KEY in item:
                try:
                    yield Artifact.from_json(item)
                    found += 1
                    continue
                except (ValueError, TypeError):
                    pass  # an object that only looks like one
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _file(artifact: Artifact, files: ServedFiles, limits: ServingLimits) -> ContentBlock | None:
    from mcp_types import AudioContent, ImageContent, ResourceLink

    try:
        path = files.find(artifact)
    except ArtifactUnavailable:
        return None  # some other machine's
    kind = artifact.media_type.partition("/")[0]
    if kind in ("image", "audio") and artifact.size <= limits.inline_bytes:
        data = base64.b64encode(path.read_bytes()).decode()
        if kind == "image":
            return ImageContent(type="image", data=data, mime_type=artifact.media_type)
        return AudioContent(type="audio", data=data, mime_type=artifact.media_type)
    return ResourceLink(
        type="resource_link",
        uri=SCHEME + artifact.sha256,
        name=artifact.name or artifact.sha256[:12],
        mime_type=artifact.media_type or None,
        size=artifact.size,
    )
