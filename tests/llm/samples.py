"""What the tests of dialects share: a hint with everything in it, and a conversation in the middle of its work."""

from __future__ import annotations

from constellation.llm import ModelRequest, Pause, ToolResult, ToolSpec, ToolUse, WorkflowHint, assistant, system, user

HINT = WorkflowHint(
    workflow="run-7",
    session="run-7/build",
    parent_session="run-7/plan",
    tenant="team-a",
    step=2,
    remaining_steps=3.0,
    last_tool="search",
    next_tool="compile",
    pause=Pause(mean_s=20.0, p95_s=600.0),
    priority=5,
    deadline_s=60.0,
    output_tokens=200,
)

REQUEST = ModelRequest(
    (
        system("You build programs."),
        user("Build it."),
        assistant("Looking.", ToolUse("call_1", "search", '{"query": "Makefile"}')),
        user(ToolResult.of("call_1", "found")),
    ),
    tools=(ToolSpec("search", "Search.", {"type": "object", "properties": {"query": {"type": "string"}}}),),
    max_tokens=100,
    hint=HINT,
)
