"""Writing a graph in Python: stars, lines, handles, and the builder of a batch."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    Approval,
    InvalidStar,
    Nested,
    Prompt,
    RetryPolicy,
    StarId,
    TaskConstellation,
    TaskStar,
    ToolCall,
    Trigger,
    UnknownStar,
)
from constellation.graph.documents import dump
from constellation.graph.star import slug


def count_words(path: str) -> int:
    return len(path.split())


def test_a_star_gets_all_that_is_said_of_it() -> None:
    graph = TaskConstellation("g")
    handle = graph.star(
        "count it",
        count_words,
        id="count",
        description="d",
        requires={"os": "linux", "gpu": 1},
        device="laptop",
        timeout_s=timedelta(minutes=1),
        retry=3,
        priority=2,
        idempotent=True,
        arguments={"id": "x"},
        path="a b",
    )
    assert graph[handle.id] == TaskStar(
        StarId("count"),
        ToolCall("count_words", {"id": "x", "path": "a b"}),
        name="count it",
        description="d",
        requires={"os": "linux", "gpu": 1},
        device="laptop",
        timeout_s=60.0,
        retry=RetryPolicy(max_attempts=3),
        priority=2,
        idempotent=True,
    )
    assert graph.functions == {"count_words": count_words}
    assert graph[handle.id].title == "count it"
    assert TaskStar(StarId("x"), ToolCall("t")).title == "x"


def test_ids_are_made_of_names_and_stay_apart() -> None:
    graph = TaskConstellation("g")
    assert [graph.star("Scan a/b.c", "t").id for _ in range(3)] == ["Scan-a-b.c", "Scan-a-b.c-2", "Scan-a-b.c-3"]
    assert (slug("…"), slug("é" * 200), slug("x" * 200)) == ("star", "star", "x" * 100)


def test_outputs_make_lines() -> None:
    graph = TaskConstellation("g")
    a, b = graph.star("a", "t"), graph.star("b", "t")
    graph.star("c", "t", after=[a, "a"], values={"x": [a.output, b.output["k"][0]]})
    assert graph["c"].work.arguments == {"values": {"x": [{"$ref": "a#"}, {"$ref": "b#/k/0"}]}}
    assert [line.source for line in graph.lines_into("c")] == ["a", "b"]


def test_any_work_may_be_given_with_arguments() -> None:
    graph, inner = TaskConstellation("g"), TaskConstellation("inner")
    inner.star("x", count_words, path="p")
    graph.star("a", Prompt("do", {"k": 1}), more=2)
    graph.star("b", Approval("ok?"))
    graph.star("c", inner, size=3)
    graph.star("d", ToolCall("t"), retry=RetryPolicy(2))
    assert graph["a"].work == Prompt("do", {"k": 1, "more": 2})
    assert graph["b"].work == Approval("ok?")
    assert graph["c"].work == Nested(dump(inner), {"size": 3})
    assert graph.functions == {"count_words": count_words}


def test_work_that_has_no_name_or_is_none_is_refused() -> None:
    graph = TaskConstellation("g")
    for nameless in (lambda: 1, partial(count_words, "a")):
        with pytest.raises(InvalidStar, match="has no name to call it by; give a function made by `def`, or a tool"):
            graph.star("a", nameless)
    with pytest.raises(InvalidStar, match="3 is no work for a star"):
        graph.star("a", 3)  # type: ignore[arg-type]


def test_two_functions_of_one_name_are_refused() -> None:
    graph = TaskConstellation("g")
    graph.star("a", count_words)

    def other() -> None: ...

    other.__name__ = "count_words"
    with pytest.raises(InvalidStar, match="two different functions are called 'count_words'"):
        graph.star("b", other)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"timeout_s": float("inf")}, "timeout_s is inf, and has to be over 0; or leave it out"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
        ({"requires": {"gpu": True}}, "requires.gpu is True; give text for a label or a number for a resource"),
        ({"requires": {"gpu": float("nan")}}, "requires.gpu is nan, and can't be an amount"),
        ({"timeout_s": 10**400}, "timeout_s is 10{400}, and has to be over 0"),
        ({"requires": {"gpu": 10**400}}, "requires.gpu is 10{400}, and can't be an amount"),
        ({"id": "a b"}, "'a b' can't be a star's id"),
    ],
)
def test_fields_that_make_no_sense_are_refused(fields: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidStar, match=problem):
        TaskConstellation("g").star("a", "t", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"max_attempts": 0}, "retry.max_attempts is 0"),
        ({"backoff_s": -1}, "retry.backoff_s is -1, and has to be 0 or more seconds"),
        ({"max_backoff_s": float("inf")}, "retry.max_backoff_s is inf"),
        ({"backoff_s": 10**400}, "retry.backoff_s is 10{400}, and has to be 0 or more seconds"),
        ({"factor": 0.5}, "retry.factor is 0.5, and has to be at least 1"),
        ({"jitter": 2}, "retry.jitter is 2, and has to be between 0 and 1"),
    ],
)
def test_a_retry_policy_that_makes_no_sense_is_refused(fields: dict[str, float], problem: str) -> None:
    with pytest.raises(InvalidStar, match=problem):
        RetryPolicy(**fields)  # type: ignore[arg-type]


def test_a_builder_collects_a_batch_against_the_version_it_has_seen() -> None:
    graph = TaskConstellation("g")
    a = graph.star("a", "t")
    b = graph.star("b", "t", after=[a])
    edit = graph.edit(author="ada", reason="why")
    assert not edit
    new, again = edit.star("a", "u"), edit.star("a", "u")
    assert (new.id, again.id) == ("a-2", "a-3")
    edit.line(new, b, "completion")
    edit.update(a, priority=3)
    edit.update_line(a, b, when="output")
    assert edit
    batch = edit.build(reason="because")
    assert (batch.base_version, batch.author, batch.reason, edit.build().reason) == (2, "ada", "because", "why")
    graph.apply(batch)
    assert graph["a"].priority == 3
    assert {line.source: line.trigger for line in graph.lines_into("b")} == {
        "a": Trigger.WHEN,
        "a-2": Trigger.COMPLETION,
    }
    second = graph.edit()
    second.remove_line(a, b)
    second.remove(again)
    graph.apply(second.build())
    assert list(graph) == ["a", "b", "a-2"]
    with pytest.raises(UnknownStar):
        second.update("nobody", priority=1)


def test_operations_tell_what_they_do() -> None:
    graph = TaskConstellation("g")
    edit = graph.edit()
    edit.line(edit.star("a", "t"), edit.star("b", "t"))
    first, _, last = edit.build().operations
    assert isinstance(first, AddStar)
    assert isinstance(last, AddLine)
    assert (str(first), str(last)) == ("add star 'a'", "add line 'a' → 'b'")
