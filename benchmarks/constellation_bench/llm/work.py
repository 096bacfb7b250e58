"""The calls that are measured: the same conversation and tools, as the bare libraries are given them and as ours is."""

from __future__ import annotations

from typing import Any

from constellation.llm import ModelRequest, ToolResult, ToolSpec, ToolUse, assistant, system, user
from constellation.testing.models import Reply, Used
from constellation_tools import tool

MODEL = "scripted"

TURNS = 6
"""How often a tool has been called in the conversation before."""

ANSWER = " ".join(f"word{number}" for number in range(64))


@tool
def search(query: str, limit: int = 10, languages: list[str] | None = None) -> list[str]:
    """Search the documents.

    Args:
        query: What to look for.
        limit: The most results.
        languages: Only documents in these languages.
    """
    return [query][:limit] + (languages or [])


@tool
def read(path: str, first_line: int = 1, lines: int = 200) -> str:
    """Read a part of a file.

    Args:
        path: Which file.
        first_line: Where to begin.
        lines: How many lines.
    """
    return f"{path}:{first_line}+{lines}"


def reply(pieces: int) -> Reply:
    """What the server answers."""
    return Reply(ANSWER, usage=Used(prompt=900, completion=64, cached=512), pieces=pieces)


def request() -> ModelRequest:
    """The request, as it is built anew for each call of ours."""
    messages = [system("You answer questions on the documents, with sources."), user("What changed in the release?")]
    for turn in range(TURNS):
        messages += [
            assistant("Let me look.", ToolUse(f"call_{turn}", "search", f'{{"query": "release {turn}"}}')),
            user(ToolResult.of(f"call_{turn}", f"section {turn}: " + "what is new in this section. " * 8)),
        ]
    return ModelRequest(tuple(messages), tools=(ToolSpec.of(search), ToolSpec.of(read)), max_tokens=500)


def bare() -> dict[str, Any]:
    """The same, as whoever calls a library directly writes it."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You answer questions on the documents, with sources."},
        {"role": "user", "content": "What changed in the release?"},
    ]
    for turn in range(TURNS):
        function = {"name": "search", "arguments": f'{{"query": "release {turn}"}}'}
        call = {"id": f"call_{turn}", "type": "function", "function": function}
        result = f"section {turn}: " + "what is new in this section. " * 8
        messages += [
            {"role": "assistant", "content": "Let me look.", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": f"call_{turn}", "content": result},
        ]
    tools = [
        {
            "type": "function",
            "function": {"name": each.name, "description": each.description, "parameters": each.input_schema},
        }
        for each in (search, read)
    ]
    return {"messages": messages, "tools": tools, "tool_choice": "auto", "max_tokens": 500}
