"""What the checks of a client are made of: the fixture that opens one, and a server that it talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest
from anyio.lowlevel import checkpoint

from ....llm import ClientSettings, Delta, Model, ModelRequest, ModelResponse, Retries, user
from ..answers import Answer, Rule
from ..server import ModelServer

OpenModel = Callable[[str, ClientSettings], Model]
"""Opens a model of a client at a base URL that ends with `/v1`, with `KEY`. It has to keep to the settings."""

PATIENCE_S = 30.0
"""How long a check waits for what has to happen, in seconds."""

SHORT_S = 1.0
"""A time limit that is meant to be over."""

KEY = "sk-conformance-0123456789"
"""The key that models are to be opened with."""


class ModelChecks:
    """A class of tests of the client that `open_model` opens."""

    pytestmark = pytest.mark.anyio

    @pytest.fixture
    def open_model(self) -> OpenModel:
        """To be overridden by a fixture that returns what opens the client."""
        raise NotImplementedError("override the fixture open_model: it returns a function that opens your client")


class Waits:
    """Waits that take no time, and are remembered."""

    def __init__(self) -> None:
        self.waited_s: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        """Do not wait."""
        self.waited_s.append(delay_s)
        await checkpoint()


def settings(
    waits: Waits | None = None, *, attempts: int = 4, answer_s: float = PATIENCE_S, pause_s: float = PATIENCE_S
) -> ClientSettings:
    """Settings whose waits take no time, and whose jitter is half of what it may be."""
    retries = Retries(attempts=attempts, first_s=1.0, most_s=8.0, most_asked_s=60.0)
    sleep = (waits or Waits()).sleep
    return ClientSettings(retries, answer_s=answer_s, pause_s=pause_s, sleep=sleep, unit=lambda: 0.5)


@asynccontextmanager
async def conversing(
    open_model: OpenModel,
    *script: Answer | str,
    rules: Iterable[Rule] = (),
    patience: ClientSettings | None = None,
) -> AsyncIterator[tuple[ModelServer, Model]]:
    """A server with a script, and a model of the client there."""
    async with ModelServer(script, rules=rules) as server:
        model = open_model(server.url, patience or settings())
        try:
            yield server, model
        finally:
            await model.aclose()


async def warm_up(open_model: OpenModel, server: ModelServer) -> None:
    """One request by another model of the client, so that what is loaded late does not count against a time limit."""
    server.add("warm")
    model = open_model(server.url, settings())
    await model.respond(ask("warm up"))
    await model.aclose()


def ask(text: str = "Say something.") -> ModelRequest:
    """A request with one message."""
    return ModelRequest((user(text),))


async def streamed(model: Model, request: ModelRequest) -> tuple[list[Delta], ModelResponse]:
    """All deltas of a stream, and the whole."""
    async with model.stream(request) as stream:
        deltas = [delta async for delta in stream]
        return deltas, stream.response
