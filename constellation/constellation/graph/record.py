"""Immutable values that are made by the million: dataclasses that only the type checker freezes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a slotted dataclass that compares and hashes by value and whose fields stay as they were made.

    To the type checker it is `@dataclass(frozen=True, slots=True)`. At run time nothing prevents assignment: preventing
    it makes every field cost a call of `object.__setattr__` at construction, 0.65 µs instead of 0.15 µs for six fields.
    Records are shared freely all the same, so a program that gets past its type checker to assign to one is at fault.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
