"""Annotations as pydantic needs them, where it does not take them as Python means them.

Only what stands in a signature is seen to, through unions, `Annotated` and generics; fields of classes are pydantic's
business.
"""

from __future__ import annotations

import collections.abc
import enum
import sys
import types
import typing
from functools import reduce
from operator import or_
from typing import Annotated, Any, get_args, get_origin

import typing_extensions
from pydantic import BeforeValidator
from pydantic.fields import FieldInfo

_EAGER = frozenset(
    {
        collections.abc.Iterable,
        collections.abc.Collection,
        collections.abc.Container,
        collections.abc.Reversible,
    }
)
"""What a list is one of. pydantic would check iterables only while the function goes through them, or not know them."""

_STREAMS = frozenset(
    {
        collections.abc.Iterator,
        collections.abc.Iterable,
        collections.abc.Generator,
        collections.abc.AsyncIterator,
        collections.abc.AsyncIterable,
        collections.abc.AsyncGenerator,
    }
)
"""What a generator function may say that it returns."""

_ANNOTATED = (typing.Annotated, typing_extensions.Annotated)
_UNPACK = (typing.Unpack, typing_extensions.Unpack)
_UNIONS = (typing.Union, types.UnionType)


def adapted(annotation: Any, made: dict[Any, Any] | None = None) -> Any:
    """Return an annotation that pydantic takes in the way that Python means this one.

    Args:
        annotation: The annotation.
        made: What has been put in place of classes around this annotation, which may refer to them.
    """
    made = {} if made is None else made
    origin = get_origin(annotation)
    if origin is None:
        return _adapted_class(annotation, made)
    arguments = get_args(annotation)
    if origin in _EAGER:
        return _list_of(adapted(arguments[0], made))
    if origin in _ANNOTATED:
        inner = adapted(arguments[0], made)
        return annotation if inner is arguments[0] else Annotated[(inner, *annotation.__metadata__)]
    if origin is typing.Literal:
        return _with_json_values(annotation, arguments)
    if origin is collections.abc.Callable:
        return annotation
    inner_arguments = tuple(adapted(argument, made) for argument in arguments)
    if all(new is old for new, old in zip(inner_arguments, arguments, strict=True)):
        return annotation
    if origin in _UNIONS:
        return reduce(or_, inner_arguments)
    return annotation.copy_with(inner_arguments) if hasattr(annotation, "copy_with") else origin[inner_arguments]


def said_of(annotation: Any) -> str | None:
    """What an annotation says of its parameter: `Annotated[int, "how many"]`, or with `Doc`."""
    if get_origin(annotation) not in _ANNOTATED:
        return None
    metadata = annotation.__metadata__
    if any(isinstance(item, FieldInfo) and item.description for item in metadata):
        return None
    said = (item if isinstance(item, str) else getattr(item, "documentation", None) for item in metadata)
    return next((words for words in said if isinstance(words, str)), None)


def unpacked(annotation: Any) -> Any:
    """What the annotation of `*args` or `**kwargs` unpacks, `*tuple[int, str]` or `Unpack[...]`; None for others."""
    if get_origin(annotation) in _UNPACK:
        return get_args(annotation)[0]
    if getattr(annotation, "__unpacked__", False):
        return types.GenericAlias(tuple, get_args(annotation))
    return None


def gathered_type(annotation: Any) -> Any:
    """The type of a list of all items of a stream, by the annotation of the generator function that makes it."""
    return _list_of(get_args(annotation)[0] if get_origin(annotation) in _STREAMS else Any)


def _list_of(item: Any) -> Any:
    return types.GenericAlias(list, (item,))


def _with_json_values(annotation: Any, values: tuple[Any, ...]) -> Any:
    """A `Literal` whose enum members may also be given by their values, which is how JSON has them."""
    members = [value for value in values if isinstance(value, enum.Enum)]
    if not members:
        return annotation
    plain = [value for value in values if not isinstance(value, enum.Enum)]

    def member_of(given: Any) -> Any:
        if isinstance(given, enum.Enum) or any(type(given) is type(value) and given == value for value in plain):
            return given
        same = (each for each in members if type(given) is type(each.value) and given == each.value)
        return next(same, given)

    return Annotated[annotation, BeforeValidator(member_of)]


def _adapted_class(annotation: Any, made: dict[Any, Any]) -> Any:
    if annotation in _EAGER_CLASSES:
        return list
    if annotation is typing_extensions.LiteralString or annotation is getattr(typing, "LiteralString", None):
        return str
    if sys.version_info < (3, 12) and isinstance(annotation, _StandardTypedDict):
        return made[annotation] if annotation in made else _with_known_keys(annotation, made)
    return annotation


def _with_known_keys(typed_dict: Any, known: dict[Any, Any]) -> Any:
    """The same `TypedDict` by typing_extensions: before Python 3.12 the standard one hides what pydantic needs."""
    make: Any = typing_extensions.TypedDict
    made = known[typed_dict] = make(typed_dict.__name__, {})  # its fields may refer to it
    hints = typing_extensions.get_type_hints(typed_dict, include_extras=True)
    fields: dict[str, Any] = {}
    for name, hint in hints.items():
        marked, inner = _unmarked(hint)
        required = name in typed_dict.__required_keys__ if marked is None else marked
        field = adapted(inner, known)
        fields[name] = field if required else typing_extensions.NotRequired[field]
    filled = make(typed_dict.__name__, fields)
    for attribute in (
        "__annotations__",
        "__required_keys__",
        "__optional_keys__",
        "__readonly_keys__",
        "__mutable_keys__",
    ):
        setattr(made, attribute, getattr(filled, attribute))
    made.__doc__, made.__module__ = typed_dict.__doc__, typed_dict.__module__
    return made


def _unmarked(hint: Any) -> tuple[bool | None, Any]:
    """Whether a field is marked as required, or as not, and its type. The marks may have been postponed with it."""
    origin = get_origin(hint)
    if origin in (typing.NotRequired, typing_extensions.NotRequired):
        return False, get_args(hint)[0]
    if origin in (typing.Required, typing_extensions.Required):
        return True, get_args(hint)[0]
    return None, hint


_EAGER_CLASSES = _EAGER | {typing.Iterable, typing.Collection, typing.Container, typing.Reversible}
_make_standard: Any = typing.TypedDict
_StandardTypedDict: Any = type(_make_standard("_StandardTypedDict", {}))
