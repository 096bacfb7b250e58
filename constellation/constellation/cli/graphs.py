"""`constellation validate` and `constellation show`: look at a workflow without running it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import (
    DEVICES,
    MAX_DEVICES,
    Hub,
    Journal,
    TokenFile,
    Tools,
    absolute_tools,
    check_choice,
    connected,
)
from .refusals import refused

if TYPE_CHECKING:
    from ..graph import TaskConstellation
    from ..orchestrator.errors import Problem

FILE_ENDINGS = (".yaml", ".yml", ".json")


class Format(StrEnum):
    """How a graph is shown."""

    TREE = "tree"
    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"


def validate(
    file: Annotated[str, typer.Argument(help="The workflow, a YAML or JSON file.", metavar="FILE")],
    devices: Annotated[
        int | None, typer.Option(min=1, max=MAX_DEVICES, help="How many devices `run` is to start.")
    ] = None,
    hub: Hub = None,
    token_file: TokenFile = None,
    tools: Tools = None,
    any_devices: Annotated[
        bool,
        typer.Option("--any-devices", help="Take what stars require of devices as given, and check all else."),
    ] = False,
) -> int:
    """Check whether `run` would take a workflow, on devices started here or at a hub, without running it."""
    import anyio

    from ..console.formatting import counted
    from ..console.output import write_text
    from ..console.sanitise import visible
    from ..graph.analysis import summary
    from ..graph.files import read_file
    from ..orchestrator.admission import find_problems
    from ..orchestrator.orchestrator import Orchestrator
    from .imagined import imagine_devices

    check_choice(hub, token_file, {"--devices": devices, "--tools": tools, "--any-devices": any_devices or None})
    graph = read_file(file)
    references = absolute_tools(tools or ())

    async def ask() -> list[Problem]:
        if hub is not None:
            async with connected(hub, token_file) as client:
                return await client.check(graph)
        async with Orchestrator.local(devices or DEVICES, tools=(*graph.tools, *references)) as orchestrator:
            return await orchestrator.check(graph)

    problems = find_problems(graph, imagine_devices(graph, references)) if any_devices else anyio.run(ask)
    if problems:
        raise refused(file, problems)
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
