"""A constellation as a document: plain JSON values with a format version, and back without loss.

Keys are the fields of stars and lines. The states and outcomes of a graph that has run go along; what can be derived
from them (counters, order, which lines are met) is not written but rebuilt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from pydantic_core import PydanticSerializationError, to_json

from .bulk import fill
from .collector import no_collections
from .constellation import TaskConstellation
from .edits import AddLine, AddStar, EditBatch, Operation
from .errors import (
    ConditionError,
    CycleRejected,
    EditRejected,
    GraphError,
    InvalidDocument,
    NewerFormat,
    Path,
    did_you_mean,
)
from .line import TaskStarLine, Trigger
from .node import Edge, Node
from .record import record
from .snapshot import Snapshot
from .star import RetryPolicy, StarId, TaskStar
from .states import IN_FLIGHT, SETTLED, Outcome, StarState
from .work import Approval, Nested, Prompt, ToolCall

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FORMAT_NAME = "constellation"
FORMAT_VERSION = 1


@record
class StarRecord:
    """What has become of a star, in a document of a graph that has run."""

    state: StarState
    outcome: Outcome | None = None

    __pydantic_config__ = ConfigDict(extra="forbid")


class ConstellationDocument(BaseModel):
    """The shape of a document. Stars are keyed by their ids."""

    model_config = ConfigDict(extra="forbid")

    format: str = f"{FORMAT_NAME}/{FORMAT_VERSION}"
    name: str
    description: str = ""
    version: int = Field(default=0, ge=0)
    tools: tuple[str, ...] = ()
    stars: dict[str, TaskStar]
    lines: tuple[TaskStarLine, ...] = ()
    records: dict[str, StarRecord] = Field(default_factory=dict)

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        check_format(value)
        return value

    @field_validator("stars", mode="before")
    @classmethod
    def _ids_from_keys(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        stars = {}
        for key, star in value.items():
            if isinstance(star, Mapping):
                if "id" in star:
                    problem = "the id of a star is its key under 'stars'; remove this field"
                    raise InvalidDocument(problem, path=("stars", key, "id"))
                star = {**star, "id": key}
            stars[key] = star
        return stars


_STARS = TypeAdapter(dict[str, TaskStar]).serializer
_NO_IDS = {"__all__": {"id"}}
"""Stars are keyed by their ids."""

_WRITE_RECORDS = TypeAdapter(dict[str, StarRecord]).serializer.to_python


def check_format(value: object) -> None:
    """Refuse a format name that this release does not read; raises InvalidDocument or NewerFormat."""
    name, _, number = str(value).partition("/")
    if name != FORMAT_NAME or not number.isdecimal():
        raise InvalidDocument(
            f"{value!r} is no format of ours; write '{FORMAT_NAME}/{FORMAT_VERSION}'", path=("format",)
        )
    if int(number) > FORMAT_VERSION:
        raise NewerFormat(
            f"this file is of format version {number}, and this release reads up to {FORMAT_VERSION}; "
            "upgrade constellation-agents to read it",
            path=("format",),
        )


def dump(graph: TaskConstellation) -> dict[str, Any]:
    """A graph as JSON values; what has its default value is left out."""
    nodes = graph._nodes.values()
    stars = _STARS.to_python({node.star.id: node.star for node in nodes}, mode="json", exclude_defaults=True)
    for star in stars.values():
        del star["id"]
    rest = {
        "lines": [_line_of(edge) for node in nodes for edge in node.outbound.values()],
        "records": _records_of(nodes),
    }
    return {**_heading_of(graph), "stars": stars, **{key: value for key, value in rest.items() if value}}


def dump_text(graph: TaskConstellation) -> bytes:
    """A graph as JSON text: that of `dump`, at half the cost."""
    nodes = graph._nodes.values()
    try:
        heading = to_json(_heading_of(graph))
        stars = _STARS.to_json({node.star.id: node.star for node in nodes}, exclude_defaults=True, exclude=_NO_IDS)
        records = to_json(_records_of(nodes), inf_nan_mode="null")
    except PydanticSerializationError:
        # Text that is no valid Unicode; written as ASCII it comes back as it was.
        return json.dumps(dump(graph), separators=(",", ":")).encode()
    parts = [heading[:-1], b',"stars":', stars]
    lines = ",".join([_line_text(edge) for node in nodes for edge in node.outbound.values()])
    if lines:
        parts += [b',"lines":[', lines.encode(), b"]"]
    if records != b"{}":
        parts += [b',"records":', records]
    return b"".join((*parts, b"}"))


def _heading_of(graph: TaskConstellation) -> dict[str, Any]:
    optional = {"description": graph.description, "version": graph.version, "tools": list(graph.tools)}
    heading = {key: value for key, value in optional.items() if value}
    return {"format": f"{FORMAT_NAME}/{FORMAT_VERSION}", "name": graph.name, **heading}


def _records_of(nodes: Iterable[Node]) -> dict[str, Any]:
    records = {
        node.star.id: StarRecord(node.state, node.outcome) for node in nodes if node.state is not StarState.PENDING
    }
    written: dict[str, Any] = _WRITE_RECORDS(records, mode="json", exclude_defaults=True)
    return written


def _line_text(edge: Edge) -> str:
    if edge.trigger is Trigger.SUCCESS:  # as nearly all are; ids never need quoting
        return f'{{"source":"{edge.source.star.id}","target":"{edge.target.star.id}"}}'
    return json.dumps(_line_of(edge), separators=(",", ":"))


def _line_of(edge: Edge) -> dict[str, str]:
    line: dict[str, str] = {"source": edge.source.star.id, "target": edge.target.star.id}
    if edge.trigger is not Trigger.SUCCESS:
        line["trigger"] = edge.trigger.value
    if edge.when is not None:
        line["when"] = edge.when
    return line


def load(data: object) -> TaskConstellation:
    """A graph from JSON values.

    Raises:
        InvalidDocument: something is wrong with it; the error names the place and what to write instead.
    """
    if isinstance(data, Snapshot):
        return data.graph()
    if not isinstance(data, Mapping):
        raise InvalidDocument("a constellation is an object with the keys 'name', 'stars' and 'lines'")
    if "format" in data:
        check_format(data["format"])
    try:
        with no_collections():
            return build(ConstellationDocument.model_validate(data))
    except ValidationError as error:
        raise _explain(error) from None


def build(document: ConstellationDocument) -> TaskConstellation:
    """A graph from a validated document; raises InvalidDocument where the parts don't fit together."""
    graph = TaskConstellation(document.name, description=document.description, tools=document.tools)
    if not fill(graph, document.stars.values(), document.lines):
        _check_lines(document)
        _apply(graph, document)
    _check_nested(document)
    graph.version = document.version
    for node in graph._nodes.values():
        # Which star changed at which version is not written: a batch made before is refused rather than rebased.
        node.edited_at = document.version
    _restore(graph, document.records)
    return graph


