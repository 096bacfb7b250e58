"""What applying a batch did, and what undoes it."""

from __future__ import annotations

from .edits import EditBatch
from .node import Node
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


class StarChanges:
    """The stars that a batch adds and removes.

    Attributes:
        added: The stars that are new.
        gone: The stars that are removed, with their nodes.
        removed: Those of them that were there before.
        replaces: Whether a new star has the id, and until the batch is done the place, of one that is removed.
        cancels: The stars in flight whose attempts have to be cancelled.
        unready: The stars that were ready and are gone.
    """

    __slots__ = ("added", "cancels", "gone", "removed", "replaces", "unready")

    def __init__(self) -> None:
        self.added: dict[StarId, None] = {}
        self.gone: dict[StarId, Node] = {}
        self.removed: dict[StarId, None] = {}
        self.replaces = False
        self.cancels: dict[StarId, None] = {}
        self.unready: list[StarId] = []


class Applied:
    """What applying a batch did.

    Most edits are never asked for more than what they moved, so the rest is kept as the batch has left it.

    Attributes:
        version: The graph's version after it.
        changes: What became of the stars' states.
    """

    __slots__ = ("_batch", "_log", "_stars", "_touched", "changes", "version")

    def __init__(
        self,
        version: int,
        changes: Changes,
        stars: StarChanges,
        touched: dict[StarId, int],
        batch: EditBatch,
        log: Log,
    ) -> None:
        self.version = version
        self.changes = changes
        self._stars = stars
        self._touched = touched
        self._batch = batch
        self._log = log

    def __repr__(self) -> str:
        return (
            f"Applied(version={self.version}, added={self.added}, removed={self.removed}, cancels={self.cancels}, "
            f"touched={self.touched})"
        )

    @property
    def added(self) -> tuple[StarId, ...]:
        """Stars that are new."""
        return tuple(self._stars.added)

    @property
    def removed(self) -> tuple[StarId, ...]:
        """Stars that are gone."""
        return tuple(self._stars.removed)

    @property
    def cancels(self) -> tuple[StarId, ...]:
        """Stars in flight that the batch removes: their attempts have to be cancelled."""
        return tuple(self._stars.cancels)

    @property
    def touched(self) -> tuple[StarId, ...]:
        """Stars whose spec or incoming lines have changed."""
        return tuple(self._touched)

    @property
    def inverse(self) -> EditBatch:
        """The batch that undoes it; made when asked for.

        It is refused once something that it touches has been edited again, has been dispatched, or has ended; a star
        that the batch has added and that is running is cancelled.
        """
        return inverse_of(self._log, self._batch, self.version)
