"""A tool's result: its schema, and its JSON form by the declared type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import to_jsonable_python

from .errors import InvalidOutput, UnresolvedAnnotation
from .schema import json_schema_of
from .signature import EMPTY


class Results:
    """Turns what one tool returns into JSON types."""

    def __init__(self, tool: str, returns: Any, names: Mapping[str, Any]) -> None:
        """Build the serialiser; a result type that can't be described is serialised by its values alone.

        Args:
            tool: The tool's name, for errors.
            returns: The annotation of the result, or EMPTY.
            names: What nested types may refer to besides the globals of their modules.

        Raises:
            UnresolvedAnnotation: the type refers to a name that is not defined.
        """
        self._tool = tool
        self._adapter: TypeAdapter[Any] | None = None
        self.schema: dict[str, Any] | None = None
        if returns is EMPTY or returns is Any:
            return
        try:
            adapter = _deferred_adapter(returns)
            adapter.rebuild(force=True, _types_namespace=dict(names))
            self.schema = json_schema_of(adapter, "serialization")
            self._adapter = adapter
        except NameError as error:
            raise UnresolvedAnnotation(
                f"{tool} can't be a tool: the type of its result refers to {error.name!r}, which is not defined; "
                "import or define it before the tool is used"
            ) from error
        except (PydanticUserError, PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
            return

    def to_json(self, value: Any) -> Any:
        """Return the JSON form.

        Raises:
            InvalidOutput: it has none.
        """
        if self._adapter is not None:
            try:
                return self._adapter.serializer.to_python(value, mode="json", warnings=False)
            except ValueError:  # not of the declared type after all: let the value speak for itself
                pass
        try:
            return to_jsonable_python(value)
        except ValueError as error:
            raise InvalidOutput(self._tool, str(error)) from error


def _deferred_adapter(annotation: Any) -> TypeAdapter[Any]:
    """Make an adapter that is built later, when the local names are at hand."""
    try:
        return TypeAdapter(annotation, config=ConfigDict(defer_build=True))
    except PydanticUserError:  # models and dataclasses bring their own configuration
        return TypeAdapter(annotation)
