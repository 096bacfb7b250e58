"""A toolset as a server of the official SDK: lists its tools, calls them, and lets files be read that they made."""

from __future__ import annotations

import base64
import logging
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ...context import ToolContext
from ...dialects import ToolCall, ToolResult
from ...errors import ApprovalMismatch, ArtifactUnavailable, InvalidDocument, UnknownTool
from ...runner import Answer, Approval, CallBatch, CallChanged, CallProgress, Policy, ToolRunner
from ...toolset import Toolset
from .approving import ask, question, resumed
from .files import SCHEME, ServedFiles
from .limits import ServingLimits
from .progress import ProgressRelay
from .results import DIALECT, answer_of

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server import Server, ServerRequestContext

log = logging.getLogger("constellation.mcp")


@asynccontextmanager
async def make_server(
    toolset: Toolset, *, name: str, instructions: str, policy: Policy | None, limits: ServingLimits
) -> AsyncIterator[tuple[Server[Any], ToolRunner]]:
    """Make a server of a toolset, and give it with what runs its calls; these and its files are gone afterwards."""
    from mcp.server import Server

    with ServedFiles(limits) as files:
        served = _Served(toolset, files, policy, limits)
        async with served.runner:
            server: Server[Any] = Server(
                name,
                version=metadata.version("constellation-agents"),
                instructions=instructions or None,
                on_list_tools=served.list_tools,
                on_call_tool=served.call_tool,
                on_list_resources=served.list_resources,
                on_read_resource=served.read_resource,
            )
            yield server, served.runner


class _Served:
    """What the SDK asks of a server, for one toolset."""

    def __init__(self, toolset: Toolset, files: ServedFiles, policy: Policy | None, limits: ServingLimits) -> None:
        self._toolset = toolset
        self._files = files
        self._limits = limits
        self._calls: dict[str, tuple[ServerRequestContext[Any], ProgressRelay]] = {}
        self.runner = ToolRunner(
            toolset,
            policy=policy,
            approver=self._ask,
            context=ToolContext(store=files.keep, resolve=files.find),
            max_concurrent=limits.calls,
            max_output_bytes=sys.maxsize,  # what is too long is refused, not cut: half a structure is none
            on_event=self._progress,
        )

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
            effects = tool.effects
            listed[-1].annotations = types.ToolAnnotations(
                read_only_hint=effects.read_only,
                destructive_hint=effects.destructive,
                idempotent_hint=tool.idempotent,
                open_world_hint=effects.open_world,
            )
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        self, context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        from mcp import MCPError
        from mcp_types import INVALID_PARAMS

        try:
            tool = self._toolset.get(params.name)
            batch = resumed(params)
        except (UnknownTool, InvalidDocument, ApprovalMismatch) as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error
        if batch is None:
            batch = CallBatch([ToolCall(secrets.token_hex(16), tool.name, params.arguments or {})])
        id = batch.entries[0].call.id
        relay = ProgressRelay(context.session.report_progress)
        self._calls[id] = context, relay
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(relay.run)
                await self.runner.run(batch)
                result = None if batch.approvals else await self._awaited(batch.results[0])
                relay.close()
        finally:
            del self._calls[id]
        if result is None:
            return question(batch)
        return await anyio.to_thread.run_sync(answer_of, result, tool, self._files, self._limits)

    async def _awaited(self, result: ToolResult) -> ToolResult:
        """A result, also of a call that goes on in the background: clients wait for it like for any other."""
        if not result.pending:
            return result
        try:
            (delivery,) = await self.runner.wait([result.id])
        finally:
            self.runner.cancel(result.id)
        return delivery.result

    def _progress(self, event: CallChanged | CallProgress) -> None:
        if isinstance(event, CallProgress) and event.call.id in self._calls:
            self._calls[event.call.id][1].report(event.text, event.fraction, event.data)

    async def _ask(self, approval: Approval) -> Answer | None:
        return await ask(approval, self._calls[approval.call][0])

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
