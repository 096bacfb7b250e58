"""Which schemas are taken from a server: small, closed in themselves, and not made to keep us busy."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

from ..dialects.pointers import resolve
from .errors import McpMisbehaved

MAX_DEPTH = 64
"""How deep a schema may be nested."""

MAX_UNFOLDED = 50_000
"""How many parts a schema may have with every reference written out once."""


def accepted_schema(schema: Mapping[str, Any], *, max_bytes: int) -> dict[str, Any]:
    """Return a copy of a schema that can be published and followed.

    Raises:
        McpMisbehaved: it can't; the message says why.
    """
    if _deeper_than(schema, MAX_DEPTH):
        raise McpMisbehaved(f"its schema is nested more than {MAX_DEPTH} deep")
    size = len(to_json(schema))
    if size > max_bytes:
        raise McpMisbehaved(f"its schema takes {size} bytes, and {max_bytes} are allowed")
    if _unfolded(schema, schema, {}, frozenset()) > MAX_UNFOLDED:
        raise McpMisbehaved(f"its schema has more than {MAX_UNFOLDED} parts when its references are followed")
    return copy.deepcopy(dict(schema))


def _deeper_than(node: Any, limit: int) -> bool:
    level = [node]
    for _ in range(limit):
        level = [
            part
            for item in level
            for part in (item.values() if isinstance(item, Mapping) else item if isinstance(item, list) else ())
        ]
        if not level:
            return False
    return True


def _unfolded(node: Any, root: Mapping[str, Any], known: dict[str, int], active: frozenset[str]) -> int:
    """How many parts a schema has when each reference is written out; one within itself counts as one part."""
    if isinstance(node, list):
        return sum(_unfolded(part, root, known, active) for part in node)
    if not isinstance(node, Mapping):
        return 0
    total = 1 + sum(_unfolded(part, root, known, active) for part in node.values())
    reference = node.get("$ref")
    if not isinstance(reference, str) or reference in active:
        return total
    if reference not in known:
        if not reference.startswith("#"):
            raise McpMisbehaved(f"its schema refers to {reference[:200]!r}, outside of itself")
        try:
            target = resolve(root, reference)
        except LookupError as error:
            raise McpMisbehaved(f"its schema refers to {reference[:200]!r}, which is not there") from error
        known[reference] = _unfolded(target, root, known, active | {reference})
    return total + known[reference]
