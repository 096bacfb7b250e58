"""Whether a schema keeps a provider's documented rules, judged by the rules alone and not by how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ..schema import json_type
from .pointers import DEFINITIONS, definition_of, recursive_references, resolve, subschemas, walk
from .rules import Rules


def violations(schema: Mapping[str, Any], rules: Rules) -> list[str]:
    """Say which rules a schema breaks, each with the place; an empty list when the provider would take it."""
    found = [f"{path or '/'}: {problem}" for path, node in walk(schema) for problem in _of_node(node, path, rules)]
    return [*_of_root(schema, rules), *_of_references(schema, rules), *found, *limits_exceeded(schema, rules)]


def limits_exceeded(schema: Mapping[str, Any], rules: Rules) -> list[str]:
    """Say which limits of size a schema exceeds."""
    measured = {
        "nested objects": (_depth(schema, schema, {}), rules.max_depth),
        "properties": (count_properties(schema), rules.max_properties),
        "values in enums": (sum(len(node.get("enum", ())) for _, node in walk(schema)), rules.max_enum_values),
        "characters of names and values": (_characters(schema), rules.max_text),
        "optional properties": (count_optional(schema), rules.max_optional),
        "properties with alternatives": (count_unions(schema), rules.max_unions),
    }
    return [
        f"{count:,} {what}, more than {limit:,}"
        for what, (count, limit) in measured.items()
        if limit is not None and count > limit
    ]


def count_properties(schema: Mapping[str, Any]) -> int:
    """How many properties all objects of a schema have together."""
    return sum(len(node.get("properties", ())) for _, node in walk(schema))


def count_optional(schema: Mapping[str, Any]) -> int:
    """How many of them may be left out."""
    return sum(len(set(node.get("properties", ())) - set(node.get("required", ()))) for _, node in walk(schema))


def count_unions(schema: Mapping[str, Any]) -> int:
    """How many of its schemas have alternatives, or several types."""
    return sum("anyOf" in node or isinstance(node.get("type"), list) for _, node in walk(schema))


def _of_root(schema: Mapping[str, Any], rules: Rules) -> Iterator[str]:
    if schema.get("type") != "object":
        yield "/: the root is no object"
    for keyword in ("anyOf", "oneOf", "allOf", "enum", "not"):
        if keyword in schema and rules.typed:
            yield f"/: {keyword} at the root"
    if rules.required_needed and not schema.get("required"):
        yield "/: no argument is required"


def _of_references(schema: Mapping[str, Any], rules: Rules) -> Iterator[str]:
    for path, node in walk(schema):
        reference = node.get("$ref")
        if reference is None:
            continue
        if reference != "#" and definition_of(reference) is None:
            yield f"{path}: {reference} is no reference to a definition"
        else:
            try:
                resolve(schema, reference)
            except LookupError:
                yield f"{path}: {reference} leads nowhere"
        if set(node) - {"$ref"} and not rules.siblings_of_ref:
            yield f"{path}: {', '.join(sorted(set(node) - {'$ref'}))} beside a reference"
    if not rules.recursion:
        yield from (f"/: {reference} refers to itself" for reference in sorted(recursive_references(schema)))


def _of_node(node: Mapping[str, Any], path: str, rules: Rules) -> Iterator[str]:
    yield from (f"{keyword} is not taken" for keyword in node if keyword not in rules.keywords)
    types = node.get("type")
    kinds = types if isinstance(types, list) else [] if types is None else [types]
    if isinstance(types, list) and not rules.type_lists:
        yield "a list of types"
    if "null" in kinds and not rules.null_type:
        yield "the type null"
    if rules.typed and not node.keys() & {"type", "anyOf", "oneOf", "allOf", "$ref", "const"}:
        yield "no type"
    if "enum" in node:
        if rules.typed and types is None:
            yield "an enum without a type"
        yield from (
            f"a value of type {kind} in an enum"
            for kind in sorted({json_type(value) for value in node["enum"]} - rules.enum_types)
        )
    if "object" in kinds:
        yield from _of_object(node, path, rules)
    if "array" in kinds and rules.typed and "items" not in node and "prefixItems" not in node:
        yield "an array without items"
    if rules.formats is not None and node.get("format", next(iter(rules.formats), None)) not in rules.formats:
        yield f"the format {node['format']}"
    if rules.no_pattern is not None and re.search(rules.no_pattern, str(node.get("pattern", ""))):
        yield f"the pattern {node['pattern']}"
    if rules.least_items is not None and node.get("minItems", 0) > rules.least_items:
        yield f"minItems {node['minItems']}, more than {rules.least_items}"


def _of_object(node: Mapping[str, Any], path: str, rules: Rules) -> Iterator[str]:
    properties = node.get("properties", {})
    if rules.closed and node.get("additionalProperties") is not False:
        yield "an object that is not closed by additionalProperties: false"
    if rules.all_required and set(node.get("required", ())) != set(properties):
        yield f"not all properties are required: {', '.join(sorted(set(properties) - set(node.get('required', ()))))}"
    if "allOf" not in rules.keywords:
        undescribed = set(node.get("required", ())) - set(properties)
        yield from (f"{name} is required and no property" for name in sorted(undescribed))
    if rules.properties_needed and path and not properties:
        yield "an object without properties"
    if rules.argument_name is not None and not path:
        yield from (f"an argument named {name!r}" for name in properties if not re.fullmatch(rules.argument_name, name))


def _depth(schema: Any, root: Mapping[str, Any], known: dict[str, int]) -> int:
    """How many objects stand in one another; a definition that refers to itself counts once."""
    if not isinstance(schema, Mapping):
        return 0
    below = [part for steps, part in subschemas(schema) if steps[0] not in DEFINITIONS]
    deepest = max((_depth(part, root, known) for part in below), default=0)
    reference = schema.get("$ref")
    if reference is not None:
        if reference not in known:
            known[reference] = 0  # while it is measured, since it may refer to itself
            with suppress(LookupError):  # told of as a reference that leads nowhere
                known[reference] = _depth(resolve(root, reference), root, known)
        deepest = max(deepest, known[reference])
    return deepest + (schema.get("type") == "object")


def _characters(schema: Mapping[str, Any]) -> int:
    """The length of all names of properties and definitions, and of all values of enums."""
    names = [name for _, node in walk(schema) for kind in ("properties", "$defs") for name in node.get(kind, ())]
    values = [value for _, node in walk(schema) for value in node.get("enum", ())]
    values += [node["const"] for _, node in walk(schema) if "const" in node]
    return sum(map(len, names)) + sum(len(value) if isinstance(value, str) else 0 for value in values)
