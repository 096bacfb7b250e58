"""What the SDK would refuse as a whole, made good on its way there.

One tool that is none spoils a list of tools: it is taken out. The SDK holds results against their schema, patterns that
take forever included: it is given one without patterns, and the whole one is kept in the tool's `_meta`. A call that
has become a task of the older protocol has a result that is none: it becomes one without content, with the task in its
`_meta`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from ..pattern_free import without_patterns
from ..wording import cleaned

if TYPE_CHECKING:
    from mcp.client._transport import ReadStream, TransportStreams
    from mcp.shared.message import SessionMessage

TASK_KEY = "constellation/task"
"""Where, in the `_meta` of a result, the task is that a server of the older protocol has made of a call."""

OUTPUT_KEY = "constellation/outputSchema"
"""Where, in the `_meta` of a tool, the schema of its results is that the server has given."""

_NAME_CHARS = 100

log = logging.getLogger("constellation.mcp")


@asynccontextmanager
async def screened(transport: AbstractAsyncContextManager[TransportStreams], label: str) -> AsyncIterator[Any]:
    """The streams of a transport, with what comes from it made good; tools that are left out are warned of.

    Args:
        transport: The transport.
        label: What the server is called in warnings.
    """
    async with transport as (received, to_send):
        yield _Screened(received, label), to_send


class _Screened:
    """A stream of messages that are made good."""

    def __init__(self, inner: ReadStream[SessionMessage | Exception], label: str) -> None:
        self._inner = inner
        self._label = label

    @property
    def last_context(self) -> Any:
        """What the SDK's own streams carry beside each message."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        return self._screen(await self._inner.receive())

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._screen(await self._inner.__anext__())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _screen(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        if not isinstance(item, Exception):
            result = getattr(item.message, "result", None)
            if isinstance(result, dict):
                if isinstance(result.get("tools"), list):
                    result["tools"] = [tool for tool in result["tools"] if self._is_tool(tool)]
                elif isinstance(result.get("task"), dict) and "content" not in result:
                    result.update(content=[], _meta={TASK_KEY: result.pop("task")})
        return item

    def _is_tool(self, tool: Any) -> bool:
        reason = _fault(tool)
        if reason is None:
            _free_of_patterns(tool)
            return True
        name = tool.get("name") if isinstance(tool, dict) else None
        told = cleaned(str(name), _NAME_CHARS)
        log.warning("the tool %s of the MCP server %s is left out: %s", told, self._label, reason)
        return False


def _fault(tool: Any) -> str | None:
    """Why something in a list of tools is no tool, or None."""
    from mcp_types import Tool

    try:
        found = Tool.model_validate(tool, by_name=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if not _is_of_object(found.input_schema):
        return "the schema of its arguments is not that of an object"
    if found.output_schema is not None and not _is_of_object(found.output_schema):
        del tool["outputSchema"]  # the older protocol has no place for it, and the tool is good without
    return None


def _free_of_patterns(tool: dict[str, Any]) -> None:
    whole = tool.get("outputSchema")
    if whole is not None:
        with suppress(RecursionError):  # nested too deep, it is refused later on, with the tool
            tool["outputSchema"] = without_patterns(whole)
            tool["_meta"] = {**(tool.get("_meta") or {}), OUTPUT_KEY: whole}


def _is_of_object(schema: dict[str, Any]) -> bool:
    """Whether a schema has the shape that every version of the protocol takes; one that has not spoils a whole list."""
    properties, required, dialect = schema.get("properties"), schema.get("required"), schema.get("$schema")
    return (
        schema.get("type") == "object"
        and (properties is None or isinstance(properties, dict))
        and all(isinstance(known, (dict, bool)) for known in (properties or {}).values())
        and (required is None or isinstance(required, list))
        and all(isinstance(name, str) for name in required or ())
        and (dialect is None or isinstance(dialect, str))
    )
