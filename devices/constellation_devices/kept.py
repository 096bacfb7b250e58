"""Results kept until they are acknowledged, and the memory of which attempts this device has already begun.

A result must survive a lost connection, and for a device with a state directory also the device's own end. The
second half matters as much: an attempt that was begun must never be begun again, whatever happened in between,
because its effects may have taken place. `MemoryKept` serves devices that live and die with their orchestrator,
`SqliteKept` all others. Writes reach the operating system before they return, so they survive the process being
killed; a power cut may take the last few of them.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from constellation_protocol.messages import RESULT, ErrorInfo, Result

from .errors import BadDeviceSetup, ResultsNotKept, StateInUse

HISTORY_LIMIT = 10_000
"""How many acknowledged attempts are remembered, newest first."""

_FORMAT_VERSION = 1
_LOCK_WAIT_S = 1.0

OUTCOME_UNKNOWN = "AttemptOutcomeUnknown"
"""Error type of an attempt that was running when the device stopped: nobody knows how far it came."""


class KeptResults(Protocol):
    """What the agent asks of the place where results are kept."""

    @property
    def memory(self) -> str:
        """The name of this record: the same for as long as nothing in it is lost."""

    def begin(self, attempts: Sequence[str]) -> None:
        """Remember that these attempts start now; afterwards they count as begun for ever."""

    def keep(self, *results: Result) -> None:
        """Keep the results of begun attempts until `acknowledge` names them."""

    def acknowledge(self, attempts: Sequence[str]) -> None:
        """The orchestrator has these results: they need not be sent again."""

    def begun(self, attempt: str) -> bool:
        """Whether the attempt was begun here before."""

    def result_of(self, attempt: str) -> Result | None:
        """The result of a begun attempt, None while it runs or when it is no longer remembered."""

    def waiting(self) -> Sequence[str]:
        """The attempts whose results the orchestrator has not acknowledged, oldest first."""

    def unacknowledged(self) -> Sequence[Result]:
        """The results of these attempts."""

    def close(self) -> None:
        """Let go of files."""


class MemoryKept:
    """Keeps results as long as the process lives. Acknowledged results are dropped, their attempts stay known."""

    def __init__(self) -> None:
        self.memory = secrets.token_hex(8)
        self._results: dict[str, Result | None] = {}
        self._unacknowledged: dict[str, Result] = {}
        self._acknowledged = 0

    def begin(self, attempts: Sequence[str]) -> None:
        """Remember that these attempts start now."""
        for attempt in attempts:
            self._results[attempt] = None

    def keep(self, *results: Result) -> None:
        """Keep the results until they are acknowledged."""
        for result in results:
            self._results[result.attempt] = self._unacknowledged[result.attempt] = result

    def acknowledge(self, attempts: Sequence[str]) -> None:
        """Drop these results; once there are many such attempts, forget the oldest."""
        for attempt in attempts:
            if self._unacknowledged.pop(attempt, None) is not None:
                self._results[attempt] = None
                self._acknowledged += 1
        if self._acknowledged > 2 * HISTORY_LIMIT:
            self._forget_oldest(self._acknowledged - HISTORY_LIMIT)

    def begun(self, attempt: str) -> bool:
        """Whether the attempt was begun here before."""
        return attempt in self._results

    def result_of(self, attempt: str) -> Result | None:
        """The result of a begun attempt while it is unacknowledged."""
        return self._unacknowledged.get(attempt)

    def waiting(self) -> Sequence[str]:
        """The attempts whose results wait for their acknowledgement, oldest first."""
        return list(self._unacknowledged)

    def unacknowledged(self) -> Sequence[Result]:
        """The results that wait for their acknowledgement, oldest first."""
        return list(self._unacknowledged.values())

    def close(self) -> None:
        """Nothing to let go of."""

    def _forget_oldest(self, count: int) -> None:
        # A None entry is either acknowledged or still running; the oldest ones are the acknowledged ones in
        # all but theory, and a running attempt is known to the agent anyway.
        oldest = [attempt for attempt, result in self._results.items() if result is None][:count]
        for attempt in oldest:
            del self._results[attempt]
        self._acknowledged -= len(oldest)


class SqliteKept:
    """Keeps results in a SQLite file that belongs to one running device at a time.

    Opening it turns attempts that were begun but never ended (the device was killed under them) into failed
    results of type `AttemptOutcomeUnknown`, which are then kept and sent like any other.

    Raises:
        StateInUse: another running device has the file open.
        BadDeviceSetup: the file can't be opened, or a newer version has written it.
        ResultsNotKept: by all methods that write, when the file can't be written any more.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self.memory = ""
        try:
            self._database = sqlite3.connect(path, timeout=_LOCK_WAIT_S, isolation_level=None)
        except sqlite3.Error as error:
            raise BadDeviceSetup(f"can't keep results in {path}: {error}") from error
        self._waiting: dict[str, None] = {}
        try:
            self._open(path)
        except sqlite3.Error as error:
            self._database.close()
            if "locked" in str(error):
                raise StateInUse(path.parent) from error
            raise BadDeviceSetup(f"can't keep results in {path}: {error}") from error
        except BadDeviceSetup:
            self._database.close()
            raise
        self._known = {attempt for (attempt,) in self._database.execute("SELECT attempt FROM attempts")}
        self._waiting = dict.fromkeys(result.attempt for result in self.unacknowledged())
        self._acknowledged_since_prune = 0

    def _open(self, path: Path) -> None:
        # The exclusive lock is what makes the file belong to one process; the system drops it when that one dies.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("BEGIN IMMEDIATE")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > _FORMAT_VERSION:
            raise BadDeviceSetup(
                f"{path} was written by a newer version (format {version}, this one reads up to {_FORMAT_VERSION}): "
                "upgrade constellation-agents or use another state directory"
            )
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS attempts (number INTEGER PRIMARY KEY, attempt TEXT NOT NULL UNIQUE,"
            " started_at REAL NOT NULL, result TEXT, acknowledged INTEGER NOT NULL DEFAULT 0)"
        )
        self._database.execute(
            "CREATE INDEX IF NOT EXISTS waiting ON attempts (number) WHERE acknowledged = 0 AND result IS NOT NULL"
        )
        self._database.execute("CREATE TABLE IF NOT EXISTS memory (name TEXT NOT NULL)")
        self._database.execute(
            "INSERT INTO memory SELECT ? WHERE NOT EXISTS (SELECT * FROM memory)", (secrets.token_hex(8),)
        )
        (self.memory,) = self._database.execute("SELECT name FROM memory").fetchone()
        self._database.execute(f"PRAGMA user_version = {_FORMAT_VERSION}")
        self._settle_interrupted()
        self._prune()
        self._database.execute("COMMIT")

    def begin(self, attempts: Sequence[str]) -> None:
        """Remember that these attempts start now, in one transaction."""
        started_at = self._now()
        with self._transaction():
            self._database.executemany(
                "INSERT INTO attempts (attempt, started_at) VALUES (?, ?)",
                [(attempt, started_at) for attempt in attempts],
            )
        self._known.update(attempts)

    def keep(self, *results: Result) -> None:
        """Keep the results until they are acknowledged, in one transaction."""
        with self._transaction():
            self._store(results)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN")
            yield
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            raise ResultsNotKept(self._path, error) from error

    def _store(self, results: Sequence[Result]) -> None:
        self._database.executemany(
            "UPDATE attempts SET result = ? WHERE attempt = ?",
            [(RESULT.dump_json(result).decode(), result.attempt) for result in results],
        )
        self._waiting.update(dict.fromkeys([result.attempt for result in results]))

    def acknowledge(self, attempts: Sequence[str]) -> None:
        """Mark these results as delivered, in one transaction."""
        with self._transaction():
            self._database.executemany(
                "UPDATE attempts SET acknowledged = 1 WHERE attempt = ? AND result IS NOT NULL",
                [(attempt,) for attempt in attempts],
            )
            for attempt in attempts:
                self._waiting.pop(attempt, None)
            self._acknowledged_since_prune += len(attempts)
            if self._acknowledged_since_prune > HISTORY_LIMIT:
                self._known.difference_update(self._prune())
                self._acknowledged_since_prune = 0

    def begun(self, attempt: str) -> bool:
        """Whether the attempt was begun here before, also in an earlier life of the device."""
        return attempt in self._known

    def result_of(self, attempt: str) -> Result | None:
        """The result of a begun attempt, acknowledged or not."""
        row = self._database.execute("SELECT result FROM attempts WHERE attempt = ?", (attempt,)).fetchone()
        return RESULT.validate_json(row[0]) if row and row[0] is not None else None

    def waiting(self) -> Sequence[str]:
        """The attempts whose results wait for their acknowledgement, oldest first."""
        return list(self._waiting)

    def unacknowledged(self) -> Sequence[Result]:
        """The results that wait for their acknowledgement, oldest first."""
        rows = self._database.execute(
            "SELECT result FROM attempts WHERE acknowledged = 0 AND result IS NOT NULL ORDER BY number"
        )
        return [RESULT.validate_json(result) for (result,) in rows]

    def close(self) -> None:
        """Close the file; another device may then use it."""
        self._database.close()

    def _settle_interrupted(self) -> None:
        interrupted = self._database.execute("SELECT attempt, started_at FROM attempts WHERE result IS NULL").fetchall()
        for attempt, started_at in interrupted:
            result = Result(
                attempt=attempt,
                epoch=0,
                status="failed",
                started_at=started_at,
                error=ErrorInfo(
                    type=OUTCOME_UNKNOWN,
                    message="the device stopped while this attempt ran; what it had already done can't be known",
                ),
            )
            self._store([result])

    def _prune(self) -> set[str]:
        forgotten = self._database.execute(
            "DELETE FROM attempts WHERE acknowledged = 1 AND number <= (SELECT MAX(number) FROM attempts) - ?"
            " RETURNING attempt",
            (HISTORY_LIMIT,),
        )
        return {attempt for (attempt,) in forgotten.fetchall()}
