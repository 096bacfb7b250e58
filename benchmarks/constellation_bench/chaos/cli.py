"""`constellation bench chaos`: kill hubs and devices at random while a graph runs, and count what it has done."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from ..commands import AsJson, Folder

STARS = 5_000
KILLS = 100
CUTS = 100
DEVICES = 4
WORK_MS = 200.0
PATIENCE_S = 180.0


def chaos(
    stars: Annotated[int, typer.Option(min=1, help="How many stars the run has.")] = STARS,
    kills: Annotated[int, typer.Option(min=0, help="How often a hub or a device is killed with SIGKILL.")] = KILLS,
    cuts: Annotated[int, typer.Option(min=0, help="How many connections are cut.")] = CUTS,
    freezes: Annotated[
        int,
        typer.Option(min=0, help="How often the hub at work is stopped until another has taken over; with --store."),
    ] = 0,
    devices: Annotated[int, typer.Option(min=1, max=64, help="How many device processes there are.")] = DEVICES,
    work_ms: Annotated[float, typer.Option(min=0, help="How long a star takes on the average.")] = WORK_MS,
    seed: Annotated[int, typer.Option(help="What the graph and the disturbances follow from.")] = 1,
    store: Annotated[
        str | None,
        typer.Option(
            help="The postgresql:// URL of a journal that two hubs share; else one hub with a file.", metavar="URL"
        ),
    ] = None,
    patience: Annotated[
        float, typer.Option(min=1, help="Seconds without any event after which a run counts as standing still.")
    ] = PATIENCE_S,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """Whether anything is lost or done twice while hubs and devices are killed and connections are cut."""
    from constellation.cli.errors import BadInput

    from ..commands import carry_out, check_store, disk_folder, tell
    from ..errors import BenchError, PromiseBroken
    from .figures import figures, print_figures
    from .plan import Kind
    from .run import Chaos, carry_out_chaos
    from .showing import Showing

    check_store(store)
    if freezes and store is None:
        raise BadInput("--freezes takes another hub that takes over: give --store")
    wanted = Chaos(
        stars=stars,
        disturbances={Kind.KILL: kills, Kind.CUT: cuts, Kind.FREEZE: freezes},
        devices=devices,
        hubs=1 if store is None else 2,
        seed=seed,
        work_s=work_ms / 1e3,
        patience_s=patience,
        journal=store,
    )
    place = Path(tempfile.mkdtemp(prefix="constellation-chaos-", dir=disk_folder(folder)))

    async def body() -> None:
        keep = False
        try:
            with Showing(wanted) as showing:
                outcome = await carry_out_chaos(wanted, place, showing.show)
            faults = outcome.faults()
            keep = bool(faults)
            told = figures(wanted, outcome)
            if as_json:
                sys.stdout.write(json.dumps(told) + "\n")
            else:
                print_figures(told)
            if faults:
                raise PromiseBroken(f"found what must not be: {'; '.join(faults)}")
        except BenchError:
            keep = True
            raise
        finally:
            if keep:
                tell(f"what the programs have said and written is kept in {place}")
            else:
                shutil.rmtree(place, ignore_errors=True)

    return carry_out(body)
