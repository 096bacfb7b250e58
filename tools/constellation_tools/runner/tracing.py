"""OpenTelemetry: a span for every try of a call, by the semantic conventions for generative AI.

https://github.com/open-telemetry/semantic-conventions-genai, "execute tool", in development as of 2026. What is inside
a call, its arguments, result and the words of its errors, is recorded only where that is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from ..dialects import ToolCall
from ..errors import ToolsError
from ..tool import Tool
from .output import told

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

CANCELLED = "cancelled"


class Tracing:
    """Makes spans, if a runner is given it; they become the current ones, so that spans of a tool are within them."""

    def __init__(self, *, record_content: bool = False, provider: TracerProvider | None = None) -> None:
        """Use OpenTelemetry.

        Args:
            record_content: Whether to record arguments, results and the words of errors, which may hold secrets.
            provider: Where spans go; the global provider when None.

        Raises:
            ToolsError: OpenTelemetry is not installed.
        """
        try:
            from opentelemetry import trace
        except ImportError as error:
            raise ToolsError(
                f"tracing needs OpenTelemetry ({error}): pip install 'constellation-agents[otel]'"
            ) from error
        self._tracer = trace.get_tracer("constellation_tools", tracer_provider=provider)
        self._kind = trace.SpanKind.INTERNAL
        self._error = trace.StatusCode.ERROR
        self._record_content = record_content

    @contextmanager
    def span(self, call: ToolCall, tool: Tool[..., Any], attempt: int) -> Iterator[Callable[[Any], None]]:
        """A span around one try; gives a function that takes the result.

        Args:
            call: The call.
            tool: Its tool.
            attempt: Which try it is, from 1.
        """
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.type": "function",
            "gen_ai.tool.call.id": call.id,
        }
        if tool.description:
            attributes["gen_ai.tool.description"] = tool.description
        if attempt > 1:
            attributes["constellation.tool.attempt"] = attempt
        if self._record_content:
            attributes["gen_ai.tool.call.arguments"] = _text(call.arguments)
        with self._tracer.start_as_current_span(
            f"execute_tool {tool.name}",
            kind=self._kind,
            attributes=attributes,
            record_exception=self._record_content,
            set_status_on_exception=False,
        ) as span:

            def take(result: Any) -> None:
                if self._record_content:
                    span.set_attribute("gen_ai.tool.call.result", _text(result))

            try:
                yield take
            except BaseException as error:
                is_failure = isinstance(error, Exception)
                span.set_attribute("error.type", type(error).__qualname__ if is_failure else CANCELLED)
                span.set_status(self._error, told(error) if is_failure and self._record_content else None)
                raise


def _text(value: Any) -> str:
    return json.dumps(to_jsonable_python(value, fallback=str), ensure_ascii=False)
