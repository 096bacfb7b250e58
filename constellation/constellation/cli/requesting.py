"""Carrying a request out at the terminal: what `ask` does with a new one, and `resume` with one that broke off."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from .errors import RUN_FAILED
from .following import Following
from .settings import Settings, key_variable

if TYPE_CHECKING:
    from ..console.planning import PlanningView
    from ..orchestrator.asking import Answer, Asking, Progress
    from ..planner import Spent

HOW_TO_ALLOW = "there is no terminal to ask at"


async def carry_out(
    begin: Callable[[Progress], AbstractAsyncContextManager[Asking]],
    following: Following,
    view: PlanningView,
    *,
    doing: str,
) -> tuple[int, Answer]:
    """Follow a request from its plan to its answer; returns the exit code of its run, and the answer.

    Args:
        begin: Begins with it, and shows how that goes.
        following: How its run is shown.
        view: Where the planner is shown.
        doing: What it does first.
    """
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        with view.phase(doing):
            asked = await stack.enter_async_context(begin(view.show))
        code = await following.follow(asked.run)
        with view.phase("answering"):
            answer = await asked.answer()
            following.answered = answer.text is not None
    return code, answer


def finished(code: int, answer: Answer, *, as_json: bool) -> int:
    """Print the answer, the last of the output; returns the exit code of the command."""
    from ..console.output import write_text
    from ..console.sanitise import visible, visible_lines

    if as_json:
        said = {"run": answer.report.run, "text": answer.text, "problem": answer.problem, "reason": answer.reason}
        accounts = {"spent": _account(answer.spent), "prompts": _account(answer.prompts)}
        write_text(json.dumps({"event": "answer", **said, **accounts}, ensure_ascii=False))
    else:
        devices = f"; devices' models {answer.prompts}" if answer.prompts.calls else ""
        write_text(f"  planner  {answer.spent}{devices}{os.linesep}")
        if answer.text is None:
            write_text(f"there is no answer: {visible(answer.problem, limit=None)}")
        else:
            for line in visible_lines(answer.text, limit=None):
                write_text(line)
    return RUN_FAILED if answer.text is None else code


def _account(spent: Spent) -> dict[str, Any]:
    return {
        "calls": spent.calls,
        "input_tokens": spent.input_tokens,
        "output_tokens": spent.output_tokens,
        "usd": None if spent.usd is None else str(spent.usd),
        "seconds": round(spent.seconds, 3),
    }


def provide_key(model: str, settings: Settings) -> None:
    """Have devices find a model's key where they look for it, when only the settings have it.

    Device processes inherit the environment, take the key out of it, and hide it from their tools.
    """
    from ..llm import ModelAddress

    address = ModelAddress.parse(model)
    key = settings.key_for(address.provider)
    if key is not None and address.key_variable == key_variable(address.provider):
        os.environ[key_variable(address.provider)] = key
