"""`constellation bench`: the benchmarks, one command each."""

from __future__ import annotations

import typer

from .holds.cli import holds
from .llm.cli import llm
from .overhead.cli import overhead
from .scaling.cli import scaling

APP = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure what Constellation costs, beside other tools.",
)


@APP.callback()
def bench() -> None:
    """Measure what Constellation costs, beside other tools."""


for command in (overhead, scaling, holds, llm):
    APP.command()(command)
