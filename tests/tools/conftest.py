"""What the tests of the tools share."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
