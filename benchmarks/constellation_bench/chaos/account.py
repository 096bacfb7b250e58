"""The journal's account of a run: its records, taken in one after the other, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping

from constellation.graph import SETTLED, StarId, StarState
from constellation.journal import Record
from constellation.scheduling import RunMachine
from constellation.scheduling.commands import Command
from constellation.scheduling.events import RunRecovered, RunStarted, StarAssigned
from constellation.scheduling.records import decode_entry

from .check import AttemptAccount, StarAccount


class Account:
    """What the records of a run that have been read come to.

    Attributes:
        records: How many have been read.
        attempts: The attempts, by id.
        recovered_at: When an orchestrator has taken the run up again, each time, in seconds since the epoch.
    """

    def __init__(self) -> None:
        self.records = 0
        self.attempts: dict[str, AttemptAccount] = {}
        self.recovered_at: list[float] = []
        self._machine: RunMachine | None = None
        self._ignored: list[Command] = []

    def take(self, record: Record) -> None:
        """Take in the next record; raises ValueError when it can't be read."""
        entry = decode_entry(record.body)
        event = entry.event
        if isinstance(event, RunStarted) and self._machine is None:
            self._machine = RunMachine(event)
        elif isinstance(event, StarAssigned):
            self.attempts[event.attempt] = AttemptAccount(event.star, event.device)
        elif isinstance(event, RunRecovered):
            self.recovered_at.append(event.at)
        if self._machine is not None:
            self._machine.apply(event, self._ignored, entry.verdicts)
            self._ignored.clear()
        self.records = record.seq

    @property
    def over(self) -> bool:
        """Whether the run has ended."""
        return self._machine is not None and self._machine.ended

    @property
    def counts(self) -> Mapping[StarState, int]:
        """How many stars are in each state."""
        return self._machine.graph.counts if self._machine is not None else {}

    @property
    def ended(self) -> int:
        """How many stars have ended."""
        return sum(self.counts.get(state, 0) for state in SETTLED)

    def stars(self) -> dict[str, StarAccount]:
        """What is said of each star."""
        return {star: self._star(star) for star in self._machine.graph} if self._machine is not None else {}

    def _star(self, star: StarId) -> StarAccount:
        assert self._machine is not None
        graph = self._machine.graph
        state, outcome = graph.state(star), graph.outcome(star)
        error = outcome.error.type if outcome is not None and outcome.error is not None else ""
        attempt = outcome.output if outcome is not None and state is StarState.SUCCEEDED else ""
        return StarAccount(state in SETTLED, str(state), error, str(attempt))
