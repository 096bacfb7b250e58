"""The list of commands."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .ask import ask
from .dumps import dump, replay
from .extensions import extensions, load_command
from .gc import gc
from .graphs import show, validate
from .hub import devices, serve
from .mcp import mcp
from .models import MODELS
from .resume import resume
from .run import run
from .runs import runs
from .story import story
from .tokens import TOKENS
from .tools_serve import TOOLS
from .version import version


class Commands(TyperGroup):
    """Our own commands, and those of entry points, which are looked for only when a name is not one of ours."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of all commands, ours first."""
        own = super().list_commands(ctx)
        return [*own, *sorted(set(extensions()) - set(own))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, or None."""
        own = super().get_command(ctx, cmd_name)
        if own is not None:
            return own
        point = extensions().get(cmd_name)
        return load_command(point) if point is not None else None


def make_app() -> Any:
    """The command group, ready to be given a command line."""
    app = typer.Typer(
        cls=Commands,
        invoke_without_command=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        help="Run a workflow as a graph of tasks across many machines.",
    )
    app.callback()(_global_options)
    for command in (
        ask,
        run,
        validate,
        show,
        runs,
        story,
        resume,
        dump,
        replay,
        gc,
        serve,
        devices,
        mcp,
        version,
    ):
        app.command()(command)
    app.add_typer(MODELS, name="models")
    app.add_typer(TOKENS, name="tokens")
    app.add_typer(TOOLS, name="tools")
    return typer.main.get_command(app)


def _global_options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Run a workflow as a graph of tasks across many machines."""
    if debug:
        context.obj["debug"] = True
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
