"""Types that pydantic takes in another way than Python means them, or not at all."""

from __future__ import annotations

import enum
import typing
from collections.abc import Collection, Container, Iterable, Reversible
from dataclasses import dataclass
from typing import Annotated, Any, LiteralString, NotRequired, Optional, Required, Union

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel, Field
from typing_extensions import Doc, Unpack

from constellation_tools import InvalidArguments, Tool, ToolDefinitionError, tool


def tool_of(annotation: Any) -> Tool[..., Any]:
    """A tool of one parameter, `v`."""

    def function(v):  # type: ignore[no-untyped-def]
        return v

    function.__annotations__ = {"v": annotation}
    return Tool.from_function(function)


def described(annotation: Any) -> Any:
    schema = tool_of(annotation).input_schema
    Draft202012Validator.check_schema(schema)
    found = schema["properties"]["v"]
    return schema["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def converted(annotation: Any, value: Any) -> Any:
    return tool_of(annotation).validate({"v": value})["v"]


INTEGERS = {"type": "array", "items": {"type": "integer"}}


@pytest.mark.parametrize(
    "annotation", [Iterable[int], Collection[int], Container[int], Reversible[int], typing.Iterable[int]]
)
def test_an_iterable_is_a_list_that_is_checked_before_the_call(annotation: Any) -> None:
    assert described(annotation) == INTEGERS
    assert converted(annotation, ["1", 2]) == [1, 2]
    with pytest.raises(InvalidArguments, match=r"v\[1\]: expected a valid integer"):
        converted(annotation, [1, "x"])


def test_iterables_are_lists_wherever_they_stand_in_an_annotation() -> None:
    assert converted(Iterable, [1, "a"]) == [1, "a"]
    assert converted(Optional[Iterable[int]], [1]) == [1]  # noqa: UP045
    assert converted(Iterable[int] | None, None) is None
    assert converted(dict[str, Iterable[Iterable[int]]], {"a": [["1"]]}) == {"a": [[1]]}
    assert converted(Annotated[Iterable[int], Field(min_length=1)], [1]) == [1]
    assert described(Annotated[Iterable[int], Field(min_length=1)]) == {**INTEGERS, "minItems": 1}
    assert converted(Union[Iterable[int], str], "ab") == "ab"  # noqa: UP007


def test_text_that_is_literal_for_type_checkers_is_text() -> None:
    assert described(LiteralString) == {"type": "string"}


class Permission(enum.Flag):
    READ = 1
    WRITE = 2
    RUN = 8


class Open(enum.IntFlag):
    READ = 1
    WRITE = 2


class Documented(enum.IntFlag, boundary=enum.STRICT):
    """What may be done."""

    READ = 1


def test_flags_are_sums_of_their_members() -> None:
    assert described(Permission) == {
        "type": "integer",
        "minimum": 0,
        "maximum": 11,
        "description": "A sum of: 1 READ, 2 WRITE, 8 RUN.",
    }
    assert converted(Permission, 9) == Permission.READ | Permission.RUN
    with pytest.raises(InvalidArguments):
        converted(Permission, 4)
    assert described(Open) == {"type": "integer", "description": "A sum of: 1 READ, 2 WRITE."}
    assert described(Documented)["description"] == "What may be done."  # its own words win


class ByTuple(enum.Enum):
    A = (1, 2)


def test_enums_whose_values_json_does_not_have_are_refused_by_name() -> None:
    with pytest.raises(ToolDefinitionError, match=r"parameter 'v' .*the value of ByTuple\.A is no JSON scalar"):
        tool_of(ByTuple)
    with pytest.raises(ToolDefinitionError, match="parameter 'v'"):
        tool_of(list[ByTuple])


def test_a_class_as_a_value_is_refused_by_name() -> None:
    with pytest.raises(ToolDefinitionError, match=r"parameter 'v' .*a subclass of int"):
        tool_of(type[int])


def test_words_beside_a_type_describe_the_parameter() -> None:
    @tool
    def f(
        a: Annotated[int, "plain words"],
        b: Annotated[int, Doc("a doc")],
        c: Annotated[int, "loses", Field(description="wins")],
        d: Annotated[Annotated[int, Field(gt=0)], "nested"],
        e: Annotated[int, Field(gt=1)],
    ) -> None:
        """F.

        Args:
            a: from the docstring
            e: from the docstring
        """

    properties = f.input_schema["properties"]
    assert [properties[name]["description"] for name in "abcde"] == [
        "plain words",
        "a doc",
        "wins",
        "nested",
        "from the docstring",
    ]
    assert properties["d"]["exclusiveMinimum"] == 0


class Half(typing.TypedDict, total=False):
    """Options.

    Attributes:
        depth: How deep.
    """

    depth: Required[int]
    marks: Iterable[int]


class Whole(Half):
    label: NotRequired[str]
    size: int


def test_the_standard_librarys_typed_dicts_are_described_with_what_they_require() -> None:
    assert described(Whole)["required"] == ["depth", "size"]
    assert described(Half)["required"] == ["depth"]
    assert described(Half)["description"] == "Options."
    assert described(Half)["properties"]["depth"] == {"type": "integer", "description": "How deep."}
    assert converted(list[Whole], [{"depth": "1", "size": 2, "marks": ["3"]}]) == [
        {"depth": 1, "size": 2, "marks": [3]}
    ]


def test_any_number_of_values_may_be_of_fixed_types() -> None:
    def pair(*values: *tuple[int, str]) -> list[Any]:
        return list(values)

    def unpacked(*values: Unpack[tuple[int, str]]) -> list[Any]:  # noqa: UP044 - the older way to say the same
        return list(values)

    for function in (pair, unpacked):
        made = Tool.from_function(function)
        assert made.input_schema["properties"]["values"]["prefixItems"] == [{"type": "integer"}, {"type": "string"}]
        assert made.input_schema["required"] == ["values"]
        assert made.call_sync({"values": ["1", "a"]}) == [1, "a"]
        with pytest.raises(InvalidArguments):
            made.validate({"values": [1]})


@dataclass
class Holder:
    permission: Permission
    when: ByTuple | None = None


class Model(BaseModel):
    permission: Permission = Permission.READ


def test_fields_of_classes_are_held_to_the_same() -> None:
    assert tool_of(Model).input_schema["$defs"]["Permission"]["maximum"] == 11
    assert tool_of(Model).input_schema["$defs"]["Model"]["properties"]["permission"]["default"] == 1
    with pytest.raises(ToolDefinitionError, match=r"ByTuple\.A"):
        tool_of(Holder)


class Tree(typing.TypedDict, total=False):
    value: Required[int]
    children: NotRequired[list[Tree]]


def test_a_typed_dict_may_refer_to_itself() -> None:
    tree = {"value": 1, "children": [{"value": 2}]}
    assert converted(Tree, tree) == tree
    with pytest.raises(InvalidArguments, match=r"children\[0\].value"):
        converted(Tree, {"value": 1, "children": [{}]})
    assert described(Tree)["properties"]["children"] == {"type": "array", "items": {"$ref": "#/$defs/Tree"}}


class Size(enum.Enum):
    SMALL = 1
    LARGE = "large"


@pytest.mark.parametrize(
    ("given", "member"), [(1, Size.SMALL), ("large", Size.LARGE), (Size.SMALL, Size.SMALL), ("none", "none")]
)
def test_a_literal_of_enum_members_takes_their_values(given: Any, member: Any) -> None:
    assert converted(typing.Literal[Size.SMALL, Size.LARGE, "none"], given) is member


@pytest.mark.parametrize("given", [2, True, "1", None])
def test_a_literal_of_enum_members_takes_no_other_values(given: Any) -> None:
    with pytest.raises(InvalidArguments):
        converted(typing.Literal[Size.SMALL, Size.LARGE], given)


@pytest.mark.parametrize("annotation", [[int], typing.Final[int], Annotated[int, Field(gt="a")]])  # type: ignore[arg-type]
def test_what_is_no_type_is_refused_with_the_parameters_name(annotation: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="parameter 'v'"):
        tool_of(annotation)


def test_a_parameter_may_have_an_alias() -> None:
    made = tool_of(Annotated[int, Field(alias="value"), "how many"])
    assert made.input_schema["properties"] == {"value": {"type": "integer", "description": "how many"}}
    assert made.call_sync({"value": 3}) == 3
    with pytest.raises(InvalidArguments, match="did you mean 'value'"):
        made.call_sync({"valu": 3})
