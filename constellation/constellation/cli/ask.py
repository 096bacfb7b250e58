"""`constellation ask`: a request is planned by a model, carried out on devices, and answered."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from .errors import RUN_FAILED, BadInput
from .following import Following
from .options import AsJson, Hub, Journal, Report, TokenFile, Tools, checked_report, resume_options
from .requesting import HOW_TO_ALLOW, carry_out, finished, provide_key
from .starting import ASK_DEVICES, AllowHost, Deadline, Devices, Root, Where

if TYPE_CHECKING:
    from constellation_protocol.kinds import ModelAgent

    from ..llm import Model
    from ..orchestrator.asking import AskOptions
    from ..planner import Budget
    from ..planner.settings import When
    from .settings import Settings

NO_MODEL = "none"
"""What `--device-model` says so that devices have none."""


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
    devices: Devices = None,
    device_model: Annotated[
        str | None,
        typer.Option(
            help="Who carries out the plan's instructions on devices started here: the model that plans when left out, "
            f"or {NO_MODEL}.",
            metavar="MODEL",
        ),
    ] = None,
    hub: Hub = None,
    token_file: TokenFile = None,
    tools: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
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
            help="What may be used: 2usd, 40calls, 200ktokens, 10min; may be repeated. Money and tokens count the "
            "planner and the devices' models, calls and time the planner alone.",
            metavar="AMOUNT",
        ),
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="US dollars per million tokens, where nobody knows them.", metavar="INPUT,OUTPUT")
    ] = None,
    deadline: Deadline = None,
    record: Annotated[
        Path | None, typer.Option(help="Write down what the model answers, for --replay.", metavar="FILE")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="Ask no model: answer as one has before.", metavar="FILE")] = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Have a request planned by a model, carried out on devices, and answered."""
    from ..console.planning import planning_view
    from ..journal import FLEETING
    from .settings import read_settings
    from .stopping import Part, run_until_stopped

    where = Where(hub, token_file, devices, tools, root, allow_host, journal)
    where.check(deadline, device_model=device_model)
    settings = read_settings()
    if request == "-":
        request = sys.stdin.read()
    if not request.strip():
        raise BadInput("the request is empty: say what is wanted")
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
        resume_options=resume_options(hub, token_file, journal, None),
        lasting=journal not in FLEETING,
        at_hub=hub is not None,
        how_to_allow=HOW_TO_ALLOW,
        ends_with_us=True,
    )
    part = Part()

    async def body() -> int:
        code = RUN_FAILED
        chosen = await _open(model, settings, price=price, record=record, replay=replay)
        try:
            other = device_model or (NO_MODEL if replay is not None else chosen.name)
            agent = None
            if hub is None and other != NO_MODEL:
                agent = _agent(other, settings, options.budget, price if other == chosen.name else None)
            async with (
                planning_view(note=following.note, quiet=as_json) as view,
                where.opened(devices=ASK_DEVICES, agent=agent) as orchestrator,
            ):
                if not as_json:
                    following.note(f"asking {chosen.name} for a plan")
                with part.stopped_alone():  # so that there still is an orchestrator, which cancels the run
                    code, answer = await carry_out(
                        lambda show: orchestrator.asking(request, model=chosen, options=options, progress=show),
                        following,
                        view,
                        doing="planning",
                    )
                    code = finished(code, answer, as_json=as_json)
        finally:
            await chosen.aclose()
        return code  # that of whatever has stopped it counts, if something has

    return following.after(run_until_stopped(body, part))


def _agent(model: str, settings: Settings, budget: Budget, price: str | None) -> ModelAgent:
    """What carries out prompts on devices; no prompt alone may use more than the whole budget."""
    from constellation_protocol.kinds import ModelAgent

    from .choosing import prices_of

    provide_key(model, settings)
    prices = prices_of(price or settings.prices.get(model))
    return ModelAgent(
        model,
        max_tokens=budget.tokens or None,
        budget_usd=budget.usd,
        prices_usd=(prices.input, prices.output) if prices is not None else None,
    )


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
