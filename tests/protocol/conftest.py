"""Fixtures of the protocol's tests: the event loop, and messages to send about."""

from __future__ import annotations

import pytest

from constellation_protocol import Hello, Welcome


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def hello() -> Hello:
    return Hello(device="laptop", token="s3cret")


@pytest.fixture
def welcome() -> Welcome:
    return Welcome(session="session-1", epoch=3)
