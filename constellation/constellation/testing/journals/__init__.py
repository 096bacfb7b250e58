"""What every store of a journal has to do, as tests that whoever writes a store runs against it. Needs pytest.

Make a subclass of `JournalConformance`, or of `SharedJournalConformance` for a store that outlives its process or is
shared by several, and give it the fixture `open_store`. The tests use nothing but `constellation.journal.Journal`.
"""

from .leases import LeaseChecks
from .records import RecordChecks
from .runs import RunChecks
from .sharing import SharingChecks
from .store import OpenStore

__all__ = ["JournalConformance", "OpenStore", "SharedJournalConformance"]


class JournalConformance(RunChecks, RecordChecks, LeaseChecks):
    """What every store has to do."""


class SharedJournalConformance(JournalConformance, SharingChecks):
    """What a store has to do besides when several orchestrators use it, one after the other or at once."""
