"""`constellation run` and `constellation resume`: carry a workflow out, and show it meanwhile."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .errors import BadInput
from .following import Following
from .options import (
    DEVICES,
    MAX_DEVICES,
    Approvals,
    Approve,
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
from .refusals import refused

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


def run(
    file: Annotated[str, typer.Argument(help="The workflow, a YAML or JSON file.", metavar="FILE")],
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
    model: Annotated[
        str | None,
        typer.Option(
            help="Have the devices carry out prompts with this model, such as openai/gpt-5; its key comes from the "
            "environment.",
            metavar="MODEL",
        ),
    ] = None,
    approve: Approvals = Approve.ASK,
    deadline: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which the run is ended.", metavar="SECONDS")
    ] = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Run a workflow on devices started here, or at a hub, and show how it goes."""
    from constellation_protocol.kinds import ModelAgent

    from ..graph.files import read_file
    from ..journal import FLEETING
    from ..orchestrator.errors import AdmissionRefused
    from ..orchestrator.orchestrator import Orchestrator
    from ..scheduling import RunOptions
    from .stopping import run_until_stopped

    own = {
        "--devices": devices,
        "--tools": tools,
        "--root": root,
        "--allow-host": allow_host,
        "--model": model,
        "--journal": journal,
    }
    check_choice(hub, token_file, own)
    if deadline == 0:
        raise BadInput("--deadline 0 would end the run before it begins; give seconds, or leave it out")
    if root is not None and not root.is_dir():
        raise BadInput(f"--root {root} is no directory")
    following = Following(
        as_json=as_json,
        approve=approve,
        report=checked_report(report),
        resume_options=_resume_options(hub, token_file, journal, report),
        lasting=journal not in FLEETING,
        at_hub=hub is not None,
    )
    graph = read_file(file)
    info = {"file": os.path.abspath(file)}

    def opened() -> AbstractAsyncContextManager[Any]:
        if hub is not None:
            return Orchestrator.connect(checked_hub(hub), hub_token(token_file), ssl=hub_tls(hub))
        return Orchestrator.local(
            devices if devices is not None else DEVICES,
            kind="process",
            tools=(*graph.tools, *absolute_tools(tools or ())),
            root=root.absolute() if root is not None else None,
            allow_hosts=tuple(allow_host or ()),
            agent=ModelAgent(model) if model is not None else None,
            journal=journal,
        )

    async def body() -> int:
        async with opened() as orchestrator:
            try:
                started = await orchestrator.submit(graph, options=RunOptions(deadline_s=deadline), info=info)
            except AdmissionRefused as error:
                raise refused(file, error.problems) from error
            return await following.follow(started)

    return following.after(run_until_stopped(body))


def resume(
    run: Annotated[str, typer.Argument(help="The run's id, or the beginning of it.", metavar="RUN")],
    hub: Hub = None,
    token_file: TokenFile = None,
    approve: Approvals = Approve.ASK,
    rerun_unknown: Annotated[
        bool | None,
        typer.Option(
            "--rerun-unknown/--fail-unknown",
            help="What becomes of work that was cut off and may have had its effect: run again, or counted as failed.",
            show_default=False,
        ),
    ] = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Go on with a run that was stopped, or follow one at a hub; stars that had ended are not run again."""
    from ..journal import open_journal
    from ..orchestrator.orchestrator import Orchestrator
    from .apps import app_of
    from .stopping import run_until_stopped

    check_choice(hub, token_file, {"--journal": journal})
    following = Following(
        as_json=as_json,
        approve=approve,
        report=checked_report(report),
        resume_options=_resume_options(hub, token_file, journal, report),
        at_hub=hub is not None,
    )

    async def body() -> int:
        if hub is not None:
            async with Orchestrator.connect(checked_hub(hub), hub_token(token_file), ssl=hub_tls(hub)) as client:
                return await following.follow(await client.resume(run, rerun_unknown=bool(rerun_unknown)))
        async with open_journal(journal) as known:
            summary = await known.run(run)
        app = app_of(summary.run, summary.info)
        planner = app.planner(summary.info) if app is not None else None
        async with Orchestrator.reopen(
            summary.run, journal=journal, planner=planner, rerun_unknown=rerun_unknown
        ) as orchestrator:
            if app is not None:
                following.report = following.report or app.report_file(summary.info)
                following.write = lambda run, path: app.write_report(run, orchestrator.journal, path)
            return await following.follow(await orchestrator.resume(summary.run))

    return following.after(run_until_stopped(body))


def _resume_options(
    hub: str | None, token_file: Path | None, journal: str | None, report: Path | None
) -> Sequence[str]:
    from ..journal import without_password

    given = (
        ("--hub", hub),
        ("--token-file", token_file),
        ("--journal", without_password(journal) if journal else None),
        ("--report", report),
    )
    return [text for name, value in given if value is not None for text in (name, str(value))]
