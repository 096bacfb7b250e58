"""A tool's schema by a provider's rules: a pure function that says what it had to change.

Each node is taken apart once and put together from what the rules allow. What they don't allow is said another way,
then in words, then not at all; what can't be said even so ends in `Inexpressible`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..schema import accepts, json_type
from .losses import Loss, LossKind
from .pointers import (
    DEFINITIONS,
    definition_of,
    endless_reference,
    recursive_references,
    references_in,
    step,
    subschemas,
)
from .reading import (
    Inexpressible,
    is_of,
    kind_of,
    mapping,
    merged,
    name_of,
    one_branch_each,
    target_of,
    with_definitions,
    with_prefix_items,
)
from .rules import NOISE, Rules
from .words import compact, joined, sentence

MOST_SCHEMAS = 2_000
"""How many schemas one may become: where there are no references, a small one may grow beyond all bounds."""

_LITERAL = frozenset({"$ref", "$defs", "definitions", "description", "type"})
_SPLIT = frozenset({"properties", "required", "additionalProperties", "items", "prefixItems", "enum", "const"})
_COMBINED = frozenset({"anyOf", "oneOf", "allOf"})
_TYPING = _COMBINED | {"type", "const"}
_HANDLED = _LITERAL | _SPLIT | _COMBINED


def render(schema: Mapping[str, Any], rules: Rules) -> tuple[dict[str, Any], tuple[Loss, ...]]:
    """Say a schema by rules.

    Returns:
        The schema, and what was changed on the way.

    Raises:
        Inexpressible: it can't be said.
    """
    renderer = _Renderer(schema, rules)
    return renderer.rendered(), tuple(dict.fromkeys(renderer.losses))


class _Renderer:
    def __init__(self, root: Mapping[str, Any], rules: Rules) -> None:
        self.root = root
        self.rules = rules
        self.losses: list[Loss] = []
        self._recursive = recursive_references(root)
        self._definitions: dict[str, dict[str, Any]] = {}
        self._said_so_far = 0
        self._text_is_taken = False  # within alternatives of which one is a string

    def rendered(self) -> dict[str, Any]:
        endless = endless_reference(self.root)
        if endless is not None:
            raise Inexpressible(f"{name_of(endless)} only refers to itself")
        root = {keyword: value for keyword, value in self.root.items() if keyword not in DEFINITIONS}
        if root.get("$ref") is not None:
            root = self._inlined(root, "", ())
        rendered = self._node(root, "", ())
        if rendered.get("type") != "object":
            raise Inexpressible("the root has to be an object")
        rendered.setdefault("properties", {})
        if self._definitions:
            rendered["$defs"] = self._definitions
        return rendered

    def _lose(self, path: str, kind: LossKind, keyword: str, detail: str) -> None:
        self.losses.append(Loss(path, kind, keyword, detail))

    def _node(self, schema: Any, path: str, within: tuple[str, ...]) -> dict[str, Any]:
        """Say one schema, as JSON text if need be; `within` are the references that were followed to get here."""
        mark = len(self.losses)
        self._said_so_far += 1
        try:
            if self._said_so_far > MOST_SCHEMAS:
                raise Inexpressible(f"{path}: it is too large, said without references")
            return self._said(schema, path, within)
        except Inexpressible as error:
            if not path or not self._text_would_do(schema):
                raise
            del self.losses[mark:]
            reason = str(error).partition(": ")[2]
            self._lose(path, LossKind.TEXT, "type", f"sent as JSON text, since {reason}")
            return {"type": "string", "description": self._as_text(schema)}

    def _text_would_do(self, schema: Any) -> bool:
        """Whether JSON text can stand for a value here: where text itself is no answer, it can't be mistaken."""
        if not self.rules.json_text or self._text_is_taken or not isinstance(schema, Mapping):
            return False
        definitions = self.root.get("$defs", {})
        structured = accepts(schema, "object", definitions) or accepts(schema, "array", definitions)
        return structured and not accepts(schema, "string", definitions)

    def _as_text(self, schema: Mapping[str, Any]) -> str:
        shown = with_definitions(self.root, schema)
        return joined(schema.get("description", ""), [f"JSON text that fits this JSON Schema: {compact(shown)}"])

    def _said(self, schema: Any, path: str, within: tuple[str, ...]) -> dict[str, Any]:
        if schema is False:
            raise Inexpressible(f"{path}: a schema that nothing fits")
        schema = with_prefix_items({} if schema is True else schema)
        if "$ref" in schema:
            return self._reference(schema, path, within)
        if "allOf" in schema and "allOf" not in self.rules.keywords:
            return self._folded(schema, path, within)
        types = schema.get("type")
        if isinstance(types, list) and not self.rules.type_lists:
            self._lose(path, LossKind.REWRITTEN, "type", "alternatives, one for each type")
            schema = one_branch_each(schema, types)
        if types == "null" and not self.rules.null_type:
            raise Inexpressible(f"{path}: a value that is always null can't be said")
        words: list[str] = []
        result: dict[str, Any] = {}
        if "type" in schema:
            result["type"] = schema["type"]
        self._values(schema, path, result, words)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                self._alternatives(keyword, schema[keyword], path, within, result)
        if is_of(schema, "object"):
            self._object(schema, path, within, result)
        if is_of(schema, "array"):
            self._array(schema, path, within, result, words)
        if self.rules.typed and not result.keys() & _TYPING:
            raise Inexpressible(f"{path}: a value of any type can't be said")
        for keyword, value in schema.items():
            if keyword not in _HANDLED:
                self._constraint(keyword, value, path, within, result, words)
        description = joined(schema.get("description", ""), words)
        if description:
            result["description"] = description
        return result

    # References

    def _reference(self, schema: Mapping[str, Any], path: str, within: tuple[str, ...]) -> dict[str, Any]:
        reference = schema["$ref"]
        siblings = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        recursive = reference in self._recursive
        if recursive and not self.rules.recursion:
            raise Inexpressible(f"{path}: {name_of(reference)} refers to itself")
        if siblings.keys() & (_SPLIT | _COMBINED | {"type"}):  # both have to fit
            return self._folded({"allOf": [{"$ref": reference}, siblings]}, path, within)
        name = definition_of(reference)
        if "$ref" not in self.rules.keywords or (name is None and reference != "#"):
            return self._node(self._inlined(schema, path, within), path, (*within, reference))
        if name is not None and name not in self._definitions:
            self._definitions[name] = {}  # holds the place while it is said, since it may refer to itself
            target = target_of(self.root, reference, path)
            self._definitions[name] = self._node(target, step("", "$defs", name), (reference,))
        words: list[str] = []
        result: dict[str, Any] = {"$ref": "#" if name is None else step("#", "$defs", name)}
        if siblings and not self.rules.siblings_of_ref:
            self._lose(path, LossKind.REWRITTEN, "$ref", "the only one of its alternatives, with words beside them")
            result = {"anyOf": [result]}
        for keyword, value in siblings.items():
            if keyword not in _LITERAL:
                self._constraint(keyword, value, path, within, result, words)
        description = joined(siblings.get("description", ""), words)
        return {**result, "description": description} if description else result

    def _inlined(self, schema: Mapping[str, Any], path: str, within: tuple[str, ...]) -> dict[str, Any]:
        """What a reference leads to, with what stands beside it."""
        reference = schema["$ref"]
        if reference in within:
            raise Inexpressible(f"{path}: {name_of(reference)} refers to itself")
        self._lose(path, LossKind.REWRITTEN, "$ref", f"{name_of(reference)} said in place")
        siblings = {keyword: value for keyword, value in schema.items() if keyword != "$ref"}
        return {**target_of(self.root, reference, path), **siblings}

    def _folded(self, schema: Mapping[str, Any], path: str, within: tuple[str, ...]) -> dict[str, Any]:
        folded, within = merged(self.root, schema, path, within)
        self._lose(path, LossKind.REWRITTEN, "allOf", "its parts folded into one")
        return self._node(folded, path, within)

    # Values and alternatives

    def _values(self, schema: Mapping[str, Any], path: str, result: dict[str, Any], words: list[str]) -> None:
        """Say `const` and `enum`."""
        if "const" in schema and "const" in self.rules.keywords:
            result["const"] = schema["const"]
            return
        if "const" in schema:
            values = [schema["const"]]
            self._lose(path, LossKind.REWRITTEN, "const", "an enum of one value")
        elif "enum" in schema:
            values = list(schema["enum"])
        else:
            return
        if not values:
            raise Inexpressible(f"{path}: a choice of nothing")
        by_kind: dict[str, list[Any]] = {}
        for value in values:
            by_kind.setdefault(json_type(value), []).append(value)
        if self.rules.typed and by_kind.keys() & {"array", "object"}:
            raise Inexpressible(f"{path}: a choice of lists or objects can't be said")
        one_type_each = self.rules.typed or not self.rules.type_lists or not by_kind.keys() <= self.rules.enum_types
        if len(by_kind) > 1 and one_type_each:
            self._lose(path, LossKind.REWRITTEN, "enum", "alternatives, one for each type")
            result.pop("type", None)
            branches = [{"type": kind, "enum": of_kind} for kind, of_kind in by_kind.items()]
            self._alternatives("anyOf", branches, path, (), result)
            return
        kind = next(iter(by_kind))
        if len(by_kind) == 1 and (self.rules.typed or "const" in schema):
            result.setdefault("type", kind)
        if by_kind.keys() <= self.rules.enum_types:
            result["enum"] = values
        elif kind != "null":
            words.append(sentence("enum", values))
            self._lose(path, LossKind.DESCRIBED, "enum", f"a choice of values of type {kind}")
        elif not self.rules.null_type:
            raise Inexpressible(f"{path}: a value that is always null can't be said")

    def _alternatives(
        self, keyword: str, branches: list[Any], path: str, within: tuple[str, ...], result: dict[str, Any]
    ) -> None:
        if keyword == "oneOf" and keyword not in self.rules.keywords:
            self._lose(path, LossKind.REWRITTEN, "oneOf", "anyOf, of which exactly one fits all the same")
            keyword = "anyOf"
        nullable = False
        said: list[dict[str, Any]] = []
        taken = self._text_is_taken
        self._text_is_taken |= any(accepts(mapping(b), "string", self.root.get("$defs", {})) for b in branches)
        try:
            for index, branch in enumerate(branches):
                if not self.rules.null_type and mapping(branch).get("type") == "null":
                    nullable = True
                    continue
                rendered = self._node(branch, step(path, keyword, index), within)
                if rendered not in said:
                    said.append(rendered)
        finally:
            self._text_is_taken = taken
        if not said:
            raise Inexpressible(f"{path}: no alternative but null can be said")
        if nullable:
            self._lose(path, LossKind.REWRITTEN, keyword, "null as nullable")
            result["nullable"] = True
        if len(said) == 1 and keyword != "allOf" and not result.keys() - {"nullable"}:
            result.update({**said[0], **result})
        elif keyword in result:
            raise Inexpressible(f"{path}: two sets of alternatives at one place")
        else:
            result[keyword] = said

    # Objects and arrays

    def _object(self, schema: Mapping[str, Any], path: str, within: tuple[str, ...], result: dict[str, Any]) -> None:
        properties: dict[str, Any] = dict(schema.get("properties", {}))
        required = list(schema.get("required", ()))
        undescribed = [name for name in required if name not in properties]
        if undescribed and "allOf" not in self.rules.keywords:
            raise Inexpressible(f"{path}: {undescribed[0]!r} is required and not described")
        if properties:
            result["properties"] = {}
        for name, below in properties.items():
            if self.rules.argument_name is not None and not path and not re.fullmatch(self.rules.argument_name, name):
                raise Inexpressible(f"{name!r} can't be the name of an argument")
            place = step(path, "properties", name)
            if name not in required and self.rules.all_required:
                result["properties"][name] = self._nullable(below, place, within)
            else:
                result["properties"][name] = self._node(below, place, within)
        if self.rules.all_required:
            result["required"] = list(properties)
        elif required:
            result["required"] = required
        self._other_properties(schema, path, within, result)
        if self.rules.properties_needed and path and not properties:
            raise Inexpressible(f"{path}: an object without named properties can't be said")

    def _other_properties(
        self, schema: Mapping[str, Any], path: str, within: tuple[str, ...], result: dict[str, Any]
    ) -> None:
        others = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        is_open = others not in (None, False) or "patternProperties" in schema
        if self.rules.closed:
            if is_open or (others is None and not schema.get("properties")):
                raise Inexpressible(f"{path}: a map with open keys can't be said")
            if others is None:
                self._lose(path, LossKind.REWRITTEN, "additionalProperties", "no keys but the named ones")
            result["additionalProperties"] = False
        elif others is None:
            return
        elif "additionalProperties" in self.rules.keywords:
            result["additionalProperties"] = (
                others if isinstance(others, bool) else self._node(others, step(path, "additionalProperties"), within)
            )
        elif is_open and schema.get("properties"):
            self._lose(path, LossKind.NARROWED, "additionalProperties", "no keys but the named ones")
        elif is_open:
            raise Inexpressible(f"{path}: a map with open keys can't be said")
        else:
            self._lose(path, LossKind.DROPPED, "additionalProperties", "unnamed keys are refused by the tool alone")

    def _nullable(self, schema: Any, path: str, within: tuple[str, ...]) -> dict[str, Any]:
        """Say an optional property as a required one that may be null."""
        schema = mapping(schema)
        if accepts(schema, "null", self.root.get("$defs", {})):
            if "default" not in schema:
                self._lose(
                    path, LossKind.NARROWED, "required", "null is a value of its own, so leaving it out can't be said"
                )
            elif schema["default"] is not None:
                self._lose(path, LossKind.REWRITTEN, "required", "required; its default can be sent in full")
            else:
                self._lose(path, LossKind.REWRITTEN, "required", "required; null, its default, can be sent")
            return self._node(schema, path, within)
        rendered = self._node(schema, path, within)
        self._lose(path, LossKind.NULLABLE, "required", "null for leaving it out")
        description = rendered.pop("description", None)
        branches = rendered["anyOf"] if rendered.keys() == {"anyOf"} else [rendered]
        nullable: dict[str, Any] = {"anyOf": [*branches, {"type": "null"}]}
        return nullable if description is None else {**nullable, "description": description}

    def _array(
        self, schema: Mapping[str, Any], path: str, within: tuple[str, ...], result: dict[str, Any], words: list[str]
    ) -> None:
        prefix = schema.get("prefixItems")
        items = schema.get("items")
        if prefix is not None and "prefixItems" in self.rules.keywords:
            result["prefixItems"] = [
                self._node(below, step(path, "prefixItems", index), within) for index, below in enumerate(prefix)
            ]
        elif prefix is not None:
            rest = [items] if items not in (None, False) else []
            said = [
                self._node(below, step(path, "prefixItems", index), within)
                for index, below in enumerate([*prefix, *rest])
            ]
            different = [below for index, below in enumerate(said) if below not in said[:index]]
            result["items"] = different[0] if len(different) == 1 else {"anyOf": different}
            words.append(sentence("prefixItems", ", ".join(kind_of(below) for below in said[: len(prefix)])))
            self._lose(path, LossKind.DESCRIBED, "prefixItems", "items of any of the types; their order in words")
            return
        if items is not None and items is not False:
            result["items"] = self._node(items, step(path, "items"), within)
        elif items is False and prefix is not None:
            result["items"] = False
        elif prefix is None and self.rules.typed:
            raise Inexpressible(f"{path}: items of any type can't be said")

    # Everything else

    def _constraint(
        self, keyword: str, value: Any, path: str, within: tuple[str, ...], result: dict[str, Any], words: list[str]
    ) -> None:
        if keyword in ("patternProperties", "unevaluatedProperties") and self.rules.closed:
            return  # seen to with the other properties
        if self.rules.takes(keyword, value):
            result[keyword] = self._kept(keyword, value, step(path, keyword), within)
        elif keyword in NOISE:
            self._lose(path, LossKind.DROPPED, keyword, "it constrains nothing")
        elif keyword == "uniqueItems" and not value:
            return
        else:
            if isinstance(value, Mapping) and references_in({keyword: value}):
                value = with_definitions(self.root, value)
            words.append(sentence(keyword, value))
            self._lose(path, LossKind.DESCRIBED, keyword, compact(value))

    def _kept(self, keyword: str, value: Any, path: str, within: tuple[str, ...]) -> Any:
        """The value of a keyword that may stand; the schemas in it are said like all others."""
        inner = dict(subschemas({keyword: value}))
        if (keyword,) in inner:
            return value if isinstance(value, bool) else self._node(value, path, within)
        said = {
            steps[-1]: below if isinstance(below, bool) else self._node(below, step(path, steps[-1]), within)
            for steps, below in inner.items()
        }
        return said or value