def _apply(graph: TaskConstellation, document: ConstellationDocument) -> None:
    operations: list[Operation] = [AddStar(star) for star in document.stars.values()]
    operations += [AddLine(line) for line in document.lines]
    try:
        graph.apply(EditBatch(tuple(operations)))
    except EditRejected as error:
        cycle = error.cycle if isinstance(error, CycleRejected) else ()
        raise InvalidDocument(error.reason, path=_path_of(error, len(document.stars)), cycle=cycle) from error


def _check_lines(document: ConstellationDocument) -> None:
    """See that lines join known stars, each pair once, before the graph says so in the words of an edit."""
    seen: set[tuple[StarId, StarId]] = set()
    for index, line in enumerate(document.lines):
        for end in ("source", "target"):
            star = getattr(line, end)
            if star not in document.stars:
                hint = did_you_mean(star, document.stars) or "; add it to 'stars', or name one that is there"
                problem = f"there is no star {star!r}{hint}"
                raise InvalidDocument(problem, path=("lines", index, end))
        pair = line.source, line.target
        if pair in seen:
            raise InvalidDocument(f"there is a {line} already; remove one", path=("lines", index))
        seen.add(pair)


def _path_of(error: EditRejected, stars: int) -> Path:
    if error.star is not None:
        return ("stars", error.star, "work", "arguments", *error.path)
    assert error.index is not None
    return ("lines", error.index - stars) if error.index >= stars else ("stars",)


def _check_nested(document: ConstellationDocument) -> None:
    for star in document.stars.values():
        if isinstance(star.work, Nested):
            try:
                load(star.work.constellation)
            except InvalidDocument as error:
                error.path = ("stars", star.id, "work", "constellation", *error.path)
                raise


