"""`constellation bench`: the benchmarks, one command each."""

from __future__ import annotations

import typer

from .artifact.cli import artifact
from .chaos.cli import chaos
from .holds.cli import holds
from .llm.cli import llm
from .overhead.cli import overhead
from .scaling.cli import scaling
from .tools.cli import tools

APP = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Measure what Constellation costs, beside other tools.",
)


@APP.callback()
def bench() -> None:
    """Measure what Constellation costs, beside other tools."""


for command in (overhead, scaling, holds, chaos, artifact, tools, llm):
    APP.command()(command)
