"""What a run makes of a device that begins a new session: which attempts it takes over, gives up, or wants stopped."""

from __future__ import annotations

from collections.abc import Iterator

from .commands import CancelAttempt
from .events import AttemptAdopted, AttemptLost
from .placement import DeviceLoad
from .run import RunMachine

_UNWANTED_GRACE_S = 1.0
"""How long a device may take to stop what nobody waits for."""


def unwanted_attempts(machine: RunMachine, device: DeviceLoad) -> Iterator[CancelAttempt]:
    """Have a device stop what it has of a run that the run does not want any more.

    An attempt of a run that is not held here may be wanted when that run is taken up again, and is left alone.
    """
    run = machine.run
    for attempt, owner, star in device.known_attempts():
        if owner == run and attempt not in machine.attempts:
            yield CancelAttempt(run, star, attempt, device.id, device.epoch, "not wanted any more", _UNWANTED_GRACE_S)


def reconciled(machine: RunMachine, device: DeviceLoad, at: float) -> Iterator[AttemptAdopted | AttemptLost]:
    """What becomes of a run's attempts of earlier sessions, by what the device knew when its present one began.

    One that is taken over although the device does not list it is to be sent to the device again. For the device lists
    no result that was acknowledged, and whoever took its messages while nobody had the run in hand has not stored what
    they said. But it remembers what it has begun, and begins nothing twice.
    """
    run = machine.run
    for attempt in list(machine.attempts.values()):
        if attempt.device != device.id or attempt.epoch == device.epoch:
            continue
        remembered = bool(attempt.memory) and attempt.memory == device.memory
        doubtful = remembered and attempt.recovered and not (attempt.started or attempt.stopping)
        if (doubtful or attempt.id in device.known) and attempt.epoch < device.epoch:
            yield AttemptAdopted(at, run, attempt.star, attempt.id, device.id, device.epoch)
        else:
            # A device that has forgotten nothing, and knows nothing of it, never began: unless it has said that it did,
            # and the result was taken from it by an orchestrator that did not have the run.
            begun = attempt.started or not remembered or attempt.id in device.known
            reason = f"device {device.id!r} began a new session and does not know of it"
            yield AttemptLost(at, run, attempt.star, attempt.id, device.id, attempt.epoch, reason, begun)
