"""Reports: the width and the span of what ran, against counting by hand."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from constellation import StarState, TaskConstellation
from constellation.graph import Outcome, StarError
from constellation.orchestrator.report import executed_span, make_report

SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10)).map(lambda pair: (pair[0], sum(pair))), max_size=12)


def graph_of(spans: list[tuple[int, int]]) -> TaskConstellation:
    graph = TaskConstellation("spans")
    for number, (start, end) in enumerate(spans):
        star = graph.star(f"s{number}", "t")
        graph.enter(star.id, StarState.READY)
        graph.enter(star.id, StarState.ASSIGNED)
        graph.enter(star.id, StarState.RUNNING)
        graph.settle(
            star.id,
            StarState.SUCCEEDED,
            Outcome(output=number, device=f"d{number % 2}", attempts=1, started_at=float(start), ended_at=float(end)),
        )
    return graph


@settings(max_examples=150, deadline=None)
@given(spans=SPANS)
def test_the_width_is_the_largest_number_that_ran_at_one_instant(spans: list[tuple[int, int]]) -> None:
    width, makespan_s = executed_span(graph_of(spans))
    # What took no time ran at its one instant, unless something that ended there made room for it.
    halves = [half / 2 for half in range(62)]
    lasting = [(start, end) for start, end in spans if end > start]
    by_hand = max((sum(start <= at < end for start, end in lasting) for at in halves), default=0)
    assert width >= by_hand
    if len(lasting) == len(spans):
        assert width == by_hand
    assert makespan_s == (max(end for _, end in spans) - min(start for start, _ in spans) if spans else 0)


def test_a_report_adds_up() -> None:
    graph = graph_of([(0, 4), (1, 3), (4, 6)])
    report = make_report("r", graph, "succeeded", devices_lost=["d9", "d9"])
    assert (report.width, report.makespan_s, report.serial_s, report.speedup) == (2, 6.0, 8.0, 1.333)
    assert report.device_s == {"d0": 6.0, "d1": 2.0}
    assert report.devices_lost == ("d9",)
    assert report.outputs == {"s0": 0, "s1": 1, "s2": 2}
    report.raise_for_state()


def test_a_report_of_what_never_ran_has_no_times() -> None:
    graph = TaskConstellation("skipped")
    star = graph.star("s", "t")
    graph.settle(star.id, StarState.SKIPPED, Outcome(error=StarError("Skipped", "not needed")))
    report = make_report("r", graph, "cancelled", error="enough")
    assert (report.width, report.makespan_s, report.speedup) == (0, 0.0, 1.0)
    (row,) = report.rows
    assert (row.state, row.device, row.duration_s, row.error) == ("skipped", None, None, "Skipped: not needed")
