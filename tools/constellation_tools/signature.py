"""What a function takes and returns, with every annotation resolved to a real type.

Annotations may be postponed, quoted, or name classes that are local to a function: names are looked up in the
function's module, in its closure, and in the frames of the functions and classes that it is being defined in.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .context import ToolContext
from .errors import ToolDefinitionError, UnresolvedAnnotation

EMPTY = inspect.Parameter.empty
"""Marks a parameter without a default, and a function without a return annotation."""


@dataclass(frozen=True, slots=True)
class ToolParameter:
    """One parameter of the function."""

    name: str
    annotation: Any
    kind: inspect._ParameterKind
    default: Any = EMPTY


@dataclass(frozen=True, slots=True)
class ToolSignature:
    """A function's parameters and result.

    Attributes:
        parameters: All that a call passes, in the function's order.
        context_parameters: Those of them that are given the call's ToolContext and that no caller sees.
        returns: The annotation of the result, or EMPTY.
        unbound: Whether it is a method that still lacks its instance.
    """

    parameters: tuple[ToolParameter, ...]
    context_parameters: tuple[str, ...]
    returns: Any
    unbound: bool


def underlying_function(target: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that holds the annotations: below partials, wrappers, methods and callable objects."""
    current: Any = target
    while True:
        if isinstance(current, functools.partial | functools.partialmethod):
            current = current.func
        elif isinstance(current, types.MethodType):
            current = current.__func__
        elif hasattr(current, "__wrapped__"):
            current = current.__wrapped__
        elif not isinstance(current, type) and not inspect.isroutine(current) and callable(current):
            current = type(current).__call__
        else:
            return typing.cast("Callable[..., Any]", current)


def enclosing_names(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the names that are visible where a nested function stands and are not its module's globals."""
    function = underlying_function(target)
    names: dict[str, Any] = {parameter.__name__: parameter for parameter in getattr(function, "__type_params__", ())}
    code = getattr(function, "__code__", None)
    for name, cell in zip(code.co_freevars if code else (), getattr(function, "__closure__", None) or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # the cell's name is assigned only after the function was defined
            continue
    qualname = getattr(function, "__qualname__", "")
    frame = sys._getframe(1) if "." in qualname else None
    while frame is not None:
        if frame.f_globals is getattr(function, "__globals__", None) and qualname.startswith(
            frame.f_code.co_qualname + "."
        ):
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def read_signature(target: Callable[..., Any], *, names: Mapping[str, Any]) -> ToolSignature:
    """Read what a callable takes and returns.

    Args:
        target: A function, method, partial or callable object.
        names: What annotations may name besides the globals of the module.

    Raises:
        ToolDefinitionError: it has no readable signature.
        UnresolvedAnnotation: an annotation names something that is not defined.
    """
    function = underlying_function(target)
    label = getattr(function, "__qualname__", repr(target))
    try:
        signature = inspect.signature(target)
    except (TypeError, ValueError) as error:
        raise ToolDefinitionError(f"{label} can't be a tool: its signature can't be read ({error})") from error
    module_names = getattr(function, "__globals__", {})
    bound = _bound_by_partials(target)
    parameters: list[ToolParameter] = []
    context_parameters: list[str] = []
    unbound = False
    for index, parameter in enumerate(signature.parameters.values()):
        if index == 0 and _is_instance_parameter(parameter, function, target):
            unbound = True
            continue
        if parameter.name in bound:
            continue
        annotation = _resolve(parameter.annotation, label, f"parameter {parameter.name!r}", module_names, names)
        if _is_context(annotation):
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD and parameter.kind is not parameter.KEYWORD_ONLY:
                raise ToolDefinitionError(
                    f"{label} can't be a tool: its ToolContext parameter {parameter.name!r} must be an ordinary one"
                )
            context_parameters.append(parameter.name)
        parameters.append(ToolParameter(parameter.name, annotation, parameter.kind, parameter.default))
    is_class = isinstance(function, type)  # what its `__init__` returns is not what comes of the call
    returns = function if is_class else _resolve(signature.return_annotation, label, "the result", module_names, names)
    return ToolSignature(tuple(parameters), tuple(context_parameters), returns, unbound)


def _resolve(annotation: Any, label: str, what: str, module_names: dict[str, Any], names: Mapping[str, Any]) -> Any:
    """Evaluate an annotation, and the quoted names inside it."""
    if annotation is EMPTY:
        return EMPTY
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, module_names, dict(names), include_extras=True)["it"]
    except NameError as error:
        raise UnresolvedAnnotation(
            f"{label} can't be a tool: the annotation of {what}, {annotation!r}, names "
            f"{error.name!r}, which is not defined; import or define it before the tool is used"
        ) from error
    except Exception as error:  # evaluating an annotation runs arbitrary code
        raise ToolDefinitionError(
            f"{label} can't be a tool: the annotation of {what}, {annotation!r}, is not a type ({error})"
        ) from error


def _bound_by_partials(target: Any) -> set[str]:
    """Return the keyword arguments that partials have fixed: the host's business, so callers can't set them."""
    bound: set[str] = set()
    while isinstance(target, functools.partial):
        bound.update(target.keywords)
        target = target.func
    return bound


def _is_instance_parameter(parameter: inspect.Parameter, function: Any, target: Any) -> bool:
    """Whether a first parameter is the `self` or `cls` of a method that was taken from its class, not bound to it."""
    scope = getattr(function, "__qualname__", "").rpartition(".")[0]
    in_class = bool(scope) and not scope.endswith("<locals>")
    return in_class and target is function and parameter.name in ("self", "cls") and parameter.annotation is EMPTY


def _is_context(annotation: Any) -> bool:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = annotation.__origin__
    if annotation is ToolContext:
        return True
    members = typing.get_args(annotation)
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return is_union and set(members) == {ToolContext, type(None)}
