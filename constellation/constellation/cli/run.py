"""`constellation run`: carry a workflow out, and show it meanwhile."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from .following import Following
from .options import (
    DEVICES,
    Approvals,
    Approve,
    AsJson,
    Hub,
    Journal,
    Report,
    TokenFile,
    Tools,
    checked_report,
    resume_options,
)
from .refusals import refused
from .starting import AllowHost, Deadline, Devices, Root, Where


def run(
    file: Annotated[str, typer.Argument(help="The workflow, a YAML or JSON file.", metavar="FILE")],
    devices: Devices = None,
    hub: Hub = None,
    token_file: TokenFile = None,
    tools: Tools = None,
    root: Root = None,
    allow_host: AllowHost = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="Have the devices carry out prompts with this model, such as openai/gpt-5; its key comes from the "
            "environment.",
            metavar="MODEL",
        ),
    ] = None,
    approve: Approvals = Approve.ASK,
    deadline: Deadline = None,
    report: Report = None,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Run a workflow on devices started here, or at a hub, and show how it goes."""
    from constellation_protocol.kinds import ModelAgent

    from ..graph.files import read_file
    from ..journal import FLEETING
    from ..orchestrator.errors import AdmissionRefused
    from ..scheduling import RunOptions
    from .stopping import run_until_stopped

    where = Where(hub, token_file, devices, tools, root, allow_host, journal)
    where.check(deadline, model=model)
    following = Following(
        as_json=as_json,
        approve=approve,
        report=checked_report(report),
        resume_options=resume_options(hub, token_file, journal, report),
        lasting=journal not in FLEETING,
        at_hub=hub is not None,
    )
    graph = read_file(file)
    info = {"file": os.path.abspath(file)}

    agent = ModelAgent(model) if model is not None else None

    async def body() -> int:
        async with where.opened(devices=DEVICES, tools=graph.tools, agent=agent) as orchestrator:
            try:
                started = await orchestrator.submit(graph, options=RunOptions(deadline_s=deadline), info=info)
            except AdmissionRefused as error:
                raise refused(file, error.problems) from error
            return await following.follow(started)

    return following.after(run_until_stopped(body))
