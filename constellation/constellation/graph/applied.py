"""What applying a batch did, and what undoes it."""

from __future__ import annotations

from dataclasses import field

from .edits import EditBatch
from .record import record
from .star import StarId
from .undo import Log, inverse_of


class Changes:
    """What a change of the graph did to its stars, for the scheduler.

    Attributes:
        ready: Stars that became ready.
        unready: Stars that were ready and wait again, or are gone.
        settled: Stars that settled by themselves: skipped, or failed because a condition could not be evaluated.
    """

    __slots__ = ("ready", "settled", "unready")

    def __init__(self, unready: list[StarId] | None = None) -> None:
        self.ready: list[StarId] = []
        self.unready = unready if unready is not None else []
        self.settled: list[StarId] = []


@record
class Applied:
    """What applying a batch did.

    Attributes:
        version: The graph's version after it.
        added: Stars that are new.
        removed: Stars that are gone.
        cancels: Stars in flight that the batch removes: their attempts have to be cancelled.
        touched: Stars whose spec or incoming lines have changed.
        changes: What became of the stars' states.
    """

    version: int
    added: tuple[StarId, ...]
    removed: tuple[StarId, ...]
    cancels: tuple[StarId, ...]
    touched: tuple[StarId, ...]
    changes: Changes
    _batch: EditBatch = field(repr=False, compare=False)
    _log: Log = field(repr=False, compare=False)

    @property
    def inverse(self) -> EditBatch:
        """The batch that undoes it; made when asked for.

        It is refused once something that it touches has been edited again, has been dispatched, or has ended; a star
        that the batch has added and that is running is cancelled.
        """
        return inverse_of(self._log, self._batch, self.version)
