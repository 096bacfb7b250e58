"""What the commands of `constellation bench` share: options, where files are kept, and how they talk to a person."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object.")]
Folder = Annotated[
    Path | None,
    typer.Option(help="Directory on a disk for journals meanwhile; else that of the user's state.", metavar="DIR"),
]

PIPE_WIDTH = 140
"""How many columns a table may take in a pipe."""

IN_MEMORY = ("tmpfs", "ramfs")
"""File systems on which nothing is durable."""


def disk_folder(folder: Path | None) -> Path:
    """Where journals are kept while something is measured; says so when that is no disk.

    Raises:
        BadInput: there is no such directory.
    """
    from constellation.cli.errors import BadInput
    from constellation.journal import default_home

    from .machine import file_system

    if folder is None:
        folder = default_home()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif not folder.is_dir():
        raise BadInput(f"--folder {folder} is no directory; make it first")
    kind = file_system(folder)
    if kind in IN_MEMORY:
        tell(
            f"warning: {folder} is on {kind}, which is memory: journals are not durable there; give --folder on a disk"
        )
    return folder


def check_store(store: str | None) -> None:
    """See that what was given as `--store` is the URL of a PostgreSQL database.

    Raises:
        BadInput: it is not.
    """
    from constellation.cli.errors import BadInput

    if store is not None and not store.startswith(("postgresql://", "postgres://")):
        raise BadInput("--store takes the postgresql:// URL of a database; without it none has to be given")


def tell(line: str) -> None:
    """Say what is going on, to whoever waits."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def wide_console() -> Console:
    """Where tables are printed: as wide as the terminal, and wide enough for them where there is none."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(highlight=False, markup=False, emoji=False, width=width)


def carry_out(body: Callable[[], Awaitable[None]]) -> int:
    """Measure until it is done or this command is stopped; returns the exit code.

    Raises:
        RunBroken: a measurement has failed.
    """
    from constellation.cli.errors import RunBroken
    from constellation.cli.stopping import run_until_stopped

    from .errors import BenchError

    async def guarded() -> int:
        try:
            await body()
        except BenchError as error:
            raise RunBroken(f"the measurement {error}") from error
        return 0

    return run_until_stopped(guarded)
