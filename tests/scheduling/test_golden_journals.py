"""Journals that earlier releases wrote lead to the same state for ever. A golden journal is added, never rewritten."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from constellation.graph import EditBatch, Operation, StarState, Trigger, Work
from constellation.scheduling import JournalEntry, Scheduler
from constellation.scheduling import events as ev
from constellation.scheduling.events import GraphEdited, RunEvent, RunStarted, TimerFired
from constellation.scheduling.records import decode_entry
from constellation.scheduling.retracing import retrace

from .golden_scenarios import GOLDEN, SCENARIOS, final, played
from .harness import Harness, R
from .snapshots import replay

JOURNALS = sorted(GOLDEN.glob("*.jsonl"))


def entries_of(journal: Path) -> list[JournalEntry]:
    return [decode_entry(record) for record in journal.read_bytes().splitlines()]


def with_lines_in_order(final: dict[str, Any]) -> dict[str, Any]:
    """In which order a release writes lines into a document says nothing of the state."""
    lines = sorted(final["document"].get("lines", ()), key=lambda line: (line["source"], line["target"]))
    return {**final, "document": {**final["document"], "lines": lines}}


def all_events() -> Iterator[RunEvent]:
    return (entry.event for journal in JOURNALS for entry in entries_of(journal))


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: path.stem)
def test_a_golden_journal_leads_to_its_final_document(journal: Path) -> None:
    entries = entries_of(journal)
    expected = json.loads(journal.with_suffix(".final.json").read_text("utf-8"))
    retraced = retrace(journal.read_bytes().splitlines())
    assert (retraced.problem, len(retraced.entries)) == (None, len(entries))
    for machine in (replay(entries), Scheduler(validate=True).recover(entries), retraced.machine):
        assert machine is not None
        assert with_lines_in_order(final(machine)) == with_lines_in_order(expected)


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
def test_what_happened_in_a_golden_journal_ends_the_same_today(scenario: Callable[[Harness], None]) -> None:
    """When a policy changes on purpose, the scenario goes, and its journal stays."""
    journal = GOLDEN / f"{scenario.__name__}.final.json"
    states = {
        star: record["state"] for star, record in json.loads(journal.read_text("utf-8"))["document"]["records"].items()
    }
    harness = played(scenario)
    assert harness.states() == states
    assert {run for run in harness.scheduler.runs if run != R} == {
        entries_of(child)[0].event.run for child in GOLDEN.glob(f"{scenario.__name__}-*.jsonl")
    }


# --- what has to stay readable is in some golden journal ---


def test_every_kind_of_event_is_in_a_golden_journal() -> None:
    kinds = set(get_args(get_args(RunEvent)[0]))
    assert {type(event) for event in all_events()} == kinds


def test_every_kind_of_work_and_trigger_is_in_a_golden_journal() -> None:
    documents = [event.graph for event in all_events() if isinstance(event, RunStarted)]
    works = {
        next(iter(star["work"].keys() - {"kind", "arguments"})) for doc in documents for star in doc["stars"].values()
    }
    assert works == {"tool", "instruction", "question", "constellation"}
    assert len(works) == len(get_args(get_args(Work)[0]))
    lines = [line for document in documents for line in document.get("lines", ())]
    assert {line.get("trigger", "success") for line in lines} == {trigger.value for trigger in Trigger}


def test_every_operation_of_an_edit_is_in_a_golden_journal_and_so_is_a_rebased_one() -> None:
    batches: list[EditBatch] = [event.batch for event in all_events() if isinstance(event, GraphEdited)]
    operations = {type(operation) for batch in batches for operation in batch.operations}
    assert operations == set(get_args(get_args(Operation)[0]))
    assert any(batch.base_version is not None for batch in batches)


def test_every_timer_verdict_state_and_option_is_in_a_golden_journal() -> None:
    timers = {event.timer.partition(":")[0] for event in all_events() if isinstance(event, TimerFired)}
    assert timers == {"retry", "timeout", "cancel", "wait", "review", "reconcile", "deadline"}
    entries = [entry for journal in JOURNALS for entry in entries_of(journal)]
    assert {type(verdict) for entry in entries for verdict in entry.verdicts.values()} == {bool, str}
    finals = [json.loads(path.read_text("utf-8")) for path in GOLDEN.glob("*.final.json")]
    states = {record["state"] for final in finals for record in final["document"]["records"].values()}
    assert states == {
        state.value for state in (StarState.SUCCEEDED, StarState.FAILED, StarState.CANCELLED, StarState.SKIPPED)
    }
    assert {final["state"] for final in finals} == {"succeeded", "failed", "cancelled"}
    started = [entry.event for entry in entries if isinstance(entry.event, RunStarted)]
    assert any(event.parent for event in started)
    assert any(event.options.review for event in started)
    assert any(isinstance(entry.event, ev.CancelRequested) and entry.event.subtree for entry in entries)
