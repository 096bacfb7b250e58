"""From signatures to schemas: every kind of type, and every kind of parameter."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import gc
import json
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, TypeVar, Union

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field
from typing_extensions import TypedDict, Unpack

from constellation_tools import InvalidArguments, Tool, ToolContext, ToolDefinitionError, UnresolvedAnnotation, tool
from constellation_tools.schema import accepts


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Node(BaseModel):
    """A node of a tree."""

    value: int
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    title: str


@dataclasses.dataclass
class Point:
    """Where.

    Attributes:
        x: To the right.
        y: Upwards.
    """

    x: float
    y: float = 0.0


@dataclasses.dataclass
class Undocumented:
    n: int


class Options(TypedDict):
    """Options.

    :param depth: How deep.
    """

    depth: int
    follow: NotRequired[bool]


class Pair(NamedTuple):
    left: int
    right: str


UserId = NewType("UserId", int)
Number = TypeVar("Number", bound=float)


class Box(BaseModel, Generic[Number]):
    content: Number


CASES: list[tuple[Any, dict[str, Any], Any, Any]] = [
    (int, {"type": "integer"}, "3", 3),
    (float, {"type": "number"}, 1, 1.0),
    (bool, {"type": "boolean"}, True, True),
    (str, {"type": "string"}, "[1]", "[1]"),
    (bytes, {"type": "string", "format": "binary"}, "ab", b"ab"),
    (None, {"type": "null"}, None, None),
    (Any, {}, {"a": [1]}, {"a": [1]}),
    (list, {"type": "array", "items": {}}, [1, "a"], [1, "a"]),
    (dict, {"type": "object", "additionalProperties": True}, {"a": 1}, {"a": 1}),
    (list[int], {"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
    (Sequence[int], {"type": "array", "items": {"type": "integer"}}, [1], [1]),
    (set[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1, 2], {1, 2}),
    (frozenset[int], {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}, [1], frozenset({1})),
    (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}, [1, 2], (1, 2)),
    (
        tuple[int, str],
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
        [1, "a"],
        (1, "a"),
    ),
    (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, '{"a": 1}', {"a": 1}),
    (Mapping[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}, {"a": "1"}, {"a": 1}),
    (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}, None, None),  # noqa: UP045
    (Union[int, str], {"anyOf": [{"type": "integer"}, {"type": "string"}]}, "a", "a"),  # noqa: UP007
    (list[int] | None, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}, "[1]", [1]),
    (list[int] | str, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "string"}]}, "[1]", "[1]"),
    (Literal["a", 2], {"enum": ["a", 2]}, 2, 2),
    (Colour, {"type": "string", "enum": ["red", "blue"]}, "red", Colour.RED),
    (Level, {"type": "integer", "enum": [1, 2]}, 2, Level.HIGH),
    (Annotated[int, Field(gt=0, description="How many.")], None, 3, 3),  # type: ignore[list-item]
    (dt.datetime, {"type": "string", "format": "date-time"}, "2020-01-02T03:04:05", dt.datetime(2020, 1, 2, 3, 4, 5)),  # noqa: DTZ001
    (dt.date, {"type": "string", "format": "date"}, "2020-01-02", dt.date(2020, 1, 2)),
    (dt.time, {"type": "string", "format": "time"}, "03:04", dt.time(3, 4)),
    (dt.timedelta, {"type": "string", "format": "duration"}, "PT1M", dt.timedelta(minutes=1)),
    (uuid.UUID, {"type": "string", "format": "uuid"}, str(uuid.UUID(int=1)), uuid.UUID(int=1)),
    (Path, {"type": "string", "format": "path"}, "a/b", Path("a/b")),
    (UserId, {"type": "integer"}, 3, 3),
    (Number, {"type": "number"}, 3, 3.0),
]


@pytest.mark.parametrize(("annotation", "schema", "given", "converted"), CASES, ids=lambda value: str(value)[:40])
def test_a_type_is_described_and_its_json_is_converted(
    annotation: Any, schema: Any, given: Any, converted: Any
) -> None:
    def function(value):  # type: ignore[no-untyped-def]
        return value

    function.__annotations__ = {"value": annotation}
    made = Tool.from_function(function)
    described = made.input_schema["properties"]["value"]
    if "$ref" in described:
        described = made.input_schema["$defs"][described["$ref"].rpartition("/")[2]]
    if schema is None:
        schema = {"type": "integer", "exclusiveMinimum": 0, "description": "How many."}
    assert described == schema
    assert made.input_schema["required"] == ["value"]
    assert made.input_schema["additionalProperties"] is False
    Draft202012Validator.check_schema(made.input_schema)
    value = made.validate({"value": given})["value"]
    assert value == converted
    assert type(value) is type(converted)


@pytest.mark.parametrize(
    ("annotation", "given", "converted"),
    [
        (Point, {"x": 1}, Point(1.0)),
        (Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
        (Options, {"depth": 2}, {"depth": 2}),
        (Pair, [1, "a"], Pair(1, "a")),
        (Box[float], {"content": 1}, Box[float](content=1.0)),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "dog", "title": "x"}, Dog(kind="dog", title="x")),
        (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_structure_is_converted_to_its_class(annotation: Any, given: Any, converted: Any) -> None:
    def function(value):  # type: ignore[no-untyped-def]
        return value

    function.__annotations__ = {"value": annotation}
    made = Tool.from_function(function)
    Draft202012Validator.check_schema(made.input_schema)
    Draft202012Validator(made.input_schema).validate({"value": given})
    assert made.validate({"value": given}) == {"value": converted}


def test_titles_are_left_out_but_not_a_property_of_that_name() -> None:
    @tool
    def rate(dog: Dog, title: str = "title") -> Node:
        """Rate."""
        raise NotImplementedError

    assert rate.input_schema["properties"]["title"] == {"type": "string", "default": "title"}
    assert rate.input_schema["$defs"]["Dog"]["properties"]["title"] == {"type": "string"}
    assert "title" not in rate.input_schema
    assert "title" not in rate.input_schema["$defs"]["Dog"]
    assert rate.output_schema is not None
    assert "title" not in rate.output_schema["$defs"]["Node"]


def test_fields_of_nested_types_are_described_by_their_docstrings() -> None:
    @tool
    def place(point: Point, options: Options, bare: Undocumented) -> None:
        """Place.

        Args:
            point: The place.
        """

    definitions = place.input_schema["$defs"]
    assert place.input_schema["properties"]["point"] == {"$ref": "#/$defs/Point", "description": "The place."}
    assert definitions["Point"]["description"] == "Where."
    assert definitions["Point"]["properties"]["x"]["description"] == "To the right."
    assert definitions["Options"]["properties"]["depth"]["description"] == "How deep."
    assert "description" not in definitions["Undocumented"]


def test_defaults_are_shown_and_left_to_the_function() -> None:
    marker = object()

    @tool
    def search(
        text: str,
        limit: int = 10,
        colour: Colour = Colour.RED,
        inside: Path = Path("."),
        hidden: Any = marker,
        ranked: Annotated[list[int], Field(min_length=1)] = [3],  # noqa: B006
        depth: int = Field(2, ge=1, description="How deep."),
    ) -> bool:
        return hidden is marker and depth == 2

    properties = search.input_schema["properties"]
    assert properties["limit"] == {"type": "integer", "default": 10}
    assert properties["colour"] == {"$ref": "#/$defs/Colour", "default": "red"}
    assert properties["inside"]["default"] == "."
    assert properties["hidden"] == {}
    assert properties["ranked"] == {"type": "array", "items": {"type": "integer"}, "minItems": 1, "default": [3]}
    assert properties["depth"] == {"type": "integer", "minimum": 1, "default": 2, "description": "How deep."}
    assert search.input_schema["required"] == ["text"]
    assert search.validate({"text": "a"}) == {"text": "a", "depth": 2}
    assert search.call_sync({"text": "a"}) is True


def test_a_parameters_own_description_wins_over_the_docstring() -> None:
    @tool
    def f(a: Annotated[int, Field(description="own")], b: int) -> None:
        """F.

        Args:
            a: from the docstring
            b: from the docstring
        """

    assert f.input_schema["properties"]["a"]["description"] == "own"
    assert f.input_schema["properties"]["b"]["description"] == "from the docstring"


def test_classes_local_to_a_function_are_found_also_where_they_refer_to_each_other() -> None:
    @dataclasses.dataclass
    class Leaf:
        n: int

    @dataclasses.dataclass
    class Branch:
        leaves: list[Leaf]
        below: Branch | None = None

    @tool
    def grow(branch: Branch, leaf: Leaf | None = None) -> list[Branch]:
        return [branch]

    assert grow.call_sync({"branch": {"leaves": [{"n": "1"}], "below": {"leaves": []}}}) == [
        {"leaves": [{"n": 1}], "below": {"leaves": [], "below": None}}
    ]
    assert grow.output_schema is not None
    assert grow.output_schema["$defs"]["Branch"]["properties"]["leaves"]["items"] == {"$ref": "#/$defs/Leaf"}


def test_a_name_that_is_defined_later_is_found_when_the_tool_is_used() -> None:
    @tool
    def late(item: Later) -> int:
        return item.n

    with pytest.raises(UnresolvedAnnotation, match=r"parameter 'item'.*'Later'.*not defined"):
        _ = late.input_schema

    @dataclasses.dataclass
    class Later:
        n: int

    assert late.call_sync({"item": {"n": 4}}) == 4


def test_a_name_missing_inside_a_type_or_in_the_result_is_named() -> None:
    @dataclasses.dataclass
    class Broken:
        part: Missing  # type: ignore[name-defined]  # noqa: F821

    @tool
    def f(broken: Broken) -> None: ...

    @tool
    def g() -> Gone: ...  # type: ignore[name-defined]  # noqa: F821

    @tool
    def h() -> Broken: ...

    with pytest.raises(UnresolvedAnnotation, match=r"'broken'.*'Missing'"):
        f.validate({})
    with pytest.raises(UnresolvedAnnotation, match=r"the result.*'Gone'"):
        _ = g.output_schema
    with pytest.raises(UnresolvedAnnotation, match=r"result.*'Missing'"):
        _ = h.output_schema


def test_every_kind_of_parameter_is_a_property_and_reaches_the_function() -> None:
    @tool
    def f(a: int, b: int = 2, /, c: int = 3, *rest: int, d: int, e: int = 5, **more: str) -> list[Any]:
        return [a, b, c, rest, d, e, more]

    assert f.input_schema["required"] == ["a", "d"]
    assert f.input_schema["properties"]["rest"] == {"type": "array", "items": {"type": "integer"}}
    assert f.input_schema["properties"]["more"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert f.call_sync({"a": 1, "d": 4}) == [1, 2, 3, [], 4, 5, {}]
    assert f.call_sync({"a": 1, "d": 4, "rest": [7, 8]}) == [1, 2, 3, [7, 8], 4, 5, {}]
    assert f.call_sync({"a": 1, "c": 9, "d": 4, "more": {"a": "x"}}) == [1, 2, 9, [], 4, 5, {"a": "x"}]
    with pytest.raises(InvalidArguments, match=r"more\.d: expected a name of its own"):
        f.validate({"a": 1, "d": 4, "more": {"d": "x"}})


def test_keyword_arguments_may_be_described_by_a_typed_dict() -> None:
    @tool
    def f(**options: Unpack[Options]) -> dict[str, Any]:
        return dict(options)

    assert f.call_sync({"options": {"depth": "1"}}) == {"depth": 1}
    with pytest.raises(InvalidArguments, match=r"options\.deep"):
        f.validate({"options": {"depth": 1, "deep": 2}})


def test_a_context_is_given_and_never_shown_wherever_it_stands() -> None:
    @tool
    def f(context: ToolContext, a: int, *rest: int, other: Annotated[ToolContext | None, "x"] = None) -> list[Any]:
        return [isinstance(context, ToolContext), context is other, a, rest]

    assert set(f.input_schema["properties"]) == {"a", "rest"}
    assert f.call_sync({"a": 1, "rest": [2]}) == [True, True, 1, [2]]
    with pytest.raises(InvalidArguments, match="context"):
        f.validate({"a": 1, "context": {}})

    def bad(*contexts: ToolContext) -> None: ...

    with pytest.raises(ToolDefinitionError, match="'contexts' must be an ordinary one"):
        tool(bad)


def test_values_fixed_by_a_partial_are_hidden() -> None:
    def search(key: str, text: str, limit: int) -> list[Any]:
        """Search."""
        return [key, text, limit]

    made = tool(functools.partial(functools.partial(search, "secret"), limit=3))
    assert (made.name, made.description) == ("search", "Search.")
    assert set(made.input_schema["properties"]) == {"text"}
    assert made.call_sync({"text": "a"}) == ["secret", "a", 3]


def test_methods_and_callable_objects_and_wrappers_are_tools() -> None:
    class Counter:
        """A counter."""

        def __init__(self) -> None:
            self.n = 0

        def __call__(self, by: int) -> int:
            """Count on."""
            self.n += by
            return self.n

        def add(self, by: int) -> int:
            """Add."""
            self.n += by
            return self.n

        @tool(timeout_s=3, idempotent=True)
        def plus(self, by: Step) -> int:
            """Plus."""
            return self.n + by.n

        @staticmethod
        @tool
        def double(n: int) -> int:
            return 2 * n

    @dataclasses.dataclass
    class Step:
        n: int

    @functools.wraps(Counter.add)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return Counter.add(Counter(), *args, **kwargs)

    counter = Counter()
    assert (tool(counter).name, tool(counter).description) == ("Counter", "Count on.")
    assert tool(counter).call_sync({"by": "2"}) == 2
    assert tool(counter.add).call_sync({"by": 3}) == 5
    assert (counter.plus.name, counter.plus.timeout_s, counter.plus.idempotent) == ("plus", 3, True)
    assert counter.plus.call_sync({"by": {"n": 1}}) == 6
    assert counter.double.call_sync({"n": 2}) == 4
    assert set(Counter.plus.input_schema["properties"]) == {"by"}
    with pytest.raises(TypeError, match="from an instance"):
        Counter.plus.call_sync({"by": {"n": 1}})


@pytest.mark.parametrize(
    ("schema", "kinds"),
    [
        ({}, {"string", "array", "object", "null"}),
        ({"type": ["array", "null"]}, {"array", "null"}),
        ({"const": "a"}, {"string"}),
        ({"enum": [[1], None]}, {"array", "null"}),
        ({"oneOf": [{"type": "string"}, {"$ref": "#/$defs/Tree"}]}, {"string", "array", "object"}),
        ({"allOf": [{"type": ["string", "array"]}, {"type": ["array", "object"]}]}, {"array"}),
        ({"$ref": "#/$defs/Tree"}, {"array", "object"}),
    ],
)
def test_which_json_types_a_schema_takes(schema: dict[str, Any], kinds: set[str]) -> None:
    tree = {"anyOf": [{"type": "array"}, {"$ref": "#/$defs/Tree"}, {"type": "object"}]}
    taken = {kind for kind in ("string", "array", "object", "null") if accepts(schema, kind, {"Tree": tree})}
    assert taken == kinds


def test_a_tool_does_not_keep_the_variables_of_the_function_around_it() -> None:
    class Heavy:
        pass

    def make() -> tuple[Any, weakref.ref[Heavy]]:
        heavy = Heavy()

        @tool
        def f(n: int) -> int:
            return n

        return f, weakref.ref(heavy)

    made, heavy = make()
    gc.collect()
    assert made.call_sync({"n": 1}) == 1
    assert heavy() is None


def test_a_name_that_the_closure_does_not_hold_yet_is_looked_up_later() -> None:
    @tool
    def f(item: Item) -> int:
        return item.n + len(Item.__name__)

    @dataclasses.dataclass
    class Item:
        n: int

    assert f.call_sync({"item": {"n": 1}}) == 5


class Opaque:
    pass


def opaque(ok: int, thing: Opaque) -> None: ...
def called_back(ok: int, then: Callable[[int], int]) -> None: ...
def not_a_type(ok: int, thing: 1 + 1) -> None: ...  # type: ignore[valid-type]
def fails_when_read(ok: int, thing: 1 / 0) -> None: ...  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("function", "named"),
    [(opaque, "'thing'"), (fails_when_read, "'thing'"), (called_back, "'then'"), (not_a_type, "'thing'")],
)
def test_a_parameter_that_cannot_be_described_is_named(function: Callable[..., Any], named: str) -> None:
    with pytest.raises(ToolDefinitionError, match=named):
        tool(function)


def test_what_is_not_a_function_with_a_signature_is_refused() -> None:
    with pytest.raises(ToolDefinitionError, match="signature"):
        tool(min)
    with pytest.raises(ToolDefinitionError, match="name"):
        tool(lambda: None)
    with pytest.raises(ToolDefinitionError, match="timeout"):
        tool(timeout_s=0)(opaque)
    with pytest.raises(ToolDefinitionError, match="write @classmethod above @tool"):

        class Kit:
            @tool  # type: ignore[arg-type]
            @classmethod
            def made(cls) -> None: ...


def test_a_result_of_any_type_is_accepted_and_described_where_possible() -> None:
    @tool
    def nothing() -> None: ...

    @tool
    def anything() -> Any: ...

    @tool
    def unsaid(): ...  # type: ignore[no-untyped-def]

    @tool
    def hidden() -> Opaque:
        return Opaque()

    assert nothing.output_schema == {"type": "null"}
    assert anything.output_schema is None
    assert unsaid.output_schema is None
    assert hidden.output_schema is None
    assert unsaid.input_schema["properties"] == {}


class Aliased(BaseModel):
    inner: int = Field(alias="outerName")


def test_results_have_the_names_that_their_schema_says() -> None:
    @tool
    def give() -> list[Aliased]:
        return [Aliased(outerName=1)]

    result = give.call_sync({})
    assert result == [{"outerName": 1}]
    assert give.output_schema is not None
    Draft202012Validator(give.output_schema).validate(result)


def test_infinities_are_never_in_schemas_and_null_in_results() -> None:
    @tool
    def give(
        most: float = float("inf"), least: Annotated[float, Field(default=float("-inf"))] = 0.0
    ) -> dict[str, float]:
        return {"most": most, "one": 1.5}

    @tool
    def number() -> float:
        return float("nan")

    assert "default" not in give.input_schema["properties"]["most"]
    json.dumps(give.input_schema, allow_nan=False)
    assert give.call_sync({}) == {"most": None, "one": 1.5}
    assert number.call_sync({}) is None


def test_a_class_as_a_tool_gives_its_objects() -> None:
    made = Tool.from_function(Cat)
    assert made.output_schema is not None
    Draft202012Validator(made.output_schema).validate(made.call_sync({"kind": "cat", "lives": 9}))


def test_a_dataclass_is_not_asked_for_what_it_makes_itself() -> None:
    @dataclasses.dataclass
    class Counted:
        start: int
        count: int = dataclasses.field(default=0, init=False)

    @tool
    def take(it: Counted) -> int:
        return it.start

    assert list(take.input_schema["$defs"]["Counted"]["properties"]) == ["start"]
