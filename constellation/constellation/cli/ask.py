"""`constellation ask`: a request is planned by a model, carried out on devices, and answered."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from .errors import RUN_FAILED, BadInput
from .following import Following
from .options import (
    MAX_DEVICES,
    AsJson,
    Hub,
    Journal,
    Report,
    TokenFile,
    Tools,
    absolute_tools,
    check_choice,
    checked_hub,
    checked_report,
    hub_tls,
    hub_token,
)

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from ..llm import Model
    from ..orchestrator.asking import Answer, AskOptions
    from ..planner.settings import When
    from .settings import Settings

DEVICES = 3
"""How many device processes are started when nothing is said."""

HOW_TO_ALLOW = "there is no terminal to ask at"


class ToApprove(StrEnum):
    """What a person is asked about before it is done."""

    PLAN = "plan"
    EDITS = "edits"
    NONE = "none"


def ask(
    request: Annotated[
        str, typer.Argument(help="What is wanted, in words; - for the standard input.", metavar="REQUEST")
    ],
    model: Annotated[
        str | None, typer.Option(help="Who plans and answers, such as openai/gpt-5.", metavar="MODEL")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(min=1, max=MAX_DEVICES, help=f"Device processes to start; {DEVICES} when left out.")
    ] = None,
    hub: Hub = None,
    token_file: TokenFile = None,
    tools: Tools = None,
    root: Annotated[
        Path | None,
        typer.Option(help="Directory that file, shell and python tools are confined to; else the present one."),
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A host that http tools may reach; may be repeated.", metavar="HOST")
    ] = None,
    edits: Annotated[
        str | None,
        typer.Option(
            help="After which results the model may edit: never, failure, every, or names of stars with commas.",
            metavar="WHEN",
        ),
    ] = None,
    approve: Annotated[
        list[ToApprove] | None,
        typer.Option(
            help="Ask a person before the plan is carried out, before each edit, or neither; may be repeated."
        ),
    ] = None,
    allow_tool: Annotated[
        list[str] | None,
        typer.Option(help="A tool that edits may use as they like, or a pattern; may be repeated.", metavar="NAME"),
    ] = None,
    budget: Annotated[
        list[str] | None,
        typer.Option(
            help="What the model may use: 2usd, 40calls, 200ktokens, 10min; may be repeated.", metavar="AMOUNT"
        ),
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="US dollars per million tokens, where nobody knows them.", metavar="INPUT,OUTPUT")
    ] = None,
    deadline: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which the run is ended.", metavar="SECONDS")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Write down what the model answers, for --replay.", metavar="FILE")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Ask no model: answer as one has before.", metavar="FILE")] = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Have a request planned by a model, carried out on devices, and answered."""
    from ..journal import FLEETING
    from ..orchestrator.orchestrator import Orchestrator
    from .settings import read_settings
    from .stopping import Part, run_until_stopped

    own = {"--devices": devices, "--tools": tools, "--root": root, "--allow-host": allow_host, "--journal": journal}
    check_choice(hub, token_file, own)
    settings = read_settings()
    if request == "-":
        request = sys.stdin.read()
    if not request.strip():
        raise BadInput("the request is empty: say what is wanted")
    if deadline == 0:
        raise BadInput("--deadline 0 would end the run before it begins; give seconds, or leave it out")
    if root is not None and not root.is_dir():
        raise BadInput(f"--root {root} is no directory")
    if replay is not None and (model is not None or record is not None):
        raise BadInput("--replay asks no model: leave --model and --record out")
    interactive = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    options = _options(
        settings,
        edits=edits,
        approve=[str(item) for item in approve] if approve else None,
        allow_tool=allow_tool,
        budget=budget,
        deadline=deadline,
        exceptions=interactive,
    )
    following = Following(
        as_json=as_json,
        report=checked_report(report),
        lasting=journal not in FLEETING,
        at_hub=hub is not None,
        how_to_allow=HOW_TO_ALLOW,
        ends_with_us=True,
    )

    def opened() -> AbstractAsyncContextManager[Any]:
        if hub is not None:
            return Orchestrator.connect(checked_hub(hub), hub_token(token_file), ssl=hub_tls(hub))
        return Orchestrator.local(
            devices if devices is not None else DEVICES,
            kind="process",
            tools=absolute_tools(tools or ()),
            root=root.absolute() if root is not None else None,
            allow_hosts=tuple(allow_host or ()),
            journal=journal,
        )

    part = Part()

    async def body() -> int:
        code = RUN_FAILED
        answer: Answer | None = None
        chosen = await _open(model, settings, price=price, record=record, replay=replay)
        try:
            async with opened() as orchestrator:
                following.note(f"asking {chosen.name} for a plan")
                with part.stopped_alone():  # so that there still is an orchestrator, which cancels the run
                    async with orchestrator.asking(request, model=chosen, options=options) as asked:
                        code = await following.follow(asked.run)
                        following.note("asking for the answer")
                        answer = await asked.answer()
        finally:
            await chosen.aclose()
        if answer is not None:
            _tell(answer, as_json=as_json)
        return RUN_FAILED if answer is None or answer.text is None else code

    return following.after(run_until_stopped(body, part))


