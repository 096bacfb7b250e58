"""What tests of journals share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from constellation.journal import Record
from constellation.testing.journals.store import numbered


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def records() -> Callable[..., list[Record]]:
    """Make the records of a run numbered `first` to `last`."""
    return numbered
