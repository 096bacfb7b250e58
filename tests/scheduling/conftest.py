"""A fresh run for each test; whatever the test did, a replay of the journal gives the same state in the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import Harness


@pytest.fixture
def h() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.replayed()
