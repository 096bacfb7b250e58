"""`constellation bench tools`: our own tools are right in every case, the scoring bites, and the command tells all."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from constellation.cli import main
from constellation_bench.tools import subjects
from constellation_bench.tools.case import Case, Spec, got, same
from constellation_bench.tools.cases import CASES
from constellation_bench.tools.libraries import constellation as ours
from constellation_bench.tools.libraries import pydantic_alone
from constellation_bench.tools.score import scored
from constellation_bench.tools.subjects import SUBJECTS, Subject

pytestmark = pytest.mark.anyio

Out = pytest.CaptureFixture[str]


def test_there_are_cases_enough_and_no_two_of_one_name() -> None:
    assert len(CASES) >= 60
    assert max(Counter((case.group, case.name) for case in CASES).values()) == 1
    assert Counter(case.group for case in CASES).keys() == {
        "scalars",
        "containers",
        "structures",
        "callables",
        "descriptions",
        "calls",
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}: {case.name}")
async def test_our_own_tools_are_all_right_in_every_case(case: Case) -> None:
    score = await scored(ours, case)
    assert (score.schema_exact, score.all_right, score.wrong) == (True, True, "")


class Careless(SimpleNamespace):
    """A library that takes everything and checks nothing."""

    context = None

    def make(self, function: Callable[..., Any]) -> Any:
        return function

    def schema(self, made: Any) -> Mapping[str, Any]:
        return {"type": "object", "properties": {"n": {}}}

    def description(self, made: Any) -> str:
        return ""

    async def call(self, made: Any, arguments: dict[str, Any]) -> Any:
        return made(**arguments)


def sample(**facts: Any) -> Case:
    """A case of one integer."""

    def f(n: int) -> None:
        got(n)

    return Case("sample", "sample", lambda library: Spec(function=f, **facts))


@pytest.mark.parametrize(
    ("facts", "exact", "wrong"),
    [
        ({"good": [({"n": 1}, (1,))]}, True, ""),
        ({"good": [({"n": "1"}, (1,))]}, True, "{'n': '1'} reached the function as ('1',)"),
        ({"good": [({"n": True}, (1,))]}, True, "{'n': True} reached the function as (True,)"),
        ({"good": [({"m": 1}, (1,))]}, True, "{'m': 1} did not reach the function: TypeError"),
        ({"bad": [{"n": "x"}]}, False, "the schema accepts {'n': 'x'}"),
        ({"unsaid": [{"n": "x"}]}, True, "{'n': 'x'} reached the function as ('x',)"),
        ({"lenient": [({"n": "[1]"}, ([1],))]}, True, "{'n': '[1]'} reached the function as ('[1]',)"),
        ({"names": ("n", "m")}, False, "the schema lacks m"),
        ({"says": {"n": {"minimum": 1}}}, False, "the schema does not say {'minimum': 1} of n"),
        ({"description": "Words."}, False, "the description is ''"),
        ({"refused": "n"}, False, "took the parameter 'n' that can't be described"),
    ],
    ids=str,
)
async def test_what_is_wrong_with_a_careless_library_is_found(facts: dict[str, Any], exact: bool, wrong: str) -> None:
    score = await scored(Careless(), sample(**facts))
    assert score.schema_exact is exact
    assert score.all_right is (wrong == "")
    assert score.wrong.startswith(wrong)


async def test_schemas_with_too_much_or_that_reject_what_fits_are_not_exact() -> None:
    class Closed(Careless):
        def schema(self, made: Any) -> Mapping[str, Any]:
            return {"type": "object", "properties": {"n": {"type": "string"}, "extra": {}}}

    assert (await scored(Closed(), sample())).wrong == "the schema has extra too much"
    score = await scored(Closed(), sample(good=[({"n": 1}, (1,))]))
    assert score.schema_exact is False

    class Fails(Careless):
        def make(self, function: Callable[..., Any]) -> Any:
            raise ValueError("can't take 'm'")

    assert (await scored(Fails(), sample())).wrong == "refused: ValueError: can't take 'm'"
    unnamed = await scored(Fails(), sample(refused="n"))
    assert (unnamed.schema_exact, unnamed.all_right) == (True, False)
    assert (await scored(Fails(), sample(refused="m"))).all_right


async def test_facts_are_found_by_reference_and_among_alternatives() -> None:
    class Nested(Careless):
        def schema(self, made: Any) -> Mapping[str, Any]:
            field = {"x": {"description": "To  the\nright."}}
            return {
                "type": "object",
                "properties": {"n": {"anyOf": [{"$ref": "#/$defs/P"}, {"type": "null"}], "default": None}},
                "$defs": {"P": {"type": "object", "properties": field}},
            }

    said = {"n": {"properties": {"x": {"description": "To the right."}}, "default": None}}
    assert (await scored(Nested(), sample(says=said))).schema_exact
    assert not (
        await scored(Nested(), sample(says={"n": {"properties": {"y": {}, "x": {"type": "integer"}}}}))
    ).schema_exact


def test_pydantic_alone_is_not_right_everywhere_so_that_the_cases_tell_something_apart() -> None:
    assert pydantic_alone.context is None
    assert same([1, {"a": (1,)}], [1, {"a": (1,)}])
    for left, right in (([1], [1.0]), ((1,), [1]), ({"a": 1}, {"a": True}), ([1], [1, 2])):
        assert not same(left, right)


@pytest.mark.e2e
@pytest.mark.usefixtures("home")
class TestCommand:
    def told(self, out: Out, *arguments: str) -> dict[str, Any]:
        assert main(["bench", "tools", *arguments, "--json"]) == 0
        shown: dict[str, Any] = json.loads(out.readouterr().out)
        return shown

    def test_figures_and_ratios_are_told_as_json(self, capsys: Out) -> None:
        shown = self.told(capsys, "--library", "pydantic-alone", "--repeats", "1")
        mine, alone = shown["libraries"]
        assert (mine["name"], alone["name"]) == ("constellation", "pydantic-alone")
        assert mine["cases"] == mine["schema_exact"] == mine["all_right"] == len(CASES)
        assert mine["wrong"] == []
        assert alone["all_right"] < alone["schema_exact"] < len(CASES)
        assert len(alone["wrong"]) == len(CASES) - alone["all_right"]
        for figures in (mine, alone):
            assert all(figures[cost] > 0 for cost in ("schema_ms", "async_call_us", "sync_call_us"))
        assert shown["ratios"].keys() == {
            "async_call_to_pydantic_alone",
            "sync_call_over_pydantic_alone_us",
            "schema_to_pydantic_alone",
        }
        assert (shown["skipped"], shown["failed"]) == ([], [])

    def test_people_get_a_table_and_what_is_wrong_when_they_ask(self, capsys: Out) -> None:
        assert main(["bench", "tools", "--library", "pydantic-alone", "--repeats", "1", "--wrong"]) == 0
        out, err = capsys.readouterr()
        rows = [line for line in out.splitlines() if line.startswith(("constellation ", "pydantic-alone "))]
        assert len(rows) == 2
        assert rows[0].split()[:4] == ["constellation", *[str(len(CASES))] * 3]
        assert "constellation: 0 wrong" in out
        assert "  scalars, flags that are combined: the schema rejects {'may': 3}" in out
        assert err.splitlines() == ["round 1 of 1: constellation", "round 1 of 1: pydantic-alone"]

    def test_libraries_that_are_not_installed_or_fail_are_told(
        self, capsys: Out, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(subjects, "is_installed", lambda package: package != "fastmcp")
        monkeypatch.setitem(SUBJECTS, "broken", Subject("broken", "has no module"))  # type: ignore[misc]
        shown = self.told(capsys, "--library", "fastmcp", "--library", "broken", "--repeats", "2")
        assert [each["name"] for each in shown["libraries"]] == ["constellation"]
        assert shown["skipped"][0]["reason"].startswith("fastmcp not installed: pip install")
        assert "No module named 'constellation_bench.tools.libraries.broken'" in shown["failed"][0]["reason"]

    def test_our_own_tools_failing_ends_it(self, capsys: Out) -> None:
        assert main(["bench", "tools", "--library", "constellation", "--timeout", "1"]) == 1
        assert "error: the measurement took longer than 1 s" in capsys.readouterr().err

    def test_a_library_that_nobody_knows_is_refused(self, capsys: Out) -> None:
        assert main(["bench", "tools", "--library", "smolagents"]) == 2
        assert "--library 'smolagents' is none of constellation, pydantic-alone" in capsys.readouterr().err

    @pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS)
    def test_each_peer_that_is_installed_is_measured(self, subject: Subject, capsys: Out) -> None:
        if (reason := subject.missing()) is not None:
            pytest.skip(reason)
        shown = self.told(capsys, "--library", subject.name, "--repeats", "1")
        assert shown["failed"] == []
        assert {each["name"] for each in shown["libraries"]} == {"constellation", subject.name}
