"""A journal on a `SimulatedDisk`: the promises of `constellation.journal`, without tasks, and with crashes.

What is written is bytes, and what is read after a crash is decoded from the bytes that are left. All calls take effect
at once and are durable after `sync`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..journal import INITIAL_STATE, Record, RunExists, RunNotFound, SequenceConflict
from ..journal.base import check_sizes
from .disk import SimulatedDisk


@dataclass(slots=True)
class StoredRun:
    """What the journal has of a run; `parent` is the run that it is nested in, `state` the last one that was set."""

    run: str
    parent: str | None
    state: str = INITIAL_STATE
    records: list[Record] = field(default_factory=list)


class SimulatedJournal:
    """The runs on a disk.

    Attributes:
        runs: The runs by id, oldest first.
    """

    def __init__(self, disk: SimulatedDisk) -> None:
        """Read what a disk has; a frame that a crash has torn is dropped."""
        self._disk = disk
        self.runs: dict[str, StoredRun] = {}
        for payload in disk.read():
            self._replay(json.loads(payload))

    def create_run(self, run: str, *, parent: str | None = None) -> None:
        """Add a run without records; raises RunExists."""
        if run in self.runs:
            raise RunExists(run)
        self._write({"create": run, "parent": parent})

    def append(self, records: Sequence[Record]) -> None:
        """Store records, all or none; raises RunNotFound, SequenceConflict, RecordTooLarge."""
        check_sizes(records)
        heads: dict[str, int] = {}
        for record in records:
            expected = heads.get(record.run, len(self._find(record.run).records)) + 1
            if record.seq != expected:
                raise SequenceConflict(record.run, expected, record.seq)
            heads[record.run] = expected
        rows = [[record.run, record.seq, record.at, record.kind, record.body.decode()] for record in records]
        self._disk.write(json.dumps({"append": rows}).encode())
        self._keep(records)

    def set_state(self, run: str, state: str) -> None:
        """Change the summary of a run; raises RunNotFound."""
        self._find(run)
        self._write({"run": run, "state": state})

    def delete(self, run: str) -> None:
        """Remove a run; raises RunNotFound."""
        self._find(run)
        self._write({"delete": run})

    def read(self, run: str) -> Sequence[Record]:
        """The records of a run; raises RunNotFound."""
        return self._find(run).records

    def sync(self) -> None:
        """Make everything durable."""
        self._disk.sync()

    def _find(self, run: str) -> StoredRun:
        found = self.runs.get(run)
        if found is None:
            raise RunNotFound(run)
        return found

    def _write(self, change: dict[str, Any]) -> None:
        self._disk.write(json.dumps(change).encode())
        self._replay(change)

    def _replay(self, change: dict[str, Any]) -> None:
        match change:
            case {"append": rows}:
                self._keep([Record(run, seq, at, kind, body.encode()) for run, seq, at, kind, body in rows])
            case {"create": run, "parent": parent}:
                self.runs[run] = StoredRun(run, parent)
            case {"run": run, "state": state}:
                self.runs[run].state = state
            case {"delete": run}:
                del self.runs[run]

    def _keep(self, records: Sequence[Record]) -> None:
        for record in records:
            self.runs[record.run].records.append(record)
