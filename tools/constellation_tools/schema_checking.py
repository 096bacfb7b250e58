"""Arguments held against a JSON Schema that somebody else wrote, with problems told as a model can repair them.

The author of a schema need not mean well. Patterns are not tried, because some take forever; references out of the
schema are not followed; and a schema that can't be followed at all lets everything through, for whoever carries out
the call checks it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json

from .errors import ArgumentProblem, ToolDefinitionError
from .pattern_free import without_patterns
from .problems import path_text, shown
from .repairing import replaced

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

MAX_PROBLEMS = 20
"""How many problems are told at once."""

_STRUCTURES: Mapping[str, type] = {"object": dict, "array": list}


class SchemaChecker:
    """Checks objects against one schema."""

    def __init__(self, tool: str, schema: Mapping[str, Any]) -> None:
        """Take a schema.

        Raises:
            ToolDefinitionError: its root is no object's.
        """
        if schema.get("type") != "object":
            raise ToolDefinitionError(f"{tool}: the schema of the arguments has to be that of an object")
        self._schema = schema

    def check(self, arguments: dict[str, Any]) -> tuple[dict[str, Any], list[ArgumentProblem]]:
        """Return the arguments and what is wrong with them; text that holds a wanted list or object is read."""
        errors = self._errors(arguments)
        if not errors:
            return arguments, []
        read = arguments
        for error in errors:
            read = _with_text_read(read, error)
        if read is not arguments and not (errors := self._errors(read)):
            return read, []
        problems = {str(problem): problem for error in errors for problem in _problems(error)}
        return arguments, list(problems.values())[:MAX_PROBLEMS]

    def _errors(self, arguments: Mapping[str, Any]) -> list[ValidationError]:
        try:
            errors = list(self._validator.iter_errors(arguments))
        except Exception:  # a reference that leads nowhere or round and round, a keyword with a value of the wrong type
            return []
        return sorted(errors, key=lambda error: [str(step) for step in error.absolute_path])

    @cached_property
    def _validator(self) -> Validator:
        from jsonschema import Draft202012Validator
        from jsonschema.validators import validator_for
        from referencing.jsonschema import EMPTY_REGISTRY

        base: Any = validator_for(self._schema, default=Draft202012Validator)
        validator: Validator = base(without_patterns(self._schema), registry=EMPTY_REGISTRY)
        return validator


def _problems(error: ValidationError) -> Iterable[ArgumentProblem]:
    place = list(error.absolute_path)
    keyword, value, instance = error.validator, cast("Any", error.validator_value), cast("Any", error.instance)
    if keyword == "required":
        for name in value:
            if name not in instance:
                yield ArgumentProblem(path_text([*place, name]), "a value, it is required", "nothing")
    elif keyword == "additionalProperties" and isinstance(instance, dict):
        known = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
        expected = f"one of the arguments {', '.join(known)}" if known else "nothing of this name"
        for name in instance:
            if name not in known:
                yield ArgumentProblem(path_text([*place, name]), expected, shown(instance[name]))
    else:
        yield ArgumentProblem(path_text(place), _expected(str(keyword), value), shown(instance))


def _expected(keyword: str, value: Any) -> str:
    if keyword == "type":
        return " or ".join(map(str, value)) if isinstance(value, list) else str(value)
    if keyword == "enum" and isinstance(value, list):
        return "one of " + ", ".join(shown(item) for item in value[:MAX_PROBLEMS])
    if keyword == "const":
        return shown(value)
    if keyword in ("anyOf", "oneOf"):
        return "one of the alternatives of the schema"
    return f"{keyword} {shown(value)}"


def _with_text_read(arguments: dict[str, Any], error: ValidationError) -> dict[str, Any]:
    """The arguments with the text at an error's place read as JSON, where a structure was wanted and it holds one."""
    value, instance = cast("Any", error.validator_value), cast("Any", error.instance)
    wanted = value if isinstance(value, list) else [value]
    classes = tuple(_STRUCTURES[kind] for kind in wanted if isinstance(kind, str) and kind in _STRUCTURES)
    if error.validator != "type" or not classes or not isinstance(instance, str):
        return arguments
    try:
        read: Any = from_json(instance)
    except ValueError:
        return arguments
    if not isinstance(read, classes):
        return arguments
    changed: dict[str, Any] = replaced(arguments, list(error.absolute_path), read)
    return changed
