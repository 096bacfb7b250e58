"""What a reader of a tool would ask its author about: what models are not told, and what goes wrong when calls do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .tool import Tool


def risks(tool: Tool[..., Any]) -> list[str]:
    """Say what may go wrong with a tool, one sentence each; an empty list is the best one."""
    return [*_of_words(tool), *_of_effects(tool), *_of_calls(tool)]


def _of_words(tool: Tool[..., Any]) -> Iterator[str]:
    if not tool.description:
        yield "it has no description: a model can only guess what it does"
    for name, schema in tool.input_schema["properties"].items():
        if "description" not in schema:
            yield f"{name} has no description"
        if not schema.keys() & {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}:
            yield f"{name} may be anything: neither models nor the tool are held to a type"
    if tool.output_schema is None:
        yield "nothing is said of its result: declare what it returns"


def _of_effects(tool: Tool[..., Any]) -> Iterator[str]:
    effects = tool.effects
    if not effects.declared:
        yield "it does not say what it does: declare read_only, or destructive, open_world, runs_programs"
        return
    if effects.runs_programs:
        yield "it runs programs or code that its caller chooses"
    if effects.destructive:
        yield "it may destroy or replace what is there"
    if effects.open_world:
        yield "it reaches beyond what its owner has given it, such as over the network"


def _of_calls(tool: Tool[..., Any]) -> Iterator[str]:
    in_thread = tool.blocking and not tool.is_async
    if not tool.idempotent:
        yield "it is not idempotent: after a lost connection it is not repeated, and somebody has to look"
    if tool.timeout_s is None and (tool.is_async or in_thread):
        yield "it has no time limit: give it timeout_s"
    if in_thread and not tool.takes_context:
        yield "it runs in a thread that can't be stopped: take a ToolContext and call check_cancelled"
    if not in_thread and not tool.is_async:
        yield "it runs on the event loop: while it does, nothing else does"
    if tool.exclusive and tool.background:
        yield "it runs in the background and alone: until it has ended, nothing else runs"
    if tool.retry is not None and tool.retry.on and not tool.idempotent:
        named = ", ".join(kind.__name__ for kind in tool.retry.on)
        yield f"it is tried again after {named} without being idempotent: be sure that nothing was done then"
