"""A toolset as a server of the official SDK: lists its tools, calls them, and lets files be read that they made."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ...context import ToolContext
from ...errors import ArtifactUnavailable, UnknownTool
from ...toolset import Toolset
from .files import SCHEME, ServedFiles
from .limits import ServingLimits
from .progress import ProgressRelay
from .results import DIALECT, failed, succeeded

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server import Server, ServerRequestContext

log = logging.getLogger("constellation.mcp")


@contextmanager
def make_server(toolset: Toolset, *, name: str, instructions: str, limits: ServingLimits) -> Iterator[Server[Any]]:
    """Make a server of a toolset; its files are gone afterwards."""
    from mcp.server import Server

    with ServedFiles(limits) as files:
        served = _Served(toolset, files, limits)
        yield Server(
            name,
            version=metadata.version("constellation-agents"),
            instructions=instructions or None,
            on_list_tools=served.list_tools,
            on_call_tool=served.call_tool,
            on_list_resources=served.list_resources,
            on_read_resource=served.read_resource,
        )


class _Served:
    """What the SDK asks of a server, for one toolset."""

    def __init__(self, toolset: Toolset, files: ServedFiles, limits: ServingLimits) -> None:
        self._toolset = toolset
        self._files = files
        self._limits = limits
        self._calls = anyio.Semaphore(limits.calls)

    async def list_tools(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        import mcp_types as types

        listed = []
        for tool in self._toolset:
            declared = DIALECT.declare(tool)
            if declared.report.refused is not None:
                log.warning("the tool %s is not offered: %s", tool.name, declared.report.refused)
                continue
            listed.append(types.Tool.model_validate(declared.payload))
            listed[-1].annotations = types.ToolAnnotations(idempotent_hint=tool.idempotent)
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS

        try:
            tool = self._toolset.get(params.name)
        except UnknownTool as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        relay = ProgressRelay(context.session.report_progress)
        own = ToolContext(progress=relay.report, store=self._files.keep, resolve=self._files.find)
        async with self._calls, anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run)
            try:
                value = await tool.call(params.arguments or {}, own)
                result = await anyio.to_thread.run_sync(partial(succeeded, tool, value, self._files, self._limits))
            except Exception as error:  # a tool raises whatever it likes
                result = failed(error)
            tasks.cancel_scope.cancel()
        await relay.flush()
        return result

    async def list_resources(
        self, context: ServerRequestContext[Any], params: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        import mcp_types as types

        resources = [
            types.Resource(
                uri=SCHEME + artifact.sha256,
                name=artifact.name or artifact.sha256[:12],
                mime_type=artifact.media_type or None,
                size=artifact.size,
            )
            for artifact in self._files.kept
        ]
        return types.ListResourcesResult(resources=resources)

    async def read_resource(
        self, context: ServerRequestContext[Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        import mcp_types as types
        from mcp import MCPError

        try:
            artifact = self._files.get(str(params.uri).removeprefix(SCHEME))
        except ArtifactUnavailable as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from error
        if artifact.size > self._limits.inline_bytes:
            raise MCPError(
                types.INVALID_PARAMS,
                f"{artifact.name or 'the file'} takes {artifact.size} bytes, too many for an answer",
            )
        content = await anyio.to_thread.run_sync(artifact.path.read_bytes)
        uri, media_type = str(params.uri), artifact.media_type or None
        if (artifact.media_type or "").startswith("text/"):
            text = content.decode("utf-8", "replace")
            part: Any = types.TextResourceContents(uri=uri, mime_type=media_type, text=text)
        else:
            blob = base64.b64encode(content).decode()
            part = types.BlobResourceContents(uri=uri, mime_type=media_type, blob=blob)
        return types.ReadResourceResult(contents=[part])
