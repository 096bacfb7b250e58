"""All cases, by group."""

from __future__ import annotations

from collections.abc import Sequence

from ..case import Case
from . import callables, calls, containers, descriptions, scalars, structures

CASES: Sequence[Case] = [
    case for module in (scalars, containers, structures, callables, descriptions, calls) for case in module.GROUP.cases
]
