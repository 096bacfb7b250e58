"""`constellation tools`: look at the tools of a module, call one, and see what providers make of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .calling import call_tool
from .errors import BadInput
from .options import AsJson

if TYPE_CHECKING:
    from constellation_tools import Tool, Toolset
    from constellation_tools.dialects import Dialect, LossReport

TOOLS = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Look at tools, call one, and see what providers make of them.",
)

Module = Annotated[
    str,
    typer.Argument(
        help="package.module, file.py, either with :name, a directory, or entry-point:name.", metavar="MODULE"
    ),
]
Name = Annotated[str | None, typer.Argument(help="One of its tools; all when left out.", metavar="NAME")]


@TOOLS.callback()
def tools() -> None:
    """Look at tools, call one, and see what providers make of them."""


@TOOLS.command("list")
def list_tools(module: Module, as_json: AsJson = False) -> int:
    """List the tools of a module, with their arguments; those that may be left out are in brackets."""
    from ..console.output import write_text
    from ..console.table import aligned

    found = _load(module)
    rows = [(each.name, _arguments(each), _first_line(each.description)) for each in found]
    if as_json:
        lines = [json.dumps({"name": each.name, "description": each.description}) for each in found]
    else:
        lines = aligned(("NAME", "ARGUMENTS", "WHAT IT DOES"), rows)
    for line in lines:
        write_text(line)
    return 0


@TOOLS.command()
def show(module: Module, name: Name = None) -> int:
    """Show tools as JSON: descriptions, schemas, and how calls of them are run."""
    from ..console.output import write_text

    for each in _chosen(module, name):
        write_text(json.dumps(_shown(each), indent=2, ensure_ascii=False))
    return 0


@TOOLS.command()
def call(
    module: Module,
    name: Annotated[str, typer.Argument(help="Which tool.", metavar="NAME")],
    arguments: Annotated[
        str, typer.Argument(help="Its arguments, one JSON object; - reads it from the standard input.", metavar="JSON")
    ] = "{}",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON objects, one on a line: progress, item, result or error.")
    ] = False,
) -> int:
    """Call a tool and print its result as JSON, a generator's items one by one; its progress goes to standard error."""
    found = _load(module)
    given = _read(sys.stdin.read() if arguments == "-" else arguments)
    return call_tool(found, found.get(name), given, as_json=as_json)


@TOOLS.command()
def check(
    module: Module,
    name: Name = None,
    dialect: Annotated[
        list[str] | None, typer.Option(help="A provider's dialect; may be repeated. Else all.", metavar="NAME")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say for each tool its schema, what each provider makes of it, and what may go wrong; 1 where one is refused."""
    from constellation_tools.review import risks

    from ..console.output import write_text

    dialects = _dialects(dialect)
    refused = False
    for each in _chosen(module, name):
        reports = [one.declare(each).report for one in dialects]
        refused = refused or any(report.refused is not None for report in reports)
        if as_json:
            found = {**_shown(each), "dialects": [_report(r) for r in reports], "risks": risks(each)}
            write_text(json.dumps(found, ensure_ascii=False))
        else:
            for line in _checked(each, reports, risks(each)):
                write_text(line)
    return 1 if refused else 0


def _load(module: str) -> Toolset:
    from constellation_tools import load_tools

    return load_tools(module)


def _chosen(module: str, name: str | None) -> list[Tool[..., Any]]:
    found = _load(module)
    return list(found) if name is None else [found.get(name)]


def _dialects(names: list[str] | None) -> list[Dialect]:
    from constellation_tools.dialects import DIALECTS

    unknown = [name for name in names or () if name not in DIALECTS]
    if unknown:
        raise BadInput(f"--dialect {unknown[0]!r} is none of {', '.join(DIALECTS)}")
    return [DIALECTS[name] for name in names or DIALECTS]


def _read(text: str) -> Mapping[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise BadInput(f"the arguments are not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise BadInput("the arguments have to be one JSON object, such as '{\"n\": 1}'")
    return given


def _shown(tool: Tool[..., Any]) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "reference": tool.reference,
        "runs": _runs(tool),
        "idempotent": tool.idempotent,
        "read_only": tool.effects.read_only,
        "destructive": tool.effects.destructive,
        "open_world": tool.effects.open_world,
        "runs_programs": tool.effects.runs_programs,
        "timeout_s": tool.timeout_s,
        "exclusive": tool.exclusive,
        "background": tool.background,
        "requires_approval": tool.requires_approval,
        "input_schema": tool.input_schema,
        "output_schema": tool.output_schema,
    }


def _report(report: LossReport) -> dict[str, Any]:
    return {
        "dialect": report.dialect,
        "strict": report.strict,
        "lossless": report.lossless,
        "refused": report.refused,
        "not_strict": report.not_strict,
        "losses": [
            {"path": loss.path, "kind": loss.kind, "keyword": loss.keyword, "detail": loss.detail}
            for loss in report.losses
        ],
    }


def _checked(tool: Tool[..., Any], reports: list[LossReport], found: list[str]) -> Iterator[str]:
    yield f"{tool.name}: {_first_line(tool.description) or 'no description'}"
    yield from ("  " + line for line in json.dumps(tool.input_schema, indent=2, ensure_ascii=False).splitlines())
    for report in reports:
        yield from ("  " + line for line in str(report).removeprefix(f"{tool.name} ").splitlines())
    yield from (f"  risk: {risk}" for risk in found)


def _runs(tool: Tool[..., Any]) -> str:
    where = "on the event loop" if tool.is_async or not tool.blocking else "in a thread"
    return f"{where}, item by item" if tool.streams else where


def _arguments(tool: Tool[..., Any]) -> str:
    required = tool.input_schema.get("required", ())
    return " ".join(name if name in required else f"[{name}]" for name in tool.input_schema["properties"])


def _first_line(text: str) -> str:
    return text.partition("\n")[0]
