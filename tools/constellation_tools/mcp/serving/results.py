"""What a served tool returned, as the protocol has it: text for all clients, structure where it is declared, files."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...artifact import ARTIFACT_KEY, Artifact
from ...dialects import DIALECTS, ToolResult
from ...errors import ArtifactUnavailable
from ...tool import Tool
from .files import SCHEME, ServedFiles
from .limits import ServingLimits

if TYPE_CHECKING:
    from mcp_types import CallToolResult, ContentBlock

MAX_FILES = 32
"""How many files of one result are sent or named apart from it."""

MESSAGE_CHARS = 4_000
"""How much of a question to a person is shown."""

DIALECT = DIALECTS["mcp"]


def answer_of(result: ToolResult, tool: Tool[..., Any], files: ServedFiles, limits: ServingLimits) -> CallToolResult:
    """Say what has become of a call; reads the files that the tool made."""
    from mcp_types import CallToolResult

    if not result.is_error:
        size = len(result.text.encode())
        if size > limits.result_bytes:
            told = f"the result of {tool.name!r} takes {size} bytes, and {limits.result_bytes} are sent: ask for less"
            result = replace(result, value=told, is_error=True)
    result = DIALECT.fitted(result, tool.output_schema)
    answer = CallToolResult.model_validate(DIALECT.write_results([result])[0]["result"])
    for artifact in () if result.is_error else _artifacts(result.value):
        block = _file(artifact, files, limits)
        if block is not None:
            answer.content.append(block)
    return answer


def shortened(text: str) -> str:
    """At most so much of a text as a person reads."""
    return text if len(text) <= MESSAGE_CHARS else f"{text[:MESSAGE_CHARS]}… ({len(text)} characters)"


def _artifacts(value: Any) -> Iterator[Artifact]:
    pending, found = deque([value]), 0
    while pending and found < MAX_FILES:
        item = pending.popleft()
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
