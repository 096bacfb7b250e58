"""All checks of the conformance kit, in the order of the guide to the protocol."""

from __future__ import annotations

from types import ModuleType

from ..kit import Check
from . import ending, files, frames, opening, resuming, sequence, work


def _of(module: ModuleType) -> list[Check]:
    return [value for value in vars(module).values() if isinstance(value, Check)]


CHECKS: tuple[Check, ...] = tuple(
    check for module in (opening, frames, sequence, resuming, work, files, ending) for check in _of(module)
)
"""Every check."""
