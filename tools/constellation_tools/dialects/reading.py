"""Schemas taken apart: what references lead to, parts that are folded together, types that are told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..schema import json_type
from .pointers import definition_of, references_in, resolve
from .rules import NOISE


class Inexpressible(Exception):
    """Raised when rules have no way to say a schema; the text names the place and the reason."""


def target_of(root: Mapping[str, Any], reference: str, path: str) -> Mapping[str, Any]:
    """What a reference leads to.

    Raises:
        Inexpressible: it leads nowhere.
    """
    try:
        return mapping(resolve(root, reference))
    except LookupError:
        raise Inexpressible(f"{path}: {reference} leads nowhere in the schema") from None


def merged(
    root: Mapping[str, Any], schema: Mapping[str, Any], path: str, within: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A schema with its `allOf` folded into it, and the references that were followed until there.

    Raises:
        Inexpressible: its parts don't agree, or it is part of itself.
    """
    whole = {keyword: value for keyword, value in schema.items() if keyword != "allOf"}
    pending = list(schema["allOf"])
    while pending:
        part = pending.pop(0)
        if part is False:
            raise Inexpressible(f"{path}: a schema that nothing fits")
        if part is True:
            continue
        if "$ref" in part:
            if part["$ref"] in within:
                raise Inexpressible(f"{path}: {name_of(part['$ref'])} refers to itself")
            within = (*within, part["$ref"])
            beside = {keyword: value for keyword, value in part.items() if keyword != "$ref"}
            pending[:0] = [target_of(root, part["$ref"], path), beside]
            continue
        for keyword, value in part.items():
            if keyword == "properties":
                whole[keyword] = {**whole.get(keyword, {}), **value}
            elif keyword == "required":
                whole[keyword] = [*dict.fromkeys([*whole.get(keyword, ()), *value])]
            elif keyword == "allOf":
                pending[:0] = value
            elif whole.setdefault(keyword, value) != value and keyword not in NOISE | {"description"}:
                raise Inexpressible(f"{path}: the parts of an allOf disagree about {keyword}")
    return whole, within


def with_prefix_items(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tuple in the words of 2020-12: until then, `items` was a list and `additionalItems` what came after."""
    if not isinstance(schema.get("items"), list):
        return schema
    kept = {keyword: value for keyword, value in schema.items() if keyword not in ("items", "additionalItems")}
    rest = {"items": schema["additionalItems"]} if "additionalItems" in schema else {}
    return {**kept, "prefixItems": schema["items"], **rest}


def with_definitions(root: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that stands for itself: with the definitions that it needs, and without noise and its description."""
    needed: dict[str, Any] = {}
    pending = list(references_in(schema))
    while pending:
        name = definition_of(pending.pop())
        if name is not None and name not in needed:
            needed[name] = root.get("$defs", {}).get(name, {})
            pending.extend(references_in(needed[name]))
    shown = {keyword: value for keyword, value in schema.items() if keyword not in NOISE | {"description"}}
    return {**shown, "$defs": needed} if needed else shown


def mapping(schema: Any) -> Mapping[str, Any]:
    """A schema as a mapping; `true` and what is no schema say nothing."""
    return schema if isinstance(schema, Mapping) else {}


def is_of(schema: Mapping[str, Any], kind: str) -> bool:
    """Whether a schema is, or may be, of a type that has keywords of its own."""
    types = schema.get("type")
    if types is None:
        of_kind = {"object": ("properties", "required", "additionalProperties"), "array": ("items", "prefixItems")}[
            kind
        ]
        return any(keyword in schema for keyword in of_kind)
    return kind in types if isinstance(types, list) else bool(types == kind)


def one_branch_each(schema: Mapping[str, Any], types: list[str]) -> dict[str, Any]:
    """A schema of several types as alternatives, each with the keywords that are about its type."""
    about = {
        "string": ("minLength", "maxLength", "pattern", "format"),
        "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
        "object": ("properties", "required", "additionalProperties"),
        "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
    about["integer"] = about["number"]
    typed = {keyword for keywords in about.values() for keyword in keywords}
    shared = {k: v for k, v in schema.items() if k not in typed and k not in ("type", "enum", "const")}
    branches: list[dict[str, Any]] = []
    for kind in types:
        branch: dict[str, Any] = {"type": kind, **{k: schema[k] for k in about.get(kind, ()) if k in schema}}
        if "enum" in schema:
            values = [value for value in schema["enum"] if json_type(value) == kind]
            if not values:
                continue
            branch["enum"] = values
        branches.append(branch)
    return {**shared, "anyOf": branches}


def kind_of(rendered: Mapping[str, Any]) -> str:
    """A word for what a schema is about."""
    if "type" in rendered:
        return str(rendered.get("format", rendered["type"]))
    return name_of(str(rendered["$ref"])) if "$ref" in rendered else "one of several types"


def name_of(reference: str) -> str:
    """A word for what a reference leads to."""
    return definition_of(reference) or ("the root" if reference == "#" else reference)