async def _open(
    model: str | None, settings: Settings, *, price: str | None, record: Path | None, replay: Path | None
) -> Model:
    from ..llm import RecordingModel, ReplayModel
    from ..planner.fencing import secrets_of
    from .choosing import choose_model, open_chosen

    if replay is not None:
        return ReplayModel(replay, secrets=secrets_of(), in_order=True)
    opened = open_chosen(await choose_model(model, settings), settings, price)
    return opened if record is None else RecordingModel(opened, record, secrets=secrets_of())


def _options(
    settings: Settings,
    *,
    edits: str | None,
    approve: list[str] | None,
    allow_tool: list[str] | None,
    budget: list[str] | None,
    deadline: float | None,
    exceptions: bool,
) -> AskOptions:
    """What the options and the settings come to; raises BadInput, PlannerMisconfigured."""
    from ..orchestrator.asking import AskOptions
    from ..planner import Budget, Capabilities, EditPolicy

    when = edits or settings.ask.edits or "failure"
    if when in ("never", "failure", "every"):
        policy = EditPolicy(cast("When", when))
    else:
        policy = EditPolicy.after([star.strip() for star in when.split(",") if star.strip()])
    asked = approve or list(settings.ask.approve)
    wrong = [item for item in asked if item not in tuple(ToApprove)]
    if wrong:
        raise BadInput(f"approve can't be {wrong[0]!r} in constellation.toml: give plan, edits or none")
    if "none" in asked and len(asked) > 1:
        raise BadInput("--approve none goes with no other --approve")
    return AskOptions(
        edits=policy,
        budget=Budget.parse(budget or settings.ask.budget),
        approve=frozenset(item for item in asked if item != "none"),  # type: ignore[misc]  # they were checked
        exceptions=exceptions,
        capabilities=Capabilities(tools=tuple(allow_tool or settings.ask.allow_tool)),
        deadline_s=deadline,
    )


def _tell(answer: Answer, *, as_json: bool) -> None:
    """Print the answer: the last line, or lines, of the output."""
    from ..console.output import write_text
    from ..console.sanitise import visible, visible_lines

    spent = answer.spent
    if as_json:
        used = {
            "calls": spent.calls,
            "input_tokens": spent.input_tokens,
            "output_tokens": spent.output_tokens,
            "usd": None if spent.usd is None else str(spent.usd),
            "seconds": round(spent.seconds, 3),
        }
        said = {"run": answer.report.run, "text": answer.text, "problem": answer.problem, "reason": answer.reason}
        write_text(json.dumps({"event": "answer", **said, "spent": used}, ensure_ascii=False))
        return
    write_text(f"  planner  {spent}{os.linesep}")
    if answer.text is None:
        write_text(f"there is no answer: {visible(answer.problem, limit=None)}")
        return
    for line in visible_lines(answer.text, limit=None):
        write_text(line)
