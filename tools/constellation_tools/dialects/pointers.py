"""Finding one's way in a schema: pointers, references, and which definitions lead back to themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

DEFINITIONS = ("$defs", "definitions")

_SCHEMAS = frozenset({"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", *DEFINITIONS})


def resolve(root: Mapping[str, Any], reference: str) -> Any:
    """Return what a local reference leads to.

    Raises:
        LookupError: it leads out of the schema, or nowhere.
    """
    if not reference.startswith("#"):
        raise LookupError(reference)
    found: Any = root
    for step in reference[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and step.isdecimal():
            found = found[int(step)]
        elif isinstance(found, Mapping):
            found = found[step]
        else:
            raise LookupError(reference)
    return found


def definition_of(reference: str) -> str | None:
    """The name of the definition that a reference leads to; None when it leads elsewhere."""
    steps = reference.split("/")
    if len(steps) == 3 and steps[0] == "#" and steps[1] in DEFINITIONS:
        return steps[2].replace("~1", "/").replace("~0", "~")
    return None


def step(path: str, *names: str | int) -> str:
    """A JSON pointer, some steps further."""
    return path + "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    """The schemas directly in a schema, definitions included, each with its steps."""
    for keyword, value in schema.items():
        if keyword in _NAMED and isinstance(value, Mapping):
            yield from (((keyword, name), below) for name, below in value.items())
        elif keyword in _LISTS and isinstance(value, list):
            yield from (((keyword, index), below) for index, below in enumerate(value))
        elif keyword in _SCHEMAS and isinstance(value, Mapping | bool):
            yield (keyword,), value


def walk(schema: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A schema and all schemas in it, each with its pointer; references are not followed."""
    if isinstance(schema, Mapping):
        yield path, schema
        for steps, below in subschemas(schema):
            yield from walk(below, step(path, *steps))


def references_in(schema: Any) -> set[str]:
    """The references anywhere in a schema but in its definitions."""
    if not isinstance(schema, Mapping):
        return set()
    found = {schema["$ref"]} if isinstance(schema.get("$ref"), str) else set()
    for steps, below in subschemas(schema):
        if steps[0] not in DEFINITIONS:
            found |= references_in(below)
    return found


def recursive_references(root: Mapping[str, Any]) -> frozenset[str]:
    """The references in a schema that lead back to themselves."""
    reaches: dict[str, set[str]] = {}
    pending = [str(node["$ref"]) for _, node in walk(root) if "$ref" in node]
    while pending:
        reference = pending.pop()
        if reference not in reaches:
            reaches[reference] = references_in(_found(root, reference))
            pending.extend(reaches[reference])
    grown = True
    while grown:
        grown = False
        for below in reaches.values():
            further = {last for reference in below for last in reaches[reference]} - below
            below |= further
            grown = grown or bool(further)
    return frozenset(reference for reference, below in reaches.items() if reference in below)


def endless_reference(root: Mapping[str, Any]) -> str | None:
    """A reference to what is nothing but references that lead back to it; None when there is none."""
    for _, node in walk(root):
        seen: set[str] = set()
        while isinstance(node, Mapping) and "$ref" in node:
            if node["$ref"] in seen:
                return str(node["$ref"])
            seen.add(node["$ref"])
            node = _found(root, node["$ref"])
    return None


def _found(root: Mapping[str, Any], reference: str) -> Any:
    try:
        return resolve(root, reference)
    except LookupError:
        return {}
