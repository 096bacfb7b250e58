"""Errors of the journal.

JournalError
├── UnsupportedJournal      no store answers to this URL
├── JournalUnavailable      the store can't be opened, read or written now: locked, full, no permission
│   ├── JournalAway         the store can't be reached, and may be back soon; what was asked may have been done
│   └── JournalTooNew       a newer version of the software made it
├── JournalCorrupt          what is stored is damaged
├── JournalClosed           the journal was closed before or during the call
├── RunExists               the id of a new run is taken
├── RunNotFound             there is no such run
├── AmbiguousRun            a prefix fits more than one run
├── RunBusy                 someone else holds the run's lease
├── SequenceConflict        an append would repeat a sequence number or leave a gap
└── RecordTooLarge          a record's body is over the limit
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


class JournalError(Exception):
    """Base of all errors of the journal."""


class UnsupportedJournal(JournalError):
    """Raised when a URL names a kind of store that there is no code for; credentials in the URL are not repeated."""


class JournalUnavailable(JournalError):
    """Raised when the store can't be opened, read or written for a reason outside of it."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"the journal {where} can't be used: {reason}")
        self.where = where
        self.reason = reason


class JournalAway(JournalUnavailable):
    """Raised when the store can't be reached now, as while its server is started again.

    A change that was asked for may or may not have been made; asking again is safe where it says so in the journal.
    """


class JournalTooNew(JournalUnavailable):
    """Raised when the file's format is newer than this version of the software understands."""

    def __init__(self, where: str, found: int, supported: int) -> None:
        super().__init__(
            where,
            f"it was made by a newer version (format {found}, this one knows formats up to {supported}); "
            "upgrade constellation-agents or choose another journal",
        )
        self.found = found
        self.supported = supported


class JournalCorrupt(JournalError):
    """Raised when what is stored can't be what was written."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"the journal {where} is damaged: {reason}; restore it from a backup or move it aside")
        self.where = where
        self.reason = reason


class JournalClosed(JournalError):
    """Raised when a journal is used after `aclose`."""

    def __init__(self) -> None:
        super().__init__("the journal is closed; open it again with open_journal")


class RunExists(JournalError):
    """Raised by `create_run` when the id is taken."""

    def __init__(self, run: str) -> None:
        super().__init__(f"run {run!r} is already in the journal; choose another id")
        self.run = run


class RunNotFound(JournalError):
    """Raised when there is no such run; `close` lists ids that look like the one asked for."""

    def __init__(self, run: str, close: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        super().__init__(f"no run {run!r} in the journal{hint}")
        self.run = run
        self.close = tuple(close)


class AmbiguousRun(JournalError):
    """Raised when a prefix fits more than one run; `matches` holds the first few of them."""

    def __init__(self, prefix: str, matches: Sequence[str]) -> None:
        super().__init__(f"{prefix!r} fits more than one run: {', '.join(matches)}; give more of the id")
        self.prefix = prefix
        self.matches = tuple(matches)


class RunBusy(JournalError):
    """Raised by `acquire` while another owner's lease on the run lasts."""

    def __init__(self, run: str, owner: str, expires_at: float, *, at: float) -> None:
        until = datetime.fromtimestamp(expires_at, UTC).isoformat(timespec="seconds")
        super().__init__(
            f"run {run!r} is held by {owner} until {until} (for {expires_at - at:.1f} s more); "
            "stop that owner, or wait until its lease has expired"
        )
        self.run = run
        self.owner = owner
        self.expires_at = expires_at


class SequenceConflict(JournalError):
    """Raised by `append` when a record is not the next of its run: most likely someone else writes this run too."""

    def __init__(self, run: str, expected: int, got: int) -> None:
        super().__init__(
            f"record {got} of run {run!r} refused: the next is {expected}; "
            "another writer has the run, or records were lost: read it again before writing on"
        )
        self.run = run
        self.expected = expected
        self.got = got


class RecordTooLarge(JournalError):
    """Raised by `append` when a body is over the limit."""

    def __init__(self, run: str, seq: int, size: int, limit: int) -> None:
        super().__init__(
            f"record {seq} of run {run!r} has a body of {size} bytes, over the limit of {limit}; "
            "store large data as an artifact and record its reference"
        )
        self.run = run
        self.seq = seq
        self.size = size
        self.limit = limit
