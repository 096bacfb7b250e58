"""Commands that other packages add, by entry points in the group `constellation.commands`.

An entry point names a function that typer can make a command of, or a `typer.Typer` with commands of its own. It is
loaded when its command is used, or listed in the help; one that can't be loaded says so when it is used, and stands in
nobody's way otherwise.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

from .errors import BadInput

GROUP = "constellation.commands"


def extensions() -> dict[str, EntryPoint]:
    """The commands that are installed besides our own, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def load_command(point: EntryPoint) -> Any:
    """The command of an entry point, for typer's group; when it can't be loaded, one that says why."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    try:
        found = point.load()
        if isinstance(found, typer.Typer):
            return typer.main.get_command(found)
        app.command(point.name)(found)
        return typer.main.get_command(app)
    except Exception as error:  # whatever is wrong with someone else's code is told when its command is used
        return _broken(point, error)


def _broken(point: EntryPoint, error: Exception) -> Any:
    package = f" of the package {point.dist.name!r}" if point.dist is not None else ""

    def complain() -> None:
        raise BadInput(
            f"the command {point.name!r}{package} can't be loaded from {point.value!r}: "
            f"{type(error).__name__}: {error}; reinstall that package, or remove it"
        ) from error

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(
        point.name,
        help="(can't be loaded)",
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(complain)
    return typer.main.get_command(app)
