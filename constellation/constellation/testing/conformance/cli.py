"""`constellation conformance`: does a device, in whatever language, keep to the protocol?

Exit codes: 0 no check failed; 1 one did; 2 bad input.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Annotated

import typer

from .checks import CHECKS
from .command import starting
from .kit import PATIENCE_S, Check, CheckReport, check_device
from .stage import DEVICE_NAME

APP = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Check whether a device keeps to the protocol.",
)

TOKEN_VARIABLE = "CONSTELLATION_TOKEN"


@APP.callback()
def conformance() -> None:
    """Check whether a device keeps to the protocol."""


@APP.command()
def device(
    command: Annotated[
        str,
        typer.Option(help="Starts the device; {url}, {name} and {state_dir} are filled in. Else one has to dial."),
    ] = "",
    only: Annotated[list[str] | None, typer.Option(help="A check to run, by name; may be repeated.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the checks, and run none.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 for any.")] = 0,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds to wait for what the device has to do.")
    ] = PATIENCE_S,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per check.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show what the device prints, on standard error.")] = False,
) -> int:
    """Check a device: start it for each check, or wait for one that dials in."""
    chosen = _choose(only or [])
    if listing:
        for check in chosen:
            typer.echo(f"{check.name}: {check.sentence}")
        return 0
    if not command and port == 0:
        raise typer.BadParameter("give the --command that starts the device, or the --port that it will dial")
    import anyio

    try:
        return anyio.run(partial(_check, chosen, command, port, patience, json_lines, verbose))
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"the device can't be checked: {error}") from error


async def _check(
    chosen: list[Check], command: str, port: int, patience_s: float, json_lines: bool, verbose: bool
) -> int:
    start = starting(command, quiet=not verbose) if command else None
    token = os.environ.get(TOKEN_VARIABLE) or None
    if start is None:
        token = token or "conformance"
        typer.echo(
            f"waiting at ws://127.0.0.1:{port}/aip for a device {DEVICE_NAME!r} with the token {token!r}", err=True
        )
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    async for report in check_device(chosen, start, token=token, port=port, patience_s=patience_s):
        counts[report.outcome] += 1
        if json_lines:
            typer.echo(json.dumps(report.to_json()))
        else:
            _show(report)
    if not json_lines:
        typer.echo(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


def _show(report: CheckReport) -> None:
    typer.echo(f"{report.outcome}  {report.name}  {report.sentence}")
    if report.reason:
        typer.echo(f"        {_visible(report.reason)}")
    for line in report.frames:
        typer.echo(f"        | {_visible(line)}")


def _visible(text: str) -> str:
    """Show what came from a device without control characters, which a terminal would obey."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _choose(names: list[str]) -> list[Check]:
    unknown = sorted(set(names) - {check.name for check in CHECKS})
    if unknown:
        raise typer.BadParameter(f"there is no check {', '.join(unknown)}; `--list` names all")
    return [check for check in CHECKS if not names or check.name in names]
