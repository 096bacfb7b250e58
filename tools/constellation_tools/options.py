"""What may be said of a tool beside its function: how its calls are run."""

from __future__ import annotations

from typing import TypedDict

from .retry import Retry


class ToolOptions(TypedDict, total=False):
    """The options of `tool`, `Tool` and `Tool.from_function`, all of them keywords.

    Attributes:
        name: What the tool is called by; the function's name by default.
        description: What it does; taken from the docstring by default.
        idempotent: Whether doing it twice has the effect of doing it once, so that a lost call may be repeated.
        read_only: Whether it changes nothing, and so is idempotent too.
        destructive: Whether it may replace or remove what is there, or do what can't be undone.
        open_world: Whether it reaches beyond what its owner has given it, such as over the network.
        runs_programs: Whether it runs programs or code that its caller chooses.
        timeout_s: How long a call may take, in seconds; None for no limit.
        blocking: False for a quick sync function, which then runs on the event loop.
        exclusive: Whether no other call of the same runner may run at the same time.
        max_concurrent: How many of its calls a runner runs at the same time; None for as many as there are.
        background: Whether a runner answers a call with a handle at once, and delivers the result later.
        requires_approval: Whether a runner asks before each call, unless a rule of its policy says otherwise.
        retry: How a runner tries again; None for the runner's own way.
        max_output_bytes: How much JSON text a result may be in a runner; None for the runner's own limit.
    """

    name: str | None
    description: str | None
    idempotent: bool
    read_only: bool
    destructive: bool
    open_world: bool
    runs_programs: bool
    timeout_s: float | None
    blocking: bool
    exclusive: bool
    max_concurrent: int | None
    background: bool
    requires_approval: bool
    retry: Retry | None
    max_output_bytes: int | None
