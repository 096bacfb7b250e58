"""A tool's result: its schema, and its JSON form by the declared type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import to_jsonable_python

from .errors import InvalidOutput, UnresolvedAnnotation
from .schema import json_schema_of
from .signature import EMPTY

_PLAIN: Mapping[Any, type] = {str: str, int: int, bool: bool, None: type(None), type(None): type(None)}
"""Types whose values are their own JSON form."""


def names_matter(returns: Any, names: Mapping[str, Any]) -> bool:
    """Whether a result's type may refer to local names, so that it has to be looked into while they are at hand."""
    if not names or returns is EMPTY or returns is Any:
        return False
    arguments = get_args(returns)
    if arguments:
        return any(names_matter(argument, names) for argument in arguments)
    return getattr(returns, "__module__", None) != "builtins" and returns not in (None, ...)


class Results:
    """Turns what one tool returns into JSON types.

    Attributes:
        schema: JSON Schema (2020-12); None where nothing is known.
        plain: The class whose instances are their own JSON form, where that is the declared one.
    """

    def __init__(self, tool: str, returns: Any, names: Mapping[str, Any]) -> None:
        """Build the serialiser; a result type that can't be described is serialised by its values alone.

        Args:
            tool: The tool's name, for errors.
            returns: The annotation of the result, or EMPTY.
            names: What nested types may refer to besides the globals of their modules.

        Raises:
            UnresolvedAnnotation: the type refers to a name that is not defined.
        """
        self.plain = _PLAIN.get(returns) if isinstance(returns, type | None) else None
        self._adapter: TypeAdapter[Any] | None = None
        self._has_numbers = False  # among which there may be infinities, which JSON has none of
        self.schema: dict[str, Any] | None = None
        if returns is EMPTY or returns is Any:
            return
        try:
            adapter = _deferred_adapter(returns)
            adapter.rebuild(force=True, _types_namespace=dict(names))
            self.schema = json_schema_of(adapter, "serialization")
            self._adapter = adapter
            self._has_numbers = '"number"' in json.dumps(self.schema)
        except NameError as error:
            raise UnresolvedAnnotation(
                f"{tool} can't be a tool: the type of its result refers to {error.name!r}, which is not defined; "
                "import or define it before the tool is used"
            ) from error
        except (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
            return

    def to_json(self, tool: str, value: Any) -> Any:
        """Return the JSON form.

        Raises:
            InvalidOutput: it has none.
        """
        if type(value) is self.plain:
            return value
        if self._adapter is not None:
            try:
                written = self._adapter.serializer.to_python(value, mode="json", by_alias=True, warnings=False)
                return to_jsonable_python(written, inf_nan_mode="null") if self._has_numbers else written
            except ValueError:  # not of the declared type after all: let the value speak for itself
                pass
        try:
            return to_jsonable_python(value, inf_nan_mode="null")
        except ValueError as error:
            raise InvalidOutput(tool, str(error)) from error


def _deferred_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Make an adapter that is built later, when the local names are at hand."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(defer_build=True))
    except PydanticUserError:  # models and dataclasses bring their own configuration
        return TypeAdapter(annotation)
