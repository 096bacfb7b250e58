"""`constellation demo`: audit the Python standard library on devices of its own, and write a report."""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Annotated

import typer

from constellation.cli.options import AsJson, Journal

from .fleet import MAX_DEVICES, MIN_DEVICES

DEVICES = 4
PARTS = 12
MAX_PARTS = 500
REPORT = Path("report.md")


def demo(
    seed: Annotated[int, typer.Option(help="Says which files are scanned together; the same seed, the same plan.")] = 1,
    devices: Annotated[
        int, typer.Option(min=MIN_DEVICES, max=MAX_DEVICES, help="Device processes to start.")
    ] = DEVICES,
    parts: Annotated[int, typer.Option(min=1, max=MAX_PARTS, help="How many scans the files are dealt to.")] = PARTS,
    root: Annotated[
        Path | None, typer.Option(help="Directory of Python sources to audit; else the standard library.")
    ] = None,
    report: Annotated[Path, typer.Option(help="Where to write the report.", metavar="FILE")] = REPORT,
    journal: Journal = None,
    as_json: AsJson = False,
) -> int:
    """Audit the Python standard library on four device processes, and write a report."""
    from constellation import Orchestrator
    from constellation.cli.errors import BadInput
    from constellation.cli.following import Following
    from constellation.cli.options import checked_report
    from constellation.cli.stopping import run_until_stopped
    from constellation.journal import default_home, without_password

    from .app import APP
    from .fleet import make_fleet
    from .library import TooManyFiles, list_sources
    from .plan import plan_audit

    checked_report(report)
    audited = (root if root is not None else Path(sysconfig.get_path("stdlib"))).absolute()
    if not audited.is_dir():
        raise BadInput(f"--root {audited} is no directory")
    try:
        sources = list_sources(audited)
    except TooManyFiles as error:
        raise BadInput(f"--root: {error}") from error
    if not sources:
        raise BadInput(f"--root {audited} holds no Python sources; name a directory that does")
    graph = plan_audit(audited, sources, seed=seed, parts=parts)
    report = report.absolute()
    info = APP.info(seed=seed, root=audited, report=report)
    following = Following(
        as_json=as_json,
        report=report,
        resume_options=("--journal", without_password(journal)) if journal is not None else (),
        lasting=journal != ":memory:",
    )
    workspace = default_home() / "demo"

    async def body() -> int:
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        fleet = make_fleet(devices, root=workspace)
        async with Orchestrator.local(fleet, kind="process", journal=journal) as orchestrator:
            following.write = lambda run, path: APP.write_report(run, orchestrator.journal, path)
            run = await orchestrator.submit(graph, info=info, planner=APP.planner(info))
            return await following.follow(run)

    return following.after(run_until_stopped(body))
