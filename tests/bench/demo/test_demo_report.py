"""What the demo's report says: findings, the course of the run, edits, and what was lost and placed elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from constellation import RunReport, StarState
from constellation.console.report import render_report
from constellation.graph import EditBatch, StarId
from constellation.graph.documents import dump
from constellation.graph.edits import AddStar
from constellation.orchestrator.report import make_report
from constellation.scheduling import JournalEntry
from constellation.scheduling import events as ev
from constellation.scheduling.events import AttemptId, DeviceId, RunId
from constellation_bench.demo.findings import (
    AUDIT_SUMMARY,
    COPY_SUMMARY,
    IMPORT_SUMMARY,
    AuditSummary,
    CopiedFunction,
    CopySummary,
    FunctionShape,
    FunctionSize,
    ImportCycle,
    ImportedModule,
    ImportSummary,
    LookSummary,
    MarkedModule,
    StrainedModule,
    Unparsable,
)
from constellation_bench.demo.planner import plan_looks
from constellation_bench.demo.report import UNPARSABLE_SHOWN, findings_blocks
from constellation_bench.demo.story import Edit, Loss, Story, tell
from constellation_tools import Artifact

RUN = RunId("r")
NO_STORY = Story((), (), 0)


def audited(**changes: Any) -> Any:
    shape = FunctionShape("tangle", 7, 80, 21, 4, 9)
    fields: dict[str, Any] = {
        "files": 1234,
        "lines": 99_000,
        "functions": 4321,
        "marks": 17,
        "unparsable": [Unparsable("bad|name.py", "line 3: invalid syntax")],
        "longest": [FunctionSize("A.__init__", "deep", 5, 250)],
        "most_marked": [MarkedModule("messy", 9)],
        "looks": [LookSummary("deep", 12, 3.5, [shape], 0.25), LookSummary("empty", 0, 0.0, [], 0.0)],
        "findings": Artifact("0" * 64),
        "cpu_s": 1.5,
    }
    return AUDIT_SUMMARY.dump_python(AuditSummary(**{**fields, **changes}), mode="json")


IMPORTED = IMPORT_SUMMARY.dump_python(
    ImportSummary(9, 42, [ImportCycle(20, ["p", "q"]), ImportCycle(2, ["x", "y"])], [ImportedModule("os", 33)], 0.5),
    mode="json",
)
COPIED = COPY_SUMMARY.dump_python(CopySummary(3, 60, [CopiedFunction(30, ["a:1 f", "b:9 A.f"])], 0.25), mode="json")


@pytest.fixture
def done(by_hand: Callable[[int], Any]) -> Any:
    audit = by_hand(2)
    audit.apply(plan_looks(audit.scan(1, StrainedModule("deep", "deep.py", 250), device="scanner-1")))
    audit.scan(2, device="scanner-2")
    audit.release("scan-01", "scan-02")
    audit.look("deep")
    audit.release("look-deep")
    audit.end("merge", audited(), device="scanner-2")
    audit.release("merge")
    audit.end("import-graph", IMPORTED)
    audit.end("copied-functions", COPIED)
    return audit


def report_of(audit: Any, state: str = "succeeded", **more: Any) -> RunReport:
    return make_report("r", audit.graph, state, **more)


def blocks(audit: Any, story: Story = NO_STORY, **more: Any) -> str:
    return "\n\n".join(findings_blocks(report_of(audit, **more), audit.graph, story, cores=2))


def test_findings_are_told_in_tables(done: Any) -> None:
    text = blocks(done)
    for row in (
        "| Source files | 1,234 |",
        "| Unparsable files | 1 |",
        "| Longest import cycle | 20 modules |",
        "| Copied functions | 3 (60 lines too many) |",
        "| A.\\_\\_init\\_\\_ | deep:5 | 250 |",
        "| deep | 12 | 3.5 | tangle | 80 | 21 | 4 | 9 |",
        "| messy | 9 |",
        "| os | 33 |",
        "| 30 | a:1 f, b:9 A.f |",
        "- bad\\|name.py: line 3: invalid syntax",
        "- 20 modules: p, q, …",
        "- 2 modules: x, y",
    ):
        assert row in text.splitlines(), row


def test_processor_time_is_told_beside_time_by_the_clock(done: Any) -> None:
    text = blocks(done)
    # Six stars of a second each, one after another; by what they say themselves 3.5 s of processor time.
    assert "6.0 s of work by the clock in 6.0 s: 1.00 times as fast" in text
    assert "Processor time used by the tools: 3.5 s, 0.58 cores on average" in text
    assert "which share 2 cores" in text


def test_it_tells_whose_files_were_carried_to_the_merge(done: Any) -> None:
    assert "- Files of 1 of 2 scans were carried from other devices to scanner-2" in blocks(done)


def test_edits_are_told_with_what_was_running_then(done: Any) -> None:
    edit = Edit(2.5, "planner", "the worst | so far", ("look at a", "look at b"), 3)
    text = blocks(done, Story((edit,), (), 0))
    assert "- Edits of the running graph: 1" in text
    assert "| 2.5 s | planner | the worst \\| so far | look at a, look at b | 3 |" in text


def test_losses_are_told_with_where_the_work_went(done: Any) -> None:
    losses = (
        Loss("scan-01", "scanner-3", "killed", "scanner-1"),
        Loss("merge", "scanner-3", "killed", None),
        Loss("gone", "scanner-3", "killed", None),
    )
    text = blocks(done, Story((), losses, 0))
    assert "- Devices lost: scanner-3" in text
    assert "- Devices with work: 4 processes" in text  # one that was lost before it had done anything counts too
    assert "- scan 01 was lost with scanner-3 (killed) and placed on scanner-1" in text
    assert "- merge was lost with scanner-3 (killed) and not placed again" in text


def test_an_idle_device_that_was_lost_is_told_too(done: Any) -> None:
    assert "- Devices lost: scanner-3" in blocks(done, devices_lost=["scanner-3"])
    assert "- Devices lost: none" in blocks(done)


def test_a_run_that_was_taken_up_again_says_so(done: Any) -> None:
    assert "had stopped: 2 times; the gap counts" in blocks(done, Story((), (), 2))
    assert "Taken up" not in blocks(done)


def test_many_unparsable_files_are_counted(by_hand: Callable[[int], Any]) -> None:
    audit = by_hand(1)
    audit.scan(1)
    audit.release("scan-01")
    many = [Unparsable(f"f{number}.py", "bad") for number in range(UNPARSABLE_SHOWN + 3)]
    audit.end("merge", audited(unparsable=many, looks=[]))
    text = blocks(audit)
    assert "- and 3 more" in text
    assert "f20.py" not in text


def test_a_library_without_cycles_and_copies_says_so(by_hand: Callable[[int], Any]) -> None:
    audit = by_hand(1)
    audit.scan(1)
    audit.release("scan-01")
    audit.end("merge", audited())
    audit.release("merge")
    audit.end("import-graph", IMPORT_SUMMARY.dump_python(ImportSummary(1, 0, [], [], 0.0), mode="json"))
    audit.end("copied-functions", COPY_SUMMARY.dump_python(CopySummary(0, 0, [], 0.0), mode="json"))
    text = blocks(audit)
    assert "| Longest import cycle | none |" in text
    assert "## Copied functions" not in text


def test_a_run_that_came_to_nothing_still_has_a_report(by_hand: Callable[[int], Any]) -> None:
    audit = by_hand(1)
    audit.end("scan-01", state=StarState.FAILED)
    audit.release("scan-01")
    text = blocks(audit, state="failed")
    assert "What was found" not in text
    assert "- Edits of the running graph: 0" in text


def test_a_run_that_never_began_has_no_times(by_hand: Callable[[int], Any]) -> None:
    assert "Processor time" not in blocks(by_hand(1), state="cancelled")


def test_the_general_report_puts_the_findings_before_the_devices(done: Any) -> None:
    text = render_report(report_of(done), done.graph, findings=["## Mine", "text"])
    assert text.index("# library audit") < text.index("## Mine") < text.index("## Devices") < text.index("```mermaid")


def entries(*events: ev.RunEvent) -> list[JournalEntry]:
    return [JournalEntry(event, {}) for event in events]


def attempt(number: int, star: str, device: str, at: float) -> dict[str, Any]:
    return {
        "at": at,
        "run": RUN,
        "star": StarId(star),
        "attempt": AttemptId(f"r/{star}/{number}"),
        "device": DeviceId(device),
        "epoch": 1,
    }


def test_the_journal_tells_edits_losses_and_recoveries(by_hand: Callable[[int], Any]) -> None:
    graph = by_hand(1).graph
    added = AddStar(graph["scan-01"])
    story = tell(
        entries(
            ev.RunStarted(10.0, RUN, dump(graph)),
            ev.StarAssigned(**attempt(1, "a", "d1", 10.0), idempotent=True),
            ev.AttemptStarted(**attempt(1, "a", "d1", 10.0)),
            ev.AttemptStarted(**attempt(1, "b", "d1", 10.0)),
            ev.AttemptSucceeded(**attempt(1, "b", "d1", 11.0), output=None),
            ev.GraphEdited(12.5, RUN, EditBatch((added,), author="planner", reason="why")),
            ev.AttemptLost(**attempt(1, "a", "d1", 13.0), reason="gone"),
            ev.GraphEdited(13.5, RUN, EditBatch((), author="ann")),
            ev.RunRecovered(14.0, RUN),
            ev.StarAssigned(**attempt(1, "b", "d3", 14.0), idempotent=True),
            ev.StarAssigned(**attempt(2, "a", "d2", 14.0), idempotent=True),
            ev.AttemptLost(**attempt(2, "a", "d2", 15.0), reason="gone too"),
        )
    )
    assert story == Story(
        edits=(Edit(2.5, "planner", "why", ("scan 01",), 1), Edit(3.5, "ann", "", (), 0)),
        losses=(Loss("a", "d1", "gone", "d2"), Loss("a", "d2", "gone too", None)),
        taken_up=1,
    )
