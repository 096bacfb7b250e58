"""What can go wrong with a measurement.

BenchError
├── MeasurementFailed  what was to be measured went wrong
├── ProcessFailed      a process that was to measure something ended without a figure
├── ProcessTimedOut    it took longer than it may, and was ended
├── Standstill         a run that should go on does not
└── PromiseBroken      a run has come to what must not be
"""

from __future__ import annotations


class BenchError(Exception):
    """Base of all errors of this package."""


class MeasurementFailed(BenchError):
    """Raised when what was to be measured does not come out as it must; the message goes on from "the measurement"."""


class ProcessFailed(BenchError):
    """Raised when a measuring process ends without a figure; the message ends with the last thing that it said."""


class ProcessTimedOut(BenchError):
    """Raised when a measuring process is ended because it took longer than it may."""


class Standstill(BenchError):
    """Raised when nothing happens any more in a run that has not ended; says how far it has come."""


class PromiseBroken(BenchError):
    """Raised when a run has lost something, done something twice, or come to anything else that must not be."""
