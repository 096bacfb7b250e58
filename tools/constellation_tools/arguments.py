"""Arguments of a call: validated and converted by pydantic, then laid out for the function.

Every parameter is a property of one closed JSON object, whatever its kind in Python: `*args` is an array under
the parameter's name, `**kwargs` an object under its name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python
from typing_extensions import TypedDict

from .annotations import adapted, said_of, unpacked
from .artifact import RESOLVE_KEY, Artifact
from .context import ToolContext
from .errors import ArgumentProblem, InvalidArguments, ToolDefinitionError, UnresolvedAnnotation
from .problems import problems_of
from .repairing import Refused, validate_again
from .schema import has_json_form, json_schema_of
from .signature import EMPTY, ToolParameter, ToolSignature

_POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
_POSITIONAL_OR_KEYWORD = inspect.Parameter.POSITIONAL_OR_KEYWORD
_VAR_POSITIONAL = inspect.Parameter.VAR_POSITIONAL
_VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
_KEYWORD_KINDS = (_POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Arguments:
    """The validator, the schema and the layout of one tool's arguments.

    Attributes:
        schema: JSON Schema (2020-12).
        keywords_only: Whether all parameters are passed by keyword.
        check: Converts arguments, or raises pydantic's ValidationError; without a second look.
    """

    def __init__(
        self, tool: str, signature: ToolSignature, descriptions: Mapping[str, str], names: Mapping[str, Any]
    ) -> None:
        """Build the validator.

        Args:
            tool: The tool's name, for errors.
            signature: What the function takes.
            descriptions: What the docstring says of each parameter.
            names: What nested types may refer to besides the globals of their modules.

        Raises:
            ToolDefinitionError: a parameter can't be described; the message names it.
        """
        self._signature = signature
        self._parameters = {p.name: p for p in signature.parameters if p.name not in signature.context_parameters}
        fields: dict[str, Any] = {}
        for name, parameter in self._parameters.items():
            try:
                fields[name] = _field_type(parameter)
            except Exception as error:  # annotations may be any object
                raise _refusal(tool, name, error) from error
        try:
            adapter = _adapter(fields, names)
            self.schema = json_schema_of(adapter, "validation")
        except Exception as error:  # pydantic has errors of its own, and types have hooks that raise others
            raise _definition_error(tool, fields, names, error) from error
        self._adapter = adapter
        self.check = adapter.validator.validate_python
        self._describe(descriptions)
        self.keywords_only = all(parameter.kind in _KEYWORD_KINDS for parameter in signature.parameters)
        self._extra_keywords = next((p.name for p in signature.parameters if p.kind is _VAR_KEYWORD), None)

    def validate(
        self, tool: str, arguments: Mapping[str, Any], resolve: Callable[[Artifact], Path] | None = None
    ) -> dict[str, Any]:
        """Return converted arguments; what was left out is left to the function's own defaults.

        Raises:
            InvalidArguments: with everything that is wrong.
        """
        context = None if resolve is None else {RESOLVE_KEY: resolve}
        try:
            converted: dict[str, Any] = self.check(arguments, context=context)
        except ValidationError as error:
            converted = self.repaired(tool, arguments, error, context)
        if self._extra_keywords is not None and self._extra_keywords in converted:
            self._refuse_overlap(tool, self._extra_keywords, converted)
        return converted

    def repaired(
        self, tool: str, arguments: Mapping[str, Any], error: ValidationError, context: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return converted arguments where `check` has refused them and a second look does not.

        Raises:
            InvalidArguments: with everything that is wrong.
        """
        try:
            converted: dict[str, Any] = validate_again(self._adapter, arguments, error, context)
        except Refused as refused:
            details = refused.error.errors(include_url=False)
            problems = problems_of(details, refused.arguments, tuple(self.schema["properties"]))
            raise InvalidArguments(tool, problems) from error
        return converted

    def layout(self, converted: dict[str, Any], context: ToolContext | None) -> tuple[list[Any], dict[str, Any]]:
        """Turn converted arguments, and the context where it is wanted, into positional and keyword arguments."""
        for name in self._signature.context_parameters:
            converted = {**converted, name: context}
        if self.keywords_only:
            return [], converted
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        needs_position = any(p.kind is _VAR_POSITIONAL and converted.get(p.name) for p in self._signature.parameters)
        for parameter in self._signature.parameters:
            name = parameter.name
            if parameter.kind is _VAR_POSITIONAL:
                positional.extend(converted.get(name, ()))
            elif parameter.kind is _VAR_KEYWORD:
                keywords.update(converted.get(name, {}))
            elif parameter.kind is _POSITIONAL_ONLY or (needs_position and parameter.kind is _POSITIONAL_OR_KEYWORD):
                positional.append(converted.get(name, parameter.default))
            elif name in converted:
                keywords[name] = converted[name]
        return positional, keywords

    def _describe(self, descriptions: Mapping[str, str]) -> None:
        # A property has the alias of its parameter, where that has one, and they are in the same order.
        for schema, (name, parameter) in zip(self.schema["properties"].values(), self._parameters.items(), strict=True):
            said = said_of(parameter.annotation) or descriptions.get(name)
            if said:
                schema.setdefault("description", said)
            default = parameter.default
            if default is EMPTY or isinstance(default, FieldInfo):
                continue
            try:
                written = to_jsonable_python(default)
            except (PydanticSerializationError, ValueError):
                continue  # a default without a JSON form is still the function's default
            if has_json_form(written):
                schema["default"] = written

    def _refuse_overlap(self, tool: str, extra: str, converted: Mapping[str, Any]) -> None:
        taken = {name for name, p in self._parameters.items() if p.kind in _KEYWORD_KINDS}
        taken.update(self._signature.context_parameters)
        overlap = [name for name in converted[extra] if name in taken]
        if overlap:
            problems = [
                ArgumentProblem(f"{extra}.{name}", "a name of its own", "a parameter's name") for name in overlap
            ]
            raise InvalidArguments(tool, problems)


