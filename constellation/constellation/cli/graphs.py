"""`constellation validate` and `constellation show`: look at a workflow without running it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import BadInput
from .options import Journal, Tools, absolute_tools

if TYPE_CHECKING:
    from ..graph import TaskConstellation

FILE_ENDINGS = (".yaml", ".yml", ".json")


class Format(StrEnum):
    """How a graph is shown."""

    TREE = "tree"
    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"


def validate(
    file: Annotated[str, typer.Argument(help="The workflow, a YAML or JSON file.", metavar="FILE")],
    tools: Tools = None,
) -> int:
    """Check a workflow against the built-in tools and those that it names, without running it.

    What stars require of a device is taken as given: it depends on the devices of the day.
    """
    from ..console.formatting import counted
    from ..console.output import write_text
    from ..console.sanitise import visible
    from ..graph.analysis import summary
    from ..graph.files import read_file
    from ..orchestrator.admission import find_problems
    from .imagined import imagine_devices

    graph = read_file(file)
    problems = find_problems(graph, imagine_devices(graph, absolute_tools(tools or ())))
    if problems:
        raise BadInput("\n".join(f"{file}: {problem}" for problem in problems))
    figures = summary(graph)
    write_text(
        f"{visible(file)}: valid: {visible(graph.name)}, {counted(figures.stars, 'star')}, "
        f"{counted(figures.lines, 'line')}, at most {figures.width:,} at once, {counted(figures.depth, 'layer')}"
    )
    return 0


def show(
    what: Annotated[
        str, typer.Argument(help="A workflow's file, or a run's id or the beginning of it.", metavar="FILE|RUN")
    ],
    format: Annotated[Format, typer.Option(help="How to show it.")] = Format.TREE,
    journal: Journal = None,
) -> int:
    """Show a workflow, or a run with the states of its stars."""
    from ..console.output import write_text

    graph = _find(what, journal)
    if format is Format.TREE:
        _print_tree(graph)
        return 0
    write_text(_drawn(graph, format).rstrip("\n"))
    return 0


def _find(what: str, journal: str | None) -> TaskConstellation:
    if Path(what).is_file() or what.lower().endswith(FILE_ENDINGS) or "/" in what:
        from ..graph.files import read_file

        return read_file(what)
    return _of_run(what, journal)


def _of_run(run: str, journal: str | None) -> TaskConstellation:
    import anyio

    from ..journal import open_journal
    from ..orchestrator.recovery import read_entries, replay

    async def read() -> TaskConstellation:
        async with open_journal(journal) as opened:
            summary = await opened.run(run)
            return replay(await read_entries(opened, summary.run)).graph

    return anyio.run(read)


def _print_tree(graph: TaskConstellation) -> None:
    from ..console.output import is_live_terminal, write_text
    from ..graph.render import to_text, to_tree

    if is_live_terminal():
        from rich.console import Console

        Console(highlight=False, markup=False, emoji=False).print(to_tree(graph))
    else:
        write_text(to_text(graph).rstrip("\n"))


def _drawn(graph: TaskConstellation, format: Format) -> str:
    from ..graph.documents import dump
    from ..graph.render import to_dot, to_mermaid

    if format is Format.MERMAID:
        return to_mermaid(graph)
    if format is Format.DOT:
        return to_dot(graph)
    # In ASCII: what a star has put out must not reach a terminal as it is.
    return json.dumps(dump(graph), indent=2)
