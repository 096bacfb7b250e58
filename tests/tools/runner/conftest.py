"""What the tests of the runner share: both event loops, tools that can be watched, and calls of them."""

from __future__ import annotations

from typing import Any

import pytest

from constellation_tools.dialects import ToolCall


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Runners run on both."""
    return str(request.param)


def call(id: str, name: str, /, **arguments: Any) -> ToolCall:
    """A model's call."""
    return ToolCall(id, name, arguments)
