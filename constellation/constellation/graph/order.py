"""An incremental topological order: every line leads from a smaller position to a larger one.

Theory of operation. The order knows stars by slots, whole numbers that it gives out, and keeps the lines between them.
Adding a line that points the right way costs nothing. For any other one, from `source` to `target`, the stars between
the two are searched from both ends in turns: forward from `target`, backward from `source`. If the searches meet, the
line would close a cycle. If one of them comes to its end, no way leads from `target` to `source`, and what that search
has found moves past the other end: to right after `source`, or right before `target`. So a line costs what the smaller
of the two searches costs, however many stars lie between its ends. Removing lines never disturbs the order.

The two-way search is after Haeupler, Kavitha, Mathew, Sen and Tarjan, "Incremental Cycle Detection, Topological
Ordering, and Strong Component Maintenance", ACM Transactions on Algorithms 8(1), 2012. Stars are kept in a linked list
with numbers that grow along it, renumbered where there is no room between two, after Dietz and Sleator, "Two Algorithms
for Maintaining Order in a List", STOC 1987.

The lines that ask most of it turn over half the graph, and no program in Python touches thousands of stars in half a
millisecond. So `Order` is the one in `compiled` where that could be compiled, and else `PlainOrder`, which does
the same twenty times slower. Both accept and refuse the same lines; their orders may differ, and nothing shows that.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["COMPILED", "Order", "PlainOrder"]

_GAP = 1 << 32
"""How far apart positions are at first: stars can be put into one place some thirty times before any is renumbered."""

_ENDS = 0
"""The slot that stands before the first star and after the last."""


class PlainOrder:
    """A topological order of stars, by their slots. A slot that is not in use must not be passed."""

    __slots__ = ("_after", "_before", "_free", "_position", "_serial", "_sources", "_targets")

    def __init__(self) -> None:
        self._position = [0]
        self._serial = [0]
        self._before = [_ENDS]
        self._after = [_ENDS]
        self._sources: list[dict[int, None]] = [{}]
        self._targets: list[dict[int, None]] = [{}]
        self._free: list[int] = []

    def __iter__(self) -> Iterator[int]:
        """The slots of the stars, each after those that it waits for."""
        slot = self._after[_ENDS]
        while slot != _ENDS:
            yield slot
            slot = self._after[slot]

    def position(self, slot: int) -> int:
        """A number that is larger than that of every star before it; it may change whenever a line is added."""
        return self._position[slot]

    def targets(self, slot: int) -> list[int]:
        """The stars that lines lead to from this one."""
        return list(self._targets[slot])

    def append(self, serial: int) -> int:
        """Put a star without lines at the end, and return its slot.

        Args:
            serial: Its place among all stars in the order in which they were added.
        """
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._position)
            self._position.append(0)
            self._serial.append(0)
            self._before.append(_ENDS)
            self._after.append(_ENDS)
            self._sources.append({})
            self._targets.append({})
        self._serial[slot] = serial
        self._put_after(self._before[_ENDS], [slot])
        return slot

    def remove(self, slot: int) -> None:
        """Take out a star; its slot may be given to another one.

        Raises:
            ValueError: it still has lines.
        """
        if self._sources[slot] or self._targets[slot]:
            raise ValueError(f"the star in slot {slot} has lines")
        self._unlink(slot)
        self._free.append(slot)

    def connect(self, source: int, target: int) -> bool:
        """Add a line that is not there yet, and make the order fit it.

        Returns:
            False if a way leads from `target` to `source`: then nothing has changed.
        """
        if self._position[source] >= self._position[target]:
            found, is_behind = self._search(source, target)
            if not found:
                return False
            slots = sorted(found, key=self._position.__getitem__)
            for slot in slots:
                self._unlink(slot)
            self._put_after(source if is_behind else self._before[target], slots)
        self._targets[source][target] = None
        self._sources[target][source] = None
        return True

    def disconnect(self, source: int, target: int) -> None:
        """Remove a line that is there."""
        del self._targets[source][target]
        del self._sources[target][source]

    def way(self, start: int, end: int) -> list[int]:
        """The stars on a shortest way from one to another; nothing if no way leads there.

        Of several, it is the one that goes on to the star with the least serial each time: so which one it is follows
        from the stars and lines alone.
        """
        found, last = {end}, self._position[start]
        steps = [{end}]
        while start not in found:
            step = {source for slot in steps[-1] for source in self._sources[slot]} - found
            step = {slot for slot in step if self._position[slot] >= last}
            if not step:
                return []
            found |= step
            steps.append(step)
        way = [start]
        for step in steps[-2::-1]:
            way.append(min(self._targets[way[-1]].keys() & step, key=self._serial.__getitem__))
        return way

    def heaviest_ways(self, weights: dict[int, float]) -> dict[int, float]:
        """How much the stars on the heaviest way from each star to an end weigh together, 0 at the least.

        Args:
            weights: What each star weighs, by its slot; minus infinity for one that no way may lead over, itself
                included. Those left out weigh nothing.

        Returns:
            The same slots, each with the weight of the way that begins there.
        """
        ways = [0.0] * len(self._position)
        slot = self._before[_ENDS]
        while slot != _ENDS:
            behind = max(map(ways.__getitem__, self._targets[slot]), default=0.0)
            ways[slot] = max(weights.get(slot, 0.0) + behind, 0.0)
            slot = self._before[slot]
        return {slot: ways[slot] for slot in weights}

    def copy(self) -> PlainOrder:
        """An order of its own with the same stars in the same slots, and the same lines."""
        made = PlainOrder()
        made._position = self._position.copy()
        made._serial = self._serial.copy()
        made._before = self._before.copy()
        made._after = self._after.copy()
        made._sources = [sources.copy() for sources in self._sources]
        made._targets = [targets.copy() for targets in self._targets]
        made._free = self._free.copy()
        return made

    # --- inside ----------------------------------------------------------------------------------------------------

    def _search(self, source: int, target: int) -> tuple[set[int], bool]:
        """Search from both ends of a line that is not there yet, always on the side that will then have cost less.

        Each step goes on from all that the last one has found on its side, which leaves most of the work to operations
        of sets.

        Returns:
            What one side has found in full, and whether it is what lies behind the target; nothing when a way leads
            from the target to the source.
        """
        position, sources, targets = self._position, self._sources, self._targets
        lower, upper = position[target], position[source]
        behind, ahead = {target}, {source}
        forward, backward = {target}, {source}
        forward_cost, backward_cost = len(targets[target]), len(sources[source])
        while forward.isdisjoint(ahead) and backward.isdisjoint(behind):
            if forward_cost <= backward_cost:
                forward = {found for slot in forward for found in targets[slot]} - behind
                forward = {slot for slot in forward if position[slot] <= upper}
                if not forward:
                    return behind, True
                behind |= forward
                forward_cost += sum([len(targets[slot]) for slot in forward])
            else:
                backward = {found for slot in backward for found in sources[slot]} - ahead
                backward = {slot for slot in backward if position[slot] >= lower}
                if not backward:
                    return ahead, False
                ahead |= backward
                backward_cost += sum([len(sources[slot]) for slot in backward])
        return set(), False

    def _unlink(self, slot: int) -> None:
        before, after = self._before[slot], self._after[slot]
        self._after[before], self._before[after] = after, before

    def _put_after(self, place: int, slots: list[int]) -> None:
        """Link stars into the list after a place, and number them and as many behind them as it takes."""
        position, before, after = self._position, self._before, self._after
        following = after[place]
        count = len(slots) + 1
        first = position[place] if place != _ENDS else position[following] - count * _GAP
        step = _GAP
        while following != _ENDS:
            room = position[following] - first
            if room > count * count:
                step = room // count
                break
            slots.append(following)
            count += 1
            following = after[following]
        number, last = first, place
        for slot in slots:
            number += step
            position[slot] = number
            before[slot] = last
            after[last] = slot
            last = slot
        after[last] = following
        before[following] = last


COMPILED = True
"""Whether `Order` is the one in C."""

try:
    from .compiled_order import Order
except ImportError:
    Order = PlainOrder  # type: ignore[misc, assignment]
    COMPILED = False
