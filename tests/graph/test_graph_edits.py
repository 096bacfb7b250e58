"""Edits: what is refused and why, what a refusal leaves behind, undo, and batches against older versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from constellation.graph import (
    AddLine,
    AddStar,
    CycleRejected,
    EditBatch,
    EditConflict,
    EditRejected,
    Operation,
    Outcome,
    RemoveLine,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateLine,
    UpdateStar,
    batches,
)
from constellation.graph.documents import dump
from constellation.graph.invariants import check_invariants
from constellation.graph.order import PlainOrder


def star(name: str, **references: str) -> TaskStar:
    return TaskStar(StarId(name), ToolCall("t", {key: {"$ref": value} for key, value in references.items()}))


def line(source: str, target: str, trigger: Trigger = Trigger.SUCCESS) -> TaskStarLine:
    return TaskStarLine(StarId(source), StarId(target), trigger)


def unline(source: str, target: str) -> RemoveLine:
    return RemoveLine(StarId(source), StarId(target))


def chain(*names: str) -> TaskConstellation:
    graph = TaskConstellation("chain")
    for index, name in enumerate(names):
        graph.star(name, "t", after=names[index - 1 : index] if index else ())
    return graph


def end(graph: TaskConstellation, name: str, state: StarState = StarState.SUCCEEDED) -> None:
    graph.enter(StarId(name), StarState.RUNNING)
    graph.settle(StarId(name), state, Outcome())


@pytest.mark.parametrize(
    ("operations", "expected"),
    [
        ([AddStar(star("a"))], "operation 0 (add star 'a'): there is a star 'a' already; give the new one another id"),
        ([UpdateStar(star("aa"))], "operation 0 (update star 'aa'): there is no star 'aa'; did you mean 'a'?"),
        ([RemoveStar(StarId("q"))], "operation 0 (remove star 'q'): there is no star 'q'"),
        ([AddLine(line("a", "b"))], "operation 0 (add line 'a' → 'b'): line 'a' → 'b' is there already; update it"),
        ([AddLine(line("a", "q"))], "operation 0 (add line 'a' → 'q'): there is no star 'q'"),
        ([UpdateLine(line("a", "c"))], "operation 0 (update line 'a' → 'c'): there is no line 'a' → 'c'"),
        ([unline("a", "c")], "operation 0 (remove line 'a' → 'c'): there is no line 'a' → 'c'"),
        (
            [AddStar(star("x")), AddLine(line("c", "a"))],
            "operation 1 (add line 'c' → 'a'): this would close a cycle: a → b → c → a; remove one of these lines",
        ),
        ([AddStar(star("x", v="x"))], "operation 0 (add star 'x'): star 'x': the reference at v names the star itself"),
        ([AddStar(star("x", v="q"))], "operation 0 (add star 'x'): star 'x': the reference at v names 'q', and there"),
        (
            [UpdateStar(star("a", v="c#/x"))],
            "operation 0 (update star 'a'): star 'a': the reference at v names 'c', which is not upstream but "
            "downstream of it (a → b → c): that would close a cycle; refer to a star that runs before it",
        ),
        (
            [UpdateStar(star("b", v="a")), unline("a", "b")],
            "operation 1 (remove line 'a' → 'b'): star 'b': the reference at v needs the line from 'a'; update",
        ),
        (
            [UpdateStar(star("b", v="a")), UpdateLine(line("a", "b", Trigger.FAILURE))],
            "operation 1 (update line 'a' → 'b'): star 'b': the reference at v needs the output of 'a', but the line",
        ),
        (
            [UpdateStar(star("b", v="a")), RemoveStar(StarId("a"))],
            "operation 1 (remove star 'a'): star 'b': the reference at v names 'a', and there is no such star; "
            "add it, or refer to one that is there",
        ),
        (
            [AddStar(TaskStar(StarId("x"), ToolCall("t", {"v": {"$ref": "a", "b": 1}})))],
            "operation 0 (add star 'x'): star 'x': the reference at v has other keys beside '$ref'; remove them",
        ),
    ],
)
def test_a_refusal_names_the_operation_and_the_reason(operations: list[Operation], expected: str) -> None:
    graph = chain("a", "b", "c")
    before = dump(graph)
    with pytest.raises(EditRejected) as caught:
        graph.apply(EditBatch(tuple(operations)))
    assert str(caught.value).startswith(expected)
    assert dump(graph) == before
    check_invariants(graph)


def test_a_cycle_names_its_stars() -> None:
    with pytest.raises(CycleRejected) as caught:
        chain("a", "b", "c", "d").line("c", "b")
    assert caught.value.cycle == ("b", "c")


def test_a_cycle_through_references_names_its_stars_too() -> None:
    with pytest.raises(CycleRejected) as caught:
        chain("a", "b").apply(EditBatch((UpdateStar(star("a", v="b")),)))
    assert caught.value.cycle == ("a", "b")
    assert (caught.value.star, caught.value.path) == ("a", ("v",))


def test_what_has_been_dispatched_is_not_edited() -> None:
    graph = chain("a", "b")
    graph.star("c", "t")
    graph.activate()
    graph.enter(StarId("a"), StarState.ASSIGNED)
    for operation in (
        UpdateStar(star("a")),
        AddLine(line("c", "a")),
    ):
        with pytest.raises(EditRejected, match=r"star 'a' has been dispatched \(assigned\), so neither it nor"):
            graph.apply(EditBatch((operation,)))


def test_removing_a_star_in_flight_asks_for_its_cancellation_and_keeps_it() -> None:
    graph = chain("a", "b")
    graph.activate()
    graph.enter(StarId("a"), StarState.RUNNING)
    applied = graph.apply(EditBatch((RemoveStar(StarId("a")),)))
    assert (applied.cancels, applied.removed) == (("a",), ())
    assert graph.state("a") is StarState.RUNNING


def test_the_record_of_a_star_that_has_ended_stays() -> None:
    graph = chain("a", "b")
    graph.activate()
    end(graph, "a")
    with pytest.raises(EditRejected, match="star 'a' has succeeded already; its record stays"):
        graph.apply(EditBatch((RemoveStar(StarId("a")),)))


def test_a_star_that_an_ended_one_waited_for_stays() -> None:
    graph = TaskConstellation("g")
    a, b, c = graph.star("a", "t"), graph.star("b", "t"), graph.star("c", "t")
    graph.line(a, c)
    graph.line(b, c)
    graph.activate()
    end(graph, "a", StarState.FAILED)
    assert graph.state("c") is StarState.SKIPPED
    with pytest.raises(EditRejected, match="star 'c' waits for it and has been skipped already"):
        graph.apply(EditBatch((RemoveStar(b.id),)))


def test_a_ready_star_waits_again_when_it_gets_a_line() -> None:
    graph = chain("a")
    graph.star("b", "t")
    graph.activate()
    applied = graph.apply(EditBatch((AddLine(line("a", "b")),)))
    assert applied.changes.unready == ["b"]
    assert graph.state("b") is StarState.PENDING
    assert graph.apply(applied.inverse).changes.ready == ["b"]


def test_a_line_from_a_star_that_has_ended_is_decided_at_once() -> None:
    graph = chain("a")
    graph.activate()
    end(graph, "a", StarState.FAILED)
    added = graph.apply(
        EditBatch(
            (
                AddStar(star("x")),
                AddStar(star("y")),
                AddLine(line("a", "x", Trigger.FAILURE)),
                AddLine(line("a", "y")),
            )
        )
    )
    assert (added.changes.ready, added.changes.settled) == (["x"], ["y"])


def test_a_ready_star_is_skipped_when_its_line_is_changed_to_one_that_can_not_be_met() -> None:
    graph = chain("a", "b")
    graph.activate()
    end(graph, "a")
    changes = graph.apply(EditBatch((UpdateLine(line("a", "b", Trigger.FAILURE)),))).changes
    assert (changes.unready, changes.settled) == (["b"], ["b"])
    assert graph.state("b") is StarState.SKIPPED


def test_a_star_that_is_removed_while_ready_is_no_longer_ready() -> None:
    graph = chain("a")
    graph.activate()
    applied = graph.apply(EditBatch((RemoveStar(StarId("a")),)))
    assert (applied.removed, applied.changes.unready) == (("a",), ["a"])


def test_what_a_batch_adds_and_removes_again_is_neither() -> None:
    graph = chain("a")
    applied = graph.apply(EditBatch((AddStar(star("x")), RemoveStar(StarId("x")))))
    assert (applied.added, applied.removed, list(graph)) == ((), (), ["a"])


def test_a_star_may_be_replaced_in_one_batch() -> None:
    graph = chain("a", "b")
    graph.apply(EditBatch((UpdateStar(star("b", v="a")),)))
    applied = graph.apply(EditBatch((RemoveStar(StarId("a")), AddStar(TaskStar(StarId("a"), ToolCall("new"))))))
    assert graph.lines == [line("a", "b")]
    assert graph.waiting_for("b") == ["a"]
    graph.apply(applied.inverse)
    assert graph["a"].work == ToolCall("t")
    check_invariants(graph)


def test_a_refused_batch_puts_removed_things_back_at_their_places() -> None:
    graph = chain("a", "b", "c", "d")
    graph.line("a", "c")
    graph.line("a", "d")
    before = dump(graph), list(graph), graph.lines, graph.in_order(), graph.lines_into("d")
    with pytest.raises(CycleRejected):
        graph.apply(
            EditBatch(
                (
                    unline("a", "b"),
                    unline("b", "c"),
                    RemoveStar(StarId("c")),
                    AddLine(line("d", "b")),
                    AddLine(line("b", "a")),
                    AddLine(line("a", "b")),
                )
            )
        )
    assert (dump(graph), list(graph), graph.lines, graph.in_order(), graph.lines_into("d")) == before
    check_invariants(graph)
    with pytest.raises(CycleRejected):
        graph.line("d", "a")


def test_a_batch_that_breaks_off_for_any_reason_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = chain("a")
    seen: list[Any] = []

    def interrupted(arguments: Any) -> tuple[Any, ...]:
        seen.append(arguments)
        if len(seen) == 2:
            raise MemoryError
        return ()

    before = dump(graph)
    batch = EditBatch((AddStar(star("x")), AddStar(star("y"))))
    monkeypatch.setattr(batches, "find_references", interrupted)
    with pytest.raises(MemoryError):
        graph.apply(batch)
    assert dump(graph) == before


def test_a_star_that_there_is_no_room_for_leaves_no_trace() -> None:
    class Full(PlainOrder):
        def append(self, serial: int) -> int:
            if serial > 1:
                raise MemoryError
            return super().append(serial)

    graph = TaskConstellation("full")
    graph._order = Full()  # type: ignore[assignment]
    graph.star("a", "t")
    before = dump(graph)
    with pytest.raises(MemoryError):
        graph.apply(EditBatch((AddStar(star("b")), AddStar(star("c")), AddLine(line("a", "c")))))
    assert dump(graph) == before
    check_invariants(graph)


def test_undo_restores_what_was_removed_with_its_lines_and_triggers() -> None:
    graph = chain("a", "b", "c")
    graph.apply(EditBatch((UpdateLine(line("b", "c", Trigger.COMPLETION)),)))
    before = set(graph.lines)
    applied = graph.apply(EditBatch((RemoveStar(StarId("b")),), author="ada", reason="slow"))
    assert graph.lines == []
    assert (applied.inverse.author, applied.inverse.reason) == ("ada", "undo: slow")
    redo = graph.apply(applied.inverse).inverse
    assert set(graph.lines) == before
    graph.apply(redo)
    assert graph.lines == []


def test_undo_takes_back_the_lines_that_references_brought() -> None:
    graph = chain("a")
    applied = graph.apply(EditBatch((AddStar(star("x", v="a#/k")),)))
    assert graph.lines == [line("a", "x")]
    graph.apply(applied.inverse)
    assert (list(graph), graph.lines) == (["a"], [])


def test_an_older_batch_is_accepted_when_it_touches_nothing_that_has_changed() -> None:
    graph = chain("a", "b")
    seen = graph.version
    graph.apply(EditBatch((UpdateStar(star("a")),)))
    assert graph.apply(EditBatch((UpdateStar(star("b")),), base_version=seen)).version == seen + 2


@pytest.mark.parametrize(
    "operation",
    [UpdateStar(star("b")), RemoveStar(StarId("b")), UpdateLine(line("a", "b")), unline("a", "b"), AddStar(star("b"))],
)
def test_an_older_batch_is_refused_when_it_touches_what_has_changed(operation: Operation) -> None:
    graph = chain("a", "b")
    seen = graph.version
    graph.apply(EditBatch((UpdateStar(star("b")),)))
    with pytest.raises(EditConflict, match=f"made against version {seen}, but the graph is at {seen + 1}") as caught:
        graph.apply(EditBatch((operation,), base_version=seen))
    assert caught.value.stars == ("b",)


def test_a_batch_from_the_future_is_refused() -> None:
    with pytest.raises(EditRejected, match="made against version 9, but the graph is only at 1"):
        chain("a").apply(EditBatch((RemoveStar(StarId("a")),), base_version=9))


def test_a_refused_batch_puts_a_replaced_star_back_at_its_place() -> None:
    graph = chain("a", "b", "c")
    graph.line("a", "c")
    before = (dump(graph), list(graph), graph.in_order(), graph.lines_into("c"))
    swap = (RemoveStar(StarId("b")), AddStar(star("b", v="c")), RemoveStar(StarId("b")), AddStar(star("b")))
    with pytest.raises(EditRejected, match="there is no star 'nobody'"):
        graph.apply(EditBatch((*swap, AddLine(line("b", "nobody")))))
    assert (dump(graph), list(graph), graph.in_order(), graph.lines_into("c")) == before
    check_invariants(graph)


def test_a_refused_batch_leaves_an_order_that_the_lines_it_removed_still_fit() -> None:
    graph = chain("a", "b", "c")
    with pytest.raises(EditRejected):
        graph.apply(
            EditBatch((unline("a", "b"), unline("b", "c"), AddLine(line("c", "a")), AddLine(line("c", "nobody"))))
        )
    check_invariants(graph)
    with pytest.raises(CycleRejected):
        graph.line("c", "a")


def test_a_star_that_the_batch_has_removed_is_not_suggested() -> None:
    graph = chain("left", "right")
    with pytest.raises(EditRejected) as caught:
        graph.apply(EditBatch((RemoveStar(StarId("left")), RemoveStar(StarId("lefty")))))
    assert caught.value.reason == "there is no star 'lefty'"
    assert "did you mean" not in str(caught.value)


def test_the_inverse_is_that_of_its_own_batch_however_late_it_is_asked_for() -> None:
    graph = chain("a", "b")
    first = graph.apply(EditBatch((UpdateLine(line("a", "b", Trigger.FAILURE)), UpdateStar(star("b")))))
    graph.apply(EditBatch((UpdateLine(line("a", "b", Trigger.COMPLETION)), UpdateStar(star("b", x="a")))))
    graph.apply(EditBatch((RemoveStar(StarId("b")),)))
    before = TaskStar(StarId("b"), ToolCall("t"), name="b")
    assert first.inverse.operations == (UpdateStar(before), UpdateLine(line("a", "b")))


@pytest.mark.parametrize("state", [StarState.SUCCEEDED, StarState.FAILED])
def test_a_refused_batch_leaves_lines_from_stars_that_have_ended_as_decided_as_they_were(state: StarState) -> None:
    graph = chain("a", "b")
    graph.star("c", "t")
    graph.line("c", "b")
    graph.hold(StarId("c"))
    graph.activate()
    end(graph, "a", state)
    before = dump(graph), graph.state("b"), graph.waiting_for("b")
    assert before[2] == ["c"]
    with pytest.raises(EditRejected):
        graph.apply(EditBatch((unline("a", "b"), AddLine(line("a", "b")), AddLine(line("a", "nobody")))))
    assert (dump(graph), graph.state("b"), graph.waiting_for("b")) == before
    check_invariants(graph)


class Counted(tuple[Operation, ...]):
    """Operations that count how often somebody goes through them."""

    looks = 0

    def __iter__(self) -> Iterator[Operation]:
        self.looks += 1
        return super().__iter__()


def test_a_batch_is_not_gone_through_again_for_each_line_that_its_references_imply() -> None:
    graph = TaskConstellation("g")
    graph.star("s0", "t")
    operations = Counted(
        AddStar(TaskStar(StarId(f"s{n}"), ToolCall("t", {"x": {"$ref": f"s{n - 1}#"}}))) for n in range(1, 50)
    )
    graph.apply(EditBatch(operations))
    assert graph.line_count == 49
    assert operations.looks < 5


def test_removing_a_star_conflicts_with_lines_that_others_have_led_out_of_it_since() -> None:
    graph = TaskConstellation("g")
    graph.star("x", "t")
    graph.star("y", "t")
    base = graph.version
    graph.line("x", "y")
    with pytest.raises(EditConflict) as caught:
        graph.apply(EditBatch((RemoveStar(StarId("x")),), base))
    assert caught.value.stars == ("y",)
    assert graph.lines == [line("x", "y")]


def test_undoing_the_addition_of_a_star_conflicts_with_lines_that_others_have_led_out_of_it_since() -> None:
    graph = TaskConstellation("g")
    graph.star("y", "t")
    edit = graph.edit()
    edit.star("x", "t")
    added = graph.apply(edit.build())
    graph.line("x", "y")
    with pytest.raises(EditConflict):
        graph.apply(added.inverse)
    assert graph.lines == [line("x", "y")]
