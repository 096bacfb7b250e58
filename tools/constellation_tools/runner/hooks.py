"""Hooks: what is done before and after every call, whichever tool it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..dialects import ToolCall, ToolResult
from ..errors import CallRefused, ToolFailed
from ..tool import Tool


class ToolHook:
    """What to do before and after calls; override one method or both.

    A hook that raises anything but `CallRefused` fails the call: it may have been there to keep something from
    happening, or from being seen.
    """

    async def before(self, call: ToolCall, tool: Tool[..., Any]) -> Mapping[str, Any] | ToolResult | None:
        """Look at a call before it is checked against policy and run.

        Returns:
            Other arguments, which are validated like the model's; a result in place of running the tool; or None to
            leave all as it is.

        Raises:
            CallRefused: the call is not to run; the model is told the message.
        """
        return None

    async def after(self, call: ToolCall, tool: Tool[..., Any], result: ToolResult) -> ToolResult | None:
        """Look at the result of a call that was run, or that failed; a cancelled one has none to look at.

        Returns:
            A result in place of this one, or None to leave it.
        """
        return None


async def before(hooks: Sequence[ToolHook], call: ToolCall, tool: Tool[..., Any]) -> tuple[ToolCall, ToolResult | None]:
    """Ask all hooks in order; returns the call as they want it, and a result if one of them knows it.

    Raises:
        CallRefused: one of them refuses the call.
        ToolFailed: one of them fails.
    """
    for hook in hooks:
        try:
            said = await hook.before(call, tool)
        except CallRefused:
            raise
        except Exception as error:
            raise _failure(hook, "before", error) from error
        if isinstance(said, ToolResult):
            return call, replace(said, id=call.id, name=call.name)
        if said is not None:
            call = replace(call, arguments=dict(said))
    return call, None


async def after(hooks: Sequence[ToolHook], call: ToolCall, tool: Tool[..., Any], result: ToolResult) -> ToolResult:
    """Show a result to all hooks, the last first; returns it as they want it.

    Raises:
        ToolFailed: one of them fails; then nothing of the result may be shown.
    """
    for hook in reversed(hooks):
        try:
            said = await hook.after(call, tool, result)
        except Exception as error:
            raise _failure(hook, "after", error) from error
        if said is not None:
            result = replace(said, id=call.id, name=call.name)
    return result


def _failure(hook: ToolHook, when: str, error: Exception) -> ToolFailed:
    name = f"{type(hook).__name__}.{when}"
    return ToolFailed(f"the hook {name} failed ({type(error).__name__}: {error}), so nothing is told of the call")
