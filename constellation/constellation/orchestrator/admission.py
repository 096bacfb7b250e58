"""Admission: before anything runs, can the connected devices carry a graph out?

Each star is held against the profiles of the devices: is its tool there, do its arguments fit the tool's schema, does a
device have what it requires. What depends on another star's output can't be known yet and counts as fitting.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from constellation_protocol.messages import DeviceProfile

from ..graph import SETTLED, GraphError, Nested, Prompt, StarId, TaskConstellation, TaskStar, ToolCall
from ..graph.documents import load
from ..graph.errors import show_path
from ..scheduling import DeviceId
from ..scheduling.matching import explain_mismatch, mismatch
from .errors import AdmissionRefused, EmptyGraph, Problem
from .translation import offer_of

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_UNDEMANDING = frozenset({"type", "properties", "additionalProperties", "title", "description"})
"""Keywords of a schema that ask for no argument."""

_STRUCTURE = frozenset({"type", "required", "additionalProperties", "minProperties", "maxProperties"})


def admit(graph: TaskConstellation, profiles: Mapping[str, DeviceProfile]) -> None:
    """Raise AdmissionRefused, with every star that can't be served and why, unless the devices can do it all.

    Raises EmptyGraph when there is nothing to do.
    """
    problems = find_problems(graph, profiles)
    if problems:
        raise AdmissionRefused(problems)


def find_problems(graph: TaskConstellation, profiles: Mapping[str, DeviceProfile]) -> list[Problem]:
    """What keeps the devices from carrying out the stars that have not ended; empty when nothing does.

    Raises:
        EmptyGraph: there are no stars at all.
    """
    if not len(graph):
        raise EmptyGraph(graph.name)
    return check_stars([node.star for node in graph._nodes.values() if node.state not in SETTLED], profiles)


def check_stars(stars: Iterable[TaskStar], profiles: Mapping[str, DeviceProfile]) -> list[Problem]:
    """What keeps the devices from carrying out some stars; empty when nothing does."""
    tools: dict[str, list[_OfferedTool]] = {}
    for profile in profiles.values():
        for tool in profile.tools:
            alike = tools.setdefault(tool.name, [])
            if all(tool.input_schema != known.input_schema for known in alike):
                alike.append(_OfferedTool(tool.input_schema))
    offers = {DeviceId(name): offer_of(profile) for name, profile in profiles.items()}
    problems = []
    fitting: set[tuple[str, str | None]] = set()
    for spec in stars:
        need = _plain_need(spec)
        if need in fitting:
            continue
        problem = _problem(spec, tools, profiles)
        needs_device = problem is None and isinstance(spec.work, (ToolCall, Prompt))
        if needs_device and all(mismatch(spec, device, offer) is not None for device, offer in offers.items()):
            problem = Problem(spec.id, explain_mismatch(spec, offers), ("requires",) if spec.requires else ("device",))
        if problem is not None:
            problems.append(problem)
        elif need is not None:
            fitting.add(need)
    return problems


def _plain_need(star: TaskStar) -> tuple[str, str | None] | None:
    """What a star asks for that only names a tool, and perhaps a device: large graphs have many of those alike."""
    work = star.work
    if not isinstance(work, ToolCall) or work.arguments or star.requires:
        return None
    return work.tool, star.device


def _problem(
    star: TaskStar, tools: Mapping[str, list[_OfferedTool]], profiles: Mapping[str, DeviceProfile]
) -> Problem | None:
    work = star.work
    if isinstance(work, Nested):
        message = _nested_problem(work, profiles)
        return Problem(star.id, message, ("work", "constellation")) if message else None
    if isinstance(work, Prompt):
        return _prompt_problem(star.id, work, tools, profiles)
    return _call_problem(star.id, work, tools, profiles) if isinstance(work, ToolCall) else None


def _prompt_problem(
    star: StarId, work: Prompt, tools: Mapping[str, list[_OfferedTool]], profiles: Mapping[str, DeviceProfile]
) -> Problem | None:
    if Prompt.tool not in tools:
        message = (
            f"it is a prompt, and none of the connected devices ({_names(profiles)}) has an LLM agent; "
            "start one with a model: `constellation device --model M`"
        )
        return Problem(star, message, ("work",))
    if work.output is None:
        return None
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(work.output)
    except SchemaError as error:
        place = show_path(list(error.absolute_path))
        message = f"its output is no JSON Schema: {f'{place}: ' if error.absolute_path else ''}{error.message[:300]}"
        return Problem(star, message, ("work", "output", *error.absolute_path))
    return None


def _call_problem(
    star: StarId, work: ToolCall, tools: Mapping[str, list[_OfferedTool]], profiles: Mapping[str, DeviceProfile]
) -> Problem | None:
    offered = tools.get(work.tool)
    if offered is None:
        close = difflib.get_close_matches(work.tool, tools, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "; name its module with --tools or in the file's `tools`"
        if not profiles:
            message = (
                f"it needs the tool {work.tool!r}, but no device is connected; start one with `constellation device`"
            )
        else:
            message = f"no connected device ({_names(profiles)}) has a tool {work.tool!r}{hint}"
        return Problem(star, message, ("work", "tool"))
    faults = [_argument_fault(tool, work.arguments) for tool in offered]
    if faults[0] is None or not all(faults):
        return None
    message, path = faults[0]
    return Problem(star, f"the arguments don't fit the tool {work.tool!r}: {message}", ("work", "arguments", *path))


def _nested_problem(work: Nested, profiles: Mapping[str, DeviceProfile]) -> str | None:
    try:
        inner = load(work.constellation)
    except GraphError as error:
        return f"its nested constellation is not valid: {error}"
    if not len(inner):
        return "its nested constellation has no stars"
    problems = find_problems(inner, profiles)
    return f"in its nested constellation, {problems[0]}" if problems else None


class _OfferedTool:
    """A tool as one device or several describe it, which need not make sense."""

    def __init__(self, input_schema: dict[str, Any]) -> None:
        self.input_schema = input_schema

    @cached_property
    def validator(self) -> Validator:
        from jsonschema import Draft202012Validator
        from referencing.jsonschema import EMPTY_REGISTRY

        # With a registry of its own it follows no reference to an address that a device has chosen.
        return Draft202012Validator(self.input_schema, registry=EMPTY_REGISTRY)

    @property
    def takes_nothing(self) -> bool:
        """Whether a call without arguments obviously fits."""
        return self.input_schema.keys() <= _UNDEMANDING and self.input_schema.get("type") == "object"

    def signature(self) -> str:
        required = set(self.input_schema.get("required", ()))
        names = [name if name in required else f"[{name}]" for name in self.input_schema.get("properties", {})]
        return ", ".join(names) or "no arguments"


def _argument_fault(tool: _OfferedTool, arguments: Mapping[str, Any]) -> tuple[str, tuple[str | int, ...]] | None:
    """What is wrong with a tool's arguments by its schema, references left out, and where; None when nothing is."""
    try:
        return _first_error(tool, arguments)
    except Exception as error:  # a device may describe its tools as it likes; nothing else raises here
        return f"a device describes it by a schema that can't be used ({type(error).__name__})", ()


