"""What the runner keeps on disk or sends elsewhere, as JSON: read with care, since anybody may have written it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..errors import InvalidDocument

T = TypeVar("T")


def read(kind: type[T], document: str | bytes | Mapping[str, Any], what: str) -> T:
    """Read an object of a class from JSON text, or from what has been read from it.

    Args:
        kind: The class, a dataclass.
        document: The text, or a mapping.
        what: What it should be, for the error.

    Raises:
        InvalidDocument: it is none; the message says where.
    """
    adapter = _adapter(kind)
    try:
        if isinstance(document, Mapping):
            found: T = adapter.validate_python(document)
        else:
            found = adapter.validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the document"
        raise InvalidDocument(f"this is no {what}: {place}: {first['msg']}") from None
    return found


def write(value: Any) -> str:
    """JSON text that `read` reads."""
    text: bytes = _adapter(type(value)).dump_json(value)
    return text.decode()


_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    """The adapter of a class, made when it is first needed."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
