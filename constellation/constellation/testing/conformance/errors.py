"""How a check of the conformance kit ends when it does not pass; both are outcomes of the kit, not errors of a user.

ConformanceError
├── CheckFailed    the device did what the protocol forbids, or did not do what it demands
└── CheckSkipped   the check is about something that this device does not offer
"""

from __future__ import annotations

from ..errors import TestingError


class ConformanceError(TestingError):
    """Base of the outcomes of a check."""


class CheckFailed(ConformanceError):
    """Raised by a check when the device broke a rule; the message says which, for whoever writes the device."""


class CheckSkipped(ConformanceError):
    """Raised by a check that does not apply to this device; the message says why."""