def _field_type(parameter: ToolParameter) -> Any:
    annotation: Any = Any if parameter.annotation is EMPTY else adapted(parameter.annotation)
    inner = unpacked(parameter.annotation)
    if parameter.kind is _VAR_POSITIONAL:
        # A tuple that is unpacked says itself how many there have to be.
        return NotRequired[list[annotation]] if inner is None else adapted(inner)
    if parameter.kind is _VAR_KEYWORD:
        return NotRequired[dict[str, annotation]] if inner is None else NotRequired[adapted(inner)]
    if isinstance(parameter.default, FieldInfo):
        return Annotated[annotation, parameter.default]
    return annotation if parameter.default is EMPTY else NotRequired[annotation]


def _adapter(fields: Mapping[str, Any], names: Mapping[str, Any]) -> TypeAdapter[Any]:
    """Build an adapter for an object of these fields, which sees local names while types refer to each other."""
    make: Any = TypedDict  # type checkers know only literal fields
    arguments = make("arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", defer_build=True)
    adapter: TypeAdapter[Any] = TypeAdapter(arguments)
    adapter.rebuild(_types_namespace=dict(names))
    return adapter


def _definition_error(
    tool: str, fields: Mapping[str, Any], names: Mapping[str, Any], error: Exception
) -> ToolDefinitionError:
    """Find the parameter that is to blame, by trying each alone."""
    for name, field in fields.items():
        try:
            json_schema_of(_adapter({name: field}, names), "validation")
        except Exception as cause:  # whatever pydantic or a type's own hooks raise, it is this parameter's
            return _refusal(tool, name, cause)
    return ToolDefinitionError(f"{tool} can't be a tool: {error}")


def _refusal(tool: str, name: str, cause: Exception) -> ToolDefinitionError:
    if isinstance(cause, NameError):
        return UnresolvedAnnotation(
            f"{tool} can't be a tool: the type of parameter {name!r} refers to {cause.name!r}, "
            "which is not defined; import or define it before the tool is used"
        )
    reason = str(cause).partition("\n")[0]
    return ToolDefinitionError(
        f"{tool} can't be a tool: parameter {name!r} has a type that JSON Schema can't describe ({reason}); "
        "annotate it with a type that pydantic can validate, or fix its value with functools.partial"
    )