def _restore(graph: TaskConstellation, records: Mapping[str, StarRecord]) -> None:
    """Put recorded states back and derive from them which lines are met."""
    if not records:
        return
    for star, known in records.items():
        path = ("records", star)
        if star not in graph:
            raise InvalidDocument(f"there is no such star{did_you_mean(star, graph)}", path=path)
        if known.state in SETTLED and known.outcome is None:
            raise InvalidDocument(f"a star that has {known.state.value} needs an outcome", path=path)
        if known.state not in SETTLED and known.outcome is not None:
            problem = f"a star that is {known.state.value} has no outcome yet; remove it"
            raise InvalidDocument(problem, path=(*path, "outcome"))
        node = graph._node(star)
        graph.counts[node.state] -= 1
        graph.counts[known.state] += 1
        node.state, node.outcome = known.state, known.outcome
    graph.active = True
    for node in graph._nodes.values():
        if node.state in SETTLED:
            graph._resolve_lines(node)
    for star, known in records.items():
        node = graph._node(star)
        if known.state in _AFTER_ALL_LINES and (node.unresolved or node.unmet):
            problem = f"a star can't be {known.state.value} when its lines are not met"
            raise InvalidDocument(problem, path=("records", star))


_AFTER_ALL_LINES = frozenset({StarState.READY, StarState.SUCCEEDED, *IN_FLIGHT})
"""States that a star reaches only when every line into it is met."""


_UNEXPECTED = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
_WANTED = {
    "dataclass_type": "this should be a mapping of fields",
    "model_type": "this should be a mapping of fields",
    "dict_type": "this should be a mapping",
    "mapping_type": "this should be a mapping",
    "tuple_type": "this should be a list",
    "string_type": "this should be text",
    "int_type": "this should be a whole number",
    "int_parsing": "this should be a whole number",
    "int_from_float": "this should be a whole number",
    "float_type": "this should be a number",
    "float_parsing": "this should be a number",
    "bool_type": "this should be true or false",
    "bool_parsing": "this should be true or false",
}
"""What a field should hold, by the validator's name of the problem."""

_JSON_NAMES: Mapping[type, str] = {dict: "a mapping", list: "a list"}
_WORKS: Mapping[str, Any] = {"tool": ToolCall, "prompt": Prompt, "approval": Approval, "nested": Nested}


def _explain(error: ValidationError) -> InvalidDocument:
    """The first problem of a validation, with its path, in words of the document, not of the validator."""
    problems = error.errors(include_url=False)
    parent = problems[0]["loc"][:-1]
    # A misspelt field shows up twice, as unknown and as missing; the first says more.
    problem = next(
        (other for other in problems if other["type"] in _UNEXPECTED and other["loc"][:-1] == parent), problems[0]
    )
    location = problem["loc"]
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, InvalidDocument):
        return cause
    path = _path_to(location)
    if isinstance(cause, ConditionError):
        return InvalidDocument(str(cause), path=(*path, "when"))
    if isinstance(cause, GraphError):
        return InvalidDocument(str(cause), path=path)
    return InvalidDocument(_in_words(problem, location, path), path=path)


def _in_words(problem: ErrorDetails, location: Path, path: Path) -> str:
    given, message = problem["input"], problem["msg"]
    if problem["type"] in _UNEXPECTED:
        return _unknown_field(str(location[-1]), _fields_at(location[:-1]))
    if problem["type"] in ("missing", "missing_argument"):
        return "this field is needed"
    if path[:1] == ("stars",) and path[2:3] == ("requires",) and len(path) > 3:
        return f"give text for a label or a number for a resource, not {given!r}"
    message = _WANTED.get(problem["type"]) or f"{message[:1].lower()}{message[1:]}"
    shown = repr(given) if given is None or isinstance(given, (str, int, float)) else _JSON_NAMES.get(type(given))
    return f"{message}, but this is {shown[:60]}" if shown else message


def _path_to(location: Path) -> Path:
    """The path in the document, without the steps that only the validator takes: the kind of a work, a type tried."""
    if location[:1] == ("stars",):
        if location[2:3] == ("work",):
            return (*location[:3], *location[4:])
        if location[2:3] == ("requires",):
            return location[:4]
    return location


def _fields_at(location: Path) -> Iterable[str]:
    """The fields that there are at a place."""
    match location:
        case ():
            return ConstellationDocument.model_fields
        case ("stars", _):
            return [name for name in TaskStar.__dataclass_fields__ if name != "id"]
        case ("stars", _, "work", kind):
            return list(_WORKS[str(kind)].__dataclass_fields__)
        case ("stars", _, "retry"):
            return list(RetryPolicy.__dataclass_fields__)
        case ("lines", _):
            return list(TaskStarLine.__dataclass_fields__)
        case ("records", _):
            return list(StarRecord.__dataclass_fields__)
        case _:
            return ()


def _unknown_field(name: str, fields: Iterable[str]) -> str:
    close = did_you_mean(name, fields)
    if close:
        return f"there is no such field{close}"
    known = ", ".join(fields)
    return "there is no such field" + (f"; the fields here are {known}" if known else "; remove it")
