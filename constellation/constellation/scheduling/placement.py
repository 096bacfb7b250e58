"""Which device a ready star goes to: the policy, replaceable through the SDK, and what it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ..graph import StarId, TaskStar
from .durations import Durations, work_key
from .events import AttemptId, DeviceId, RunId, parse_attempt
from .inputs import Offer

POLICY_FAILED = "PolicyFailed"
"""The type of the error of a star for which the policy could not choose."""

NO_NEEDS: Mapping[str, float] = {}
"""What most stars reserve beyond a slot."""

NOTHING_NEARBY: Mapping[DeviceId, int] = {}
"""Where the files among the inputs of a star are that has none."""

_ROUNDING = 1e-9
"""What sums of fractional resources may be off by."""


class DeviceLoad:
    """A device of the fleet and what it has to do; policies read it, the fleet keeps it.

    Attributes:
        id: Its id.
        epoch: Its session's number.
        offer: What it offers.
        free_slots: How many more stars it can take now.
        free_resources: What is left of its resources.
        attempts: What each attempt on it has reserved.
        draining: It takes nothing new.
        known: The attempts that it had, or had results of, when its session began, and has not reported the end of.
        memory: The name of its record of attempts.
    """

    __slots__ = ("attempts", "draining", "epoch", "free_resources", "free_slots", "id", "known", "memory", "offer")

    def __init__(
        self,
        id: DeviceId,
        epoch: int,
        offer: Offer,
        known: frozenset[AttemptId] = frozenset(),
        memory: str = "",
    ) -> None:
        self.id = id
        self.epoch = epoch
        self.offer = offer
        self.free_slots = offer.slots
        self.free_resources = dict(offer.resources)
        self.attempts: dict[AttemptId, Mapping[str, float]] = {}
        self.draining = False
        self.known = set(known)
        self.memory = memory

    def known_attempts(self) -> list[tuple[AttemptId, RunId, StarId]]:
        """What it brought with it, with run and star of each; ids that can't be ours are left out."""
        found = ((attempt, parse_attempt(attempt)) for attempt in sorted(self.known))
        return [(attempt, *where) for attempt, where in found if where is not None]

    def has_room(self, needs: Mapping[str, float]) -> bool:
        """Whether a slot and the given resources are free."""
        if self.free_slots <= 0 or not needs:
            return self.free_slots > 0
        free = self.free_resources
        return all(free.get(name, 0.0) + _ROUNDING >= need for name, need in needs.items())

    def take(self, attempt: AttemptId, needs: Mapping[str, float]) -> None:
        """Reserve a slot and resources."""
        self.attempts[attempt] = needs
        self.free_slots -= 1
        if needs:
            for name, need in needs.items():
                self.free_resources[name] = self.free_resources.get(name, 0.0) - need

    def give_back(self, attempt: AttemptId) -> bool:
        """Free what an attempt has reserved; False when it has reserved nothing."""
        if self.known:
            self.known.discard(attempt)
        needs = self.attempts.pop(attempt, None)
        if needs is None:
            return False
        self.free_slots += 1
        if needs:
            self._count_resources()
        return True

    def change(self, offer: Offer) -> None:
        """Take in a new offer; what is reserved stays reserved."""
        self.offer = offer
        self.free_slots = offer.slots - len(self.attempts)
        self._count_resources()

    def _count_resources(self) -> None:
        """Work out anew what is free: adding and subtracting fractions for ever would not end where it began."""
        self.free_resources = dict(self.offer.resources)
        for needs in self.attempts.values():
            for name, need in needs.items():
                self.free_resources[name] = self.free_resources.get(name, 0.0) - need


class PlacementPolicy(Protocol):
    """Chooses among devices that can all take the star now."""

    def choose(
        self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: Mapping[DeviceId, int], durations: Durations
    ) -> DeviceLoad:
        """Choose a device.

        Args:
            star: What is to be placed.
            candidates: At least one device; each matches the star and has room.
            nearby: Bytes of the files among the star's inputs that each device already holds.
            durations: How long work was seen to take.

        Returns:
            One of the candidates. The star fails with a `PolicyFailed` error when it is none, or when this raises: a
            policy may keep work off devices for good reasons, so no other takes its place.
        """


class LeastLoaded:
    """Where the input files are; then where the smaller share of slots is in use; then where such work is fastest."""

    def choose(
        self, star: TaskStar, candidates: Sequence[DeviceLoad], nearby: Mapping[DeviceId, int], durations: Durations
    ) -> DeviceLoad:
        """See `PlacementPolicy.choose`; ties go to the device whose id comes first, so that it is deterministic."""
        if len(candidates) == 1:
            return candidates[0]
        if nearby:
            most_bytes = max(nearby.get(device.id, 0) for device in candidates)
            candidates = [device for device in candidates if nearby.get(device.id, 0) == most_bytes]
        best, most_free = candidates[0], -1.0
        for device in candidates:
            free = device.free_slots / device.offer.slots
            if free == most_free:
                work = work_key(star)
                expected_s, least_s = durations.expected_on(work, device.id), durations.expected_on(work, best.id)
                if expected_s < least_s or (expected_s == least_s and device.id < best.id):
                    best = device
            elif free > most_free:
                best, most_free = device, free
        return best
