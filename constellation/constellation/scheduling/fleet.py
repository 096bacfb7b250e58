"""The devices, and the stars that wait for one.

Waiting stars stand in lanes: those of one run that need the same tool, labels, resources and device share a lane and
the list of devices that match it, which is worked out again only when the fleet changes. A placement looks at the head
of each lane, so its cost does not depend on how many stars wait; and as long as one lane has the most urgent ones, they
are placed without a look at the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from ..graph import StarId, TaskStar
from .durations import Durations
from .events import AttemptId, DeviceId, RunId
from .inputs import DeviceChanged, DeviceJoined
from .matching import explain_mismatch, mismatch, resource_needs
from .placement import NO_NEEDS, DeviceLoad, LeastLoaded, PlacementPolicy

_MANY_LANES = 64
"""From how many lanes on the empty ones are cleared away."""


Placement = tuple[RunId, TaskStar, Mapping[str, float], DeviceLoad | None, str]
"""The run of a star, the star, what it reserves, and the device that it goes to; None, and why, when the policy could
not say."""

_Queued = dict[StarId, int]
"""The stars of a run that wait for a device, each with the ticket of its entry in a lane."""

_Entry = tuple[int, float, int, TaskStar]
"""A star in a lane, in the order of urgency: priority and rank negated, ticket, star."""


class _Lane:
    __slots__ = ("avoid", "heap", "matching", "matching_at", "needs", "newest", "queued", "run", "star", "starved")

    def __init__(self, run: RunId, star: TaskStar, avoid: frozenset[DeviceId], queued: _Queued) -> None:
        self.run = run
        self.star = star
        self.avoid = avoid
        self.queued = queued
        self.needs = resource_needs(star) or NO_NEEDS
        self.heap: list[_Entry] = []
        self.matching: list[DeviceLoad] = []
        self.matching_at = -1
        self.newest = 0
        self.starved: deque[tuple[float, int]] = deque()
        """Since when the stars up to some ticket have waited while no device matches them, earliest first."""


class Fleet:
    """Keeps the count of what is free, and places what waits.

    Attributes:
        devices: The devices that are joined.
    """

    def __init__(self, policy: PlacementPolicy | None = None, durations: Durations | None = None) -> None:
        self.devices: dict[DeviceId, DeviceLoad] = {}
        self.durations = durations if durations is not None else Durations()
        self._policy = policy if policy is not None else LeastLoaded()
        self._lanes: dict[tuple[object, ...], _Lane] = {}
        self._queued: dict[RunId, _Queued] = {}
        self._paused: set[RunId] = set()
        self._ticket = 0
        self._given_up: dict[tuple[DeviceId, int, AttemptId], float] = {}
        self._generation = 0
        self._changed = False
        self._many_lanes = _MANY_LANES

    # --- devices ---------------------------------------------------------------------------------------------------

    def join(self, event: DeviceJoined) -> bool:
        """Take in a device, with nothing on it; False when it has a session that is newer already."""
        present = self.devices.get(event.device)
        if present is not None and present.epoch >= event.epoch:
            return False
        self.devices[event.device] = DeviceLoad(event.device, event.epoch, event.offer, event.known, event.memory)
        self._generation += 1
        self._changed = True
        return True

    def change(self, event: DeviceChanged) -> bool:
        """Take in what a device now offers; False when the session is not its present one."""
        device = self._present(event.device, event.epoch)
        if device is None:
            return False
        device.change(event.offer)
        self._generation += 1
        self._changed = True
        return True

    def drain(self, device: DeviceId, epoch: int) -> bool:
        """Give a device nothing new; False when the session is not its present one."""
        found = self._present(device, epoch)
        if found is None:
            return False
        found.draining = True
        self._generation += 1
        self._changed = True
        return True

    def leave(self, device: DeviceId, epoch: int) -> bool:
        """Forget a device; False when the session is not its present one."""
        if self._present(device, epoch) is None:
            return False
        del self.devices[device]
        self._generation += 1
        self._changed = True
        return True

    def occupy(self, device: DeviceId, attempt: AttemptId, needs: Mapping[str, float]) -> None:
        """Count an attempt that a device has brought with it."""
        self.devices[device].take(attempt, needs)

    def release(self, device: DeviceId, epoch: int, attempt: AttemptId) -> None:
        """An attempt is over on its device; one that is not known there, or not in this session, changes nothing."""
        found = self.devices.get(device)
        if found is not None and found.epoch == epoch and found.give_back(attempt):
            self._changed = True

    def give_up(self, device: DeviceId, epoch: int, attempt: AttemptId, *, keep_until: float) -> None:
        """An attempt was given up because its device does not speak of it, which may keep the slot until then."""
        self._given_up[device, epoch, attempt] = keep_until

    def free_given_up(self, at: float) -> None:
        """Free the slots of attempts that were given up long enough ago; a device that is full after all says so."""
        for fence in [fence for fence, until in self._given_up.items() if until <= at]:
            del self._given_up[fence]
            self.release(*fence)

    def _present(self, device: DeviceId, epoch: int) -> DeviceLoad | None:
        found = self.devices.get(device)
        return found if found is not None and found.epoch == epoch else None

    # --- waiting stars ---------------------------------------------------------------------------------------------

    def queue(self, run: RunId, star: TaskStar, rank: float, avoid: frozenset[DeviceId] = frozenset()) -> None:
        """Let a star wait for a device; higher priority first, then higher rank, then who came first."""
        work: Any = star.work  # only what is for devices waits for one
        key: tuple[object, ...] = (run, work.tool, star.device)
        if avoid or star.requires:
            key = (*key, avoid, *sorted(star.requires.items()))
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= self._many_lanes:
                self._lanes = {key: lane for key, lane in self._lanes.items() if self._trim(lane)}
                self._many_lanes = max(_MANY_LANES, 2 * len(self._lanes))
            lane = self._lanes[key] = _Lane(run, star, avoid, self._queued.setdefault(run, {}))
        self._changed = True
        self._ticket = ticket = self._ticket + 1
        lane.queued[star.id] = lane.newest = ticket
        heappush(lane.heap, (-star.priority, -rank, ticket, star))

    def unqueue(self, run: RunId, star: StarId) -> None:
        """Let a star wait no more; it need not be waiting."""
        queued = self._queued.get(run)
        if queued is not None:
            queued.pop(star, None)

    def set_paused(self, run: RunId, paused: bool) -> None:
        """Leave a run's stars waiting, or place them again."""
        if paused:
            self._paused.add(run)
        else:
            self._paused.discard(run)
            self._changed = True

    def forget(self, run: RunId) -> None:
        """Drop all that concerns a run."""
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.run != run}
        self._queued.pop(run, None)
        self._paused.discard(run)

    def is_queued(self, run: RunId, star: StarId) -> bool:
        """Whether a star waits for a device."""
        return star in self._queued.get(run, ())

    @property
    def waiting(self) -> bool:
        """Whether any star waits for a device."""
        return any(self._queued.values())

    # --- placement -------------------------------------------------------------------------------------------------

    def placements(self, nearby: Callable[[RunId, StarId], Mapping[DeviceId, int]]) -> Iterator[Placement]:
        """Say where waiting stars go, the most urgent that some device has room for first, until none is left.

        The caller reserves each on its device, and lets it wait no more, before it asks for the next.
        """
        while self._changed:
            best = self._most_urgent()
            if best is None:
                self._changed = False
                return
            lane, roomy, rival = best
            newest = self._ticket
            while self._trim(lane) and (rival is None or lane.heap[0] < rival):
                star = heappop(lane.heap)[3]
                device, fault = self._choose(star, roomy.copy(), nearby(lane.run, star.id))
                yield lane.run, star, lane.needs, device, fault
                if device is None or self._ticket != newest:
                    break  # other stars wait by now, which may be more urgent
                if device.free_slots <= 0 or (lane.needs and not device.has_room(lane.needs)):
                    roomy.remove(device)
                    if not roomy:
                        break

    def _choose(
        self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: Mapping[DeviceId, int]
    ) -> tuple[DeviceLoad | None, str]:
        """Ask the policy. It may be anybody's code: what it does wrong is the end of the star, not of the scheduler.

        The candidates are its own: what it does to them is no other star's business.
        """
        try:
            device = self._policy.choose(star, candidates, nearby, self.durations)
        except Exception as error:
            fault = f"raised {type(error).__name__}: {error}"
        else:
            if device in candidates:
                return device, ""
            fault = f"chose {getattr(device, 'id', device)!r}, which is none of the devices that it was given"
        name = type(self._policy).__qualname__
        return None, f"the placement policy {name} {fault}; mend the policy, or leave it out"

    def _most_urgent(self) -> tuple[_Lane, list[DeviceLoad], _Entry | None] | None:
        """The lane whose head goes first among those that some device has room for, these devices, and its rival.

        The rival is the first entry of the other lanes that may have to go before the next one of this lane.
        """
        for device in self.devices.values():
            if device.free_slots > 0:
                break
        else:
            return None
        best: _Lane | None = None
        roomy: list[DeviceLoad] = []
        rival: _Entry | None = None
        for lane in self._lanes.values():
            if (self._paused and lane.run in self._paused) or not self._trim(lane):
                continue
            head = lane.heap[0]
            if best is not None and head > best.heap[0]:
                if rival is None or head < rival:
                    rival = head
                continue
            candidates = [device for device in self._matching(lane) if device.has_room(lane.needs)]
            if candidates:
                if best is not None:
                    rival = best.heap[0]
                best, roomy = lane, candidates
        return (best, roomy, rival) if best is not None else None

    def starving(self, now: float, patience_s: float) -> list[tuple[RunId, StarId, str]]:
        """Stars that no device of the fleet could take even if it were idle, and that for longer than is allowed."""
        found = []
        offers = {device.id: device.offer for device in self.devices.values()}
        for lane in self._lanes.values():
            if not self._trim(lane) or self._matching(lane) or lane.run in self._paused:
                lane.starved.clear()
                continue
            if not lane.starved or lane.starved[-1][1] != lane.newest:
                lane.starved.append((now, lane.newest))
            given_up = 0
            while lane.starved and now - lane.starved[0][0] >= patience_s:
                given_up = lane.starved.popleft()[1]
            if given_up:
                reason = explain_mismatch(lane.star, offers, avoid=tuple(lane.avoid))
                for _, _, ticket, star in lane.heap:
                    if ticket <= given_up and lane.queued.get(star.id) == ticket:
                        found.append((lane.run, star.id, reason))
        return found

    def _matching(self, lane: _Lane) -> list[DeviceLoad]:
        """The devices that could serve a lane, leaving aside how busy they are."""
        if lane.matching_at != self._generation:
            lane.matching = [
                device
                for device in self.devices.values()
                if not device.draining
                and device.id not in lane.avoid
                and mismatch(lane.star, device.id, device.offer) is None
            ]
            lane.matching_at = self._generation
        return lane.matching

    def _trim(self, lane: _Lane) -> bool:
        """Drop from the head of a lane what does not wait any more; False when nothing is left."""
        heap, queued = lane.heap, lane.queued
        while heap and queued.get(heap[0][3].id) != heap[0][2]:
            heappop(heap)
        return bool(heap)