def _first_error(tool: _OfferedTool, arguments: Mapping[str, Any]) -> tuple[str, tuple[str | int, ...]] | None:
    if not arguments and tool.takes_nothing:
        return None  # without the validator, which takes longer to import than many a run takes
    errors = tool.validator.iter_errors(dict(arguments))
    for error in sorted(errors, key=lambda error: (len(error.path), str(error.path))):
        if _is_within_reference(arguments, list(error.path)):
            continue
        if _holds_reference(error.instance) and error.validator not in _STRUCTURE:
            continue
        place = show_path(list(error.absolute_path))
        where = f"{place}: " if error.absolute_path else ""
        return f"{where}{_words(error)} (it takes {tool.signature()})", tuple(error.absolute_path)
    return None


def _words(error: Any) -> str:
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = error.schema.get("properties", {})
        unknown = [name for name in error.instance if name not in known]
        return f"there is no argument {', '.join(map(repr, unknown))}"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{', '.join(map(repr, missing))} is missing"
    text: str = error.message
    return text if len(text) <= 300 else text[:300] + "…"


def _holds_reference(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "$ref" in value or "$input" in value or any(map(_holds_reference, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_holds_reference, value))


def _is_within_reference(arguments: Any, path: Iterable[Any]) -> bool:
    """Whether a path leads through a reference, which stands for something that is not known yet."""
    value = arguments
    for step in path:
        if isinstance(value, Mapping) and ("$ref" in value or "$input" in value):
            return True
        value = value[step]
    return isinstance(value, Mapping) and ("$ref" in value or "$input" in value)


def _names(profiles: Mapping[str, DeviceProfile]) -> str:
    names = sorted(profiles)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
