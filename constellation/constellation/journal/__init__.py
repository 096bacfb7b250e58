"""An append-only journal of runs: what has happened, durable before anything follows from it."""

from .base import INITIAL_STATE, MAX_BODY_BYTES, Durability, Journal, Record, RunSummary
from .enduring import PATIENCE_S, EnduringJournal
from .errors import (
    AmbiguousRun,
    JournalAway,
    JournalClosed,
    JournalCorrupt,
    JournalError,
    JournalTooNew,
    JournalUnavailable,
    RecordTooLarge,
    RunBusy,
    RunExists,
    RunNotFound,
    SequenceConflict,
    UnsupportedJournal,
)
from .home import default_home
from .opening import FLEETING, journal_name, open_journal, without_password

__all__ = [
    "FLEETING",
    "INITIAL_STATE",
    "MAX_BODY_BYTES",
    "PATIENCE_S",
    "AmbiguousRun",
    "Durability",
    "EnduringJournal",
    "Journal",
    "JournalAway",
    "JournalClosed",
    "JournalCorrupt",
    "JournalError",
    "JournalTooNew",
    "JournalUnavailable",
    "Record",
    "RecordTooLarge",
    "RunBusy",
    "RunExists",
    "RunNotFound",
    "RunSummary",
    "SequenceConflict",
    "UnsupportedJournal",
    "default_home",
    "journal_name",
    "open_journal",
    "without_password",
]
