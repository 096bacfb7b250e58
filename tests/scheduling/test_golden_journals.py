"""Journals that earlier releases wrote lead to the same state for ever. A golden journal is added, never rewritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from constellation.graph.documents import dump
from constellation.scheduling import Scheduler
from constellation.scheduling.records import decode_entry

from .snapshots import replay

JOURNALS = sorted((Path(__file__).parent / "golden").glob("*.jsonl"))


@pytest.mark.parametrize("journal", JOURNALS, ids=lambda path: path.stem)
def test_a_golden_journal_leads_to_its_final_document(journal: Path) -> None:
    entries = [decode_entry(record) for record in journal.read_bytes().splitlines()]
    expected = json.loads(journal.with_suffix(".final.json").read_text("utf-8"))
    for machine in (replay(entries), Scheduler(validate=True).recover(entries)):
        document = dump(machine.graph)
        for found in (document, expected["document"]):  # the order in which lines are written has changed once
            found["lines"].sort(key=lambda line: (line["source"], line["target"]))
        assert {"state": machine.state, "document": document} == expected


def test_the_golden_journals_hold_what_has_to_stay_readable() -> None:
    kinds = {decode_entry(record).event.kind for path in JOURNALS for record in path.read_bytes().splitlines()}
    assert {
        "run_started", "graph_edited", "star_assigned", "attempt_started", "attempt_succeeded", "attempt_failed",
        "attempt_lost", "attempt_adopted", "timer_fired", "hold_released", "approval_answered", "run_paused",
        "run_unpaused", "run_recovered",
    } <= kinds  # fmt: skip
