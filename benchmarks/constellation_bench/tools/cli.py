"""`constellation bench tools`: how exact tool libraries are, and what they cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from ..commands import AsJson, Folder
from .subjects import OURS, SUBJECTS, Subject

REPEATS = 3
TIMEOUT_S = 300.0


def tools(
    library: Annotated[
        list[str] | None,
        typer.Option(help=f"One of {', '.join(SUBJECTS)}; may be repeated. Else all.", metavar="NAME"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="How many times each is measured.")] = REPEATS,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that one measurement may take.")] = TIMEOUT_S,
    wrong: Annotated[bool, typer.Option("--wrong", help="List the cases in which something is wrong.")] = False,
    folder: Folder = None,
    as_json: AsJson = False,
) -> int:
    """How exact the schemas and calls of tool libraries are, and what they cost."""
    from ..commands import carry_out, disk_folder, tell, wide_console
    from .survey import survey
    from .table import print_survey

    subjects = chosen(library)
    place = disk_folder(folder)

    async def body() -> None:
        found = await survey(subjects, repeats=repeats, folder=place, timeout_s=timeout, progress=tell)
        if as_json:
            sys.stdout.write(json.dumps(found.as_json()) + "\n")
        else:
            print_survey(found, wide_console(), wrong=wrong)

    return carry_out(body)


def chosen(names: Sequence[str] | None) -> list[Subject]:
    """The libraries of these names, all when none is given; our own tools are always among them.

    Raises:
        BadInput: there is no such library.
    """
    from constellation.cli.errors import BadInput

    if not names:
        return list(SUBJECTS.values())
    unknown = [name for name in names if name not in SUBJECTS]
    if unknown:
        raise BadInput(f"--library {unknown[0]!r} is none of {', '.join(SUBJECTS)}")
    return [SUBJECTS[name] for name in dict.fromkeys([OURS, *names])]
