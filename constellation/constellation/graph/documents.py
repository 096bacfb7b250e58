"""A constellation as a document: plain JSON values with a format version, and back without loss.

Keys are the fields of stars and lines. The states and outcomes of a graph that has run go along; what can be derived
from them (counters, order, which lines are met) is not written but rebuilt.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_serializer, field_validator

from .constellation import TaskConstellation
from .edits import AddLine, AddStar, EditBatch
from .errors import EditRejected, GraphError, InvalidDocument, NewerFormat
from .line import TaskStarLine
from .node import LineStatus
from .references import show_path
from .star import StarId, TaskStar
from .states import SETTLED, Outcome, StarState

FORMAT_NAME = "constellation"
FORMAT_VERSION = 1


class StarRecord(BaseModel):
    """What has become of a star, in a document of a graph that has run."""

    model_config = ConfigDict(extra="forbid")

    state: StarState
    outcome: Outcome | None = None


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
        return {key: {**star, "id": key} if isinstance(star, Mapping) else star for key, star in value.items()}

    @field_serializer("stars")
    def _ids_to_keys(self, stars: dict[str, TaskStar]) -> dict[str, Any]:
        return {
            key: _STAR.dump_python(star, mode="json", exclude={"id"}, exclude_defaults=True)
            for key, star in stars.items()
        }


_STAR = TypeAdapter(TaskStar)


def check_format(value: object) -> None:
    """Refuse a format name that this release does not read; raises InvalidDocument or NewerFormat."""
    name, _, number = str(value).partition("/")
    if name != FORMAT_NAME or not number.isdecimal():
        raise InvalidDocument(f"{value!r} is no format of ours; write 'constellation/{FORMAT_VERSION}'", place="format")
    if int(number) > FORMAT_VERSION:
        raise NewerFormat(
            f"this file is of format version {number}, and this release reads up to {FORMAT_VERSION}; "
            "upgrade constellation-agents to read it",
            place="format",
        )


def dump(graph: TaskConstellation) -> dict[str, Any]:
    """A graph as JSON values; what has its default value is left out."""
    records = {
        node.star.id: StarRecord(state=node.state, outcome=node.outcome)
        for node in graph._nodes.values()
        if node.state is not StarState.PENDING
    }
    document = ConstellationDocument(
        name=graph.name,
        description=graph.description,
        version=graph.version,
        tools=graph.tools,
        stars={star: graph[star] for star in graph},
        lines=tuple(graph.lines),
        records=records,
    )
    return {"format": document.format, **document.model_dump(mode="json", exclude_defaults=True)}


def load(data: object) -> TaskConstellation:
    """A graph from JSON values.

    Raises:
        InvalidDocument: something is wrong with it; the error names the place and what to write instead.
    """
    if not isinstance(data, Mapping):
        raise InvalidDocument("a constellation is an object with the keys 'name', 'stars' and 'lines'")
    if "format" in data:
        check_format(data["format"])
    try:
        document = ConstellationDocument.model_validate(data)
    except ValidationError as error:
        raise _explain(error) from None
    return build(document)


def build(document: ConstellationDocument) -> TaskConstellation:
    """A graph from a validated document; raises InvalidDocument where the parts don't fit together."""
    graph = TaskConstellation(document.name, description=document.description, tools=document.tools)
    stars = [AddStar(star) for star in document.stars.values()]
    lines = [AddLine(line) for line in document.lines]
    if stars or lines:
        try:
            graph.apply(EditBatch((*stars, *lines)))
        except EditRejected as error:
            index = error.index or 0
            place = f"stars.{stars[index].star.id}" if index < len(stars) else f"lines[{index - len(stars)}]"
            raise InvalidDocument(error.reason, place=place) from error
    graph.version = document.version
    _restore(graph, document.records)
    return graph


def _restore(graph: TaskConstellation, records: Mapping[str, StarRecord]) -> None:
    """Put recorded states back and derive from them which lines are met."""
    for star, record in records.items():
        if star not in graph:
            raise InvalidDocument("there is no such star", place=f"records.{star}")
        if record.state in SETTLED and record.outcome is None:
            raise InvalidDocument(f"a star that has {record.state.value} needs an outcome", place=f"records.{star}")
        node = graph._nodes[StarId(star)]
        graph.counts[node.state] -= 1
        graph.counts[record.state] += 1
        node.state, node.outcome = record.state, record.outcome
    if records:
        graph.active = True
    for node in graph._nodes.values():
        if node.state in SETTLED:
            for edge in node.outbound.values():
                if edge.status is LineStatus.OPEN:
                    graph._resolve(edge)


_WORK_TAGS = frozenset({"tool", "prompt", "approval", "nested"})
_UNEXPECTED = frozenset({"extra_forbidden", "unexpected_keyword_argument"})


def _explain(error: ValidationError) -> InvalidDocument:
    """The most telling problem of a validation, with its place, in words of the document, not of the validator."""
    problems = error.errors(include_url=False)
    # A misspelt field shows up twice, as unknown and as missing; the first says more.
    first = next((problem for problem in problems if problem["type"] in _UNEXPECTED), problems[0])
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, InvalidDocument):
        return cause
    location = first["loc"]
    place = show_path(
        [step for before, step in pairwise(("", *location)) if not (before == "work" and step in _WORK_TAGS)]
    )
    if isinstance(cause, GraphError):
        return InvalidDocument(str(cause), place=place)
    given, message = first.get("input"), first["msg"]
    if first["type"] in _UNEXPECTED:
        message = "there is no such field; remove it or correct its name"
    elif first["type"] in ("missing", "missing_argument"):
        message = "this field is needed"
    elif isinstance(given, (str, int, float, bool)) or given is None:
        message = f"{message[0].lower()}{message[1:]}, but this is {given!r}"
    return InvalidDocument(message, place=place)
