"""Which calls may run now: limits in all and by tool, and calls that have to be alone. Nothing here waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Seat:
    """What a call asks for.

    Attributes:
        key: Whose it is; no other seat has the same.
        tool: The tool's name, for its own limit.
        exclusive: Whether the call has to be alone.
        limit: How many calls of this tool may run at the same time; None for any number.
    """

    key: int
    tool: str
    exclusive: bool = False
    limit: int | None = None


@dataclass(slots=True)
class Admission:
    """Calls that have reserved a seat or wait for one, in order, and calls that run.

    Order is kept around exclusive calls: what reserved before them runs before, what reserved after them after. A call
    that waits for its own tool's limit, or is not ready, lets others pass.

    Attributes:
        most: How many calls may run at the same time.
    """

    most: int
    _waiting: dict[int, Seat] = field(default_factory=dict)
    _ready: set[int] = field(default_factory=set)
    _running: dict[int, Seat] = field(default_factory=dict)
    _by_tool: Counter[str] = field(default_factory=Counter)
    _alone: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError: no call could ever run."""
        if self.most < 1:
            raise ValueError(f"at least 1 call has to be allowed at the same time, not {self.most}")

    @property
    def running(self) -> int:
        """How many calls have a seat."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many calls wait for one, or have reserved one."""
        return len(self._waiting)

    def reserve(self, seat: Seat) -> None:
        """Take a place in the order, for a call that is not ready to run."""
        self._waiting.setdefault(seat.key, seat)

    def ask(self, seat: Seat) -> list[int]:
        """Ask for a seat, reserved or not; returns the keys of the calls that may start now."""
        self._waiting.setdefault(seat.key, seat)
        self._ready.add(seat.key)
        return list(self._admitted())

    def leave(self, key: int) -> list[int]:
        """Give back a seat or a place in the order; returns the keys of the calls that may start now."""
        seat = self._running.pop(key, None)
        if seat is not None:
            self._by_tool[seat.tool] -= 1
            self._alone = False
        self._waiting.pop(key, None)
        self._ready.discard(key)
        return list(self._admitted())

    def _full(self) -> bool:
        return self._alone or len(self._running) >= self.most

    def _admitted(self) -> Iterator[int]:
        if self._full():
            return
        unready = False
        for key, seat in list(self._waiting.items()):
            if self._full():
                return
            if seat.exclusive and (self._running or unready or key not in self._ready):
                return  # nobody overtakes it, or it might wait for ever
            if key not in self._ready:
                unready = True
                continue
            if seat.limit is not None and self._by_tool[seat.tool] >= seat.limit:
                continue
            del self._waiting[key]
            self._ready.discard(key)
            self._running[key] = seat
            self._by_tool[seat.tool] += 1
            self._alone = seat.exclusive
            yield key
