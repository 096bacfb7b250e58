"""References from one star's arguments to another star's output: finding, writing and resolving them.

In JSON a reference is an object with the single key `$ref`, whose text is `<star id>#<JSON pointer>` (RFC 6901);
without a pointer it stands for the whole output.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .errors import Path, ReferenceFault, show_path
from .record import record
from .star import ID_PATTERN, StarId

MAX_DEPTH = 64
"""How deep arguments may be nested."""

MAX_DIGITS = 4300
"""How many digits a whole number in arguments may have: Python and other readers of JSON take no more."""

_ABOVE = 10**MAX_DIGITS

_BAD_ESCAPE = re.compile("~(?![01])")
_INDEX = re.compile("0|[1-9][0-9]{0,17}")


@record
class Reference:
    """One reference: where in the arguments it stands, and what it points at."""

    path: Path
    star: StarId
    pointer: str


@record
class Output:
    """A star's output as a value to write into another star's arguments; indexing reaches into it.

    Examples:
        >>> Output(StarId("scan"))["files"][0].as_json()
        {'$ref': 'scan#/files/0'}
    """

    star: StarId
    pointer: str = ""

    def __getitem__(self, key: str | int) -> Output:
        return Output(self.star, f"{self.pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")

    def __iter__(self) -> Any:
        raise TypeError("the output of a star is not known yet, so it can't be iterated over; index it or pass it on")

    def as_json(self) -> dict[str, str]:
        """The reference in its JSON form."""
        return {"$ref": f"{self.star}#{self.pointer}"}


def parse_reference(text: object, path: Path = ()) -> Reference:
    """Read the text of a reference.

    Raises:
        ReferenceFault: it is no text of the form `<star id>#<JSON pointer>`.
    """
    where = f"the reference at {show_path(path)}"
    if not isinstance(text, str):
        raise ReferenceFault(f"{where} is {text!r}; write {{'$ref': '<star id>#<JSON pointer>'}}", path=path)
    star, _, pointer = text.partition("#")
    if not ID_PATTERN.fullmatch(star):
        raise ReferenceFault(
            f"{where} names {star!r}, which can't be a star's id; write '<star id>#<JSON pointer>'", path=path
        )
    if pointer and not pointer.startswith("/"):
        raise ReferenceFault(f"{where} has the JSON pointer {pointer!r}, which has to begin with '/'", path=path)
    if _BAD_ESCAPE.search(pointer):
        raise ReferenceFault(
            f"{where} has the JSON pointer {pointer!r}; in a key, write '~0' for '~' and '~1' for '/'", path=path
        )
    return Reference(path, StarId(star), pointer)


def find_references(arguments: Mapping[str, Any]) -> tuple[Reference, ...]:
    """All references in some arguments, in the order in which they stand there.

    Raises:
        ReferenceFault: one is malformed, or the arguments hold something that JSON can't.
    """
    if "$ref" in arguments:
        raise ReferenceFault("'$ref' stands for the arguments as a whole; put it under an argument's name")
    found: list[Reference] = []
    for key, value in arguments.items():
        kind = type(value)
        if type(key) is str and (kind is str or kind is bool or value is None):
            continue
        _check_key(key, ())
        _walk(value, (key,), found)
    return tuple(found)


def _check_key(key: object, path: Path) -> None:
    if not isinstance(key, str):
        raise ReferenceFault(f"the arguments have the key {key!r} at {show_path(path)}; JSON keys are text", path=path)


def _walk(value: Any, path: Path, found: list[Reference]) -> None:
    if value is None or isinstance(value, str):
        return
    if isinstance(value, int):  # bool is one as well
        if not -_ABOVE < value < _ABOVE:
            raise ReferenceFault(
                f"the arguments hold a number of more than {MAX_DIGITS} digits at {show_path(path)}; give it as text",
                path=path,
            )
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ReferenceFault(f"the arguments hold {value} at {show_path(path)}; JSON has no such number", path=path)
        return
    if len(path) > MAX_DEPTH:
        raise ReferenceFault(f"the arguments are nested over {MAX_DEPTH} deep at {show_path(path[:4])}…", path=path)
    if isinstance(value, Mapping):
        if "$ref" in value:
            if len(value) > 1:
                raise ReferenceFault(
                    f"the reference at {show_path(path)} has other keys beside '$ref'; remove them", path=path
                )
            found.append(parse_reference(value["$ref"], path))
            return
        for key, item in value.items():
            _check_key(key, path)
            _walk(item, (*path, key), found)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _walk(item, (*path, index), found)
    else:
        raise ReferenceFault(
            f"the arguments hold a {type(value).__name__} at {show_path(path)}; give JSON values only "
            "(text, numbers, booleans, null, lists, objects)",
            path=path,
        )


def write_outputs(value: Any) -> Any:
    """A copy of a value in which every `Output` is replaced by its JSON form, and tuples by lists."""
    kind = type(value)
    if kind is str or kind is int or kind is float or kind is bool or value is None:
        return value
    if isinstance(value, Output):
        return value.as_json()
    if kind is dict or isinstance(value, Mapping):
        return {key: write_outputs(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [write_outputs(item) for item in value]
    return value


def resolve_references(
    arguments: Mapping[str, Any], references: Sequence[Reference], value_of: Callable[[Reference], Any]
) -> Mapping[str, Any]:
    """The arguments with every reference replaced by its value; without references, the arguments themselves."""
    if not references:
        return arguments
    values = {reference.path: value_of(reference) for reference in references}
    resolved = _replace(arguments, (), values)
    assert isinstance(resolved, dict)
    return resolved


def _replace(value: Any, path: Path, values: Mapping[Path, Any]) -> Any:
    if path in values:
        return values[path]
    if isinstance(value, Mapping):
        return {key: _replace(item, (*path, key), values) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace(item, (*path, index), values) for index, item in enumerate(value)]
    return value


def point_into(output: Any, reference: Reference) -> Any:
    """What a reference's pointer names in an output (RFC 6901).

    Raises:
        ReferenceFault: it names nothing there; the message says how far it leads.
    """
    value = output
    for token in reference.pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, (list, tuple)) and _INDEX.fullmatch(key) and int(key) < len(value):
            value = value[int(key)]
        else:
            raise ReferenceFault(
                f"{reference.star}#{reference.pointer}: the output of {reference.star!r} has no {key!r} there; "
                f"it has {_outline(value)}"
            )
    return value


def _outline(value: Any) -> str:
    if isinstance(value, Mapping):
        names = ", ".join(repr(key) for key in list(value)[:8])
        return f"the keys {names}{', …' if len(value) > 8 else ''}" if names else "no keys"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    return f"a {type(value).__name__}"
