"""Errors of the device package.

DevicesError
├── BadDeviceSetup      what the device was told to be can't be: a bad label, a missing tool, an unusable directory
│   └── StateInUse      another running device keeps its results in the same state directory
├── ResultsNotKept      results can't be kept any more: the disk is full, or has failed
├── DeviceNotStarted    a kind could not start the device (also an OSError, as `DeviceKind.start` promises)
└── WorkFailed          an attempt's work failed; carries the `ErrorInfo` that its result reports
"""

from __future__ import annotations

from pathlib import Path

from constellation_protocol.messages import ErrorInfo


class DevicesError(Exception):
    """Base of all errors of this package."""


class BadDeviceSetup(DevicesError, ValueError):
    """Raised while a device is being set up, before it does anything, when what it was given can't work."""


class StateInUse(BadDeviceSetup):
    """Raised when a device is given the state directory of another one that is still running."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__(
            f"the state directory {state_dir} is in use by another running device: stop that one or choose another"
        )


class ResultsNotKept(DevicesError):
    """Raised when the record of attempts can't be written: a device that went on could do work twice, or lose it."""

    def __init__(self, path: Path, error: Exception) -> None:
        super().__init__(
            f"results can't be kept in {path} any more ({error}): make room, or see to the disk, and start the device "
            "again; it then tells which attempts have an unknown outcome"
        )


class DeviceNotStarted(DevicesError, OSError):
    """Raised by a device kind when the device's process ended before it was ready; the message quotes its log."""


class WorkFailed(DevicesError):
    """Raised inside the agent to end an attempt with an error whose type is decided where the work ran."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(f"{info.type}: {info.message}")
        self.info = info
