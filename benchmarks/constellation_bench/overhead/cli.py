"""`constellation bench overhead`: what a star costs, beside other tools that carry out the same graph."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..commands import AsJson, Folder
from .subjects import CASES, PEERS, CaseName, Peer

STARS = 10_000
REPEATS = 5
TIMEOUT_S = 300.0
NO_PEER = "none"


def overhead(
    stars: Annotated[int, typer.Option(min=1, help="How many stars our own runs have.")] = STARS,
    peer_stars: Annotated[
        int | None, typer.Option(min=1, help="How many stars runs of peers have.  [default: as many as ours]")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How many times each is measured.")] = REPEATS,
    case: Annotated[list[CaseName] | None, typer.Option(help="One of our cases; may be repeated. Else all.")] = None,
    peer: Annotated[
        list[str] | None,
        typer.Option(help=f"A peer: {', '.join(PEERS)}, or {NO_PEER}; may be repeated. Else all.", metavar="NAME"),
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one measurement may take.")] = TIMEOUT_S,
    store: Annotated[
        str | None,
        typer.Option(
            help="The postgresql:// URL of a database for journaled_postgres; else a server is started for it, where "
            "there is one to start.",
            metavar="URL",
        ),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the figures; .png or .svg.", metavar="FILE")] = None,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """What a star costs in CPU time, beside other tools that carry out the same graph."""
    from ..commands import carry_out, check_store, disk_folder, tell, wide_console
    from .survey import survey
    from .table import print_survey

    cases = [CASES[name] for name in dict.fromkeys(case or CaseName)]
    peers = chosen_peers(peer)
    check_store(store)
    if plot is not None:
        check_plot(plot)
    place = disk_folder(folder)

    async def body() -> None:
        found = await survey(
            cases,
            peers,
            stars=stars,
            peer_stars=peer_stars or stars,
            repeats=repeats,
            folder=place,
            timeout_s=timeout,
            store=store,
            progress=tell,
        )
        if plot is not None:
            from .plot import draw

            draw(found, plot)
        if as_json:
            sys.stdout.write(json.dumps(found.as_json()) + "\n")
        else:
            print_survey(found, wide_console())

    return carry_out(body)


def chosen_peers(names: Sequence[str] | None) -> list[Peer]:
    """The peers of these names, all when none is given.

    Raises:
        BadInput: there is no such peer.
    """
    from constellation.cli.errors import BadInput

    if not names:
        return list(PEERS.values())
    wanted = dict.fromkeys(name for name in names if name != NO_PEER)
    unknown = [name for name in wanted if name not in PEERS]
    if unknown:
        raise BadInput(f"--peer {unknown[0]!r} is none of {', '.join(PEERS)} and {NO_PEER}")
    if wanted and NO_PEER in names:
        raise BadInput(f"--peer {NO_PEER} can't go with other peers")
    return [PEERS[name] for name in wanted]


def check_plot(file: Path) -> None:
    """See that a picture can be drawn, before anything is measured.

    Raises:
        BadInput: the suffix is none that is drawn, the directory is missing, or matplotlib is.
    """
    from importlib.util import find_spec

    from constellation.cli.errors import BadInput

    from .plot import SUFFIXES

    if file.suffix.lower() not in SUFFIXES:
        raise BadInput(f"--plot {file}: the file's name has to end with {' or '.join(SUFFIXES)}")
    if not file.absolute().parent.is_dir():
        raise BadInput(f"--plot {file}: there is no directory {file.parent}; make it first")
    if find_spec("matplotlib") is None:
        raise BadInput("--plot needs matplotlib: pip install 'constellation-agents[bench]'")
