"""What a transport is: it carries one request to a provider and brings back what comes, without trying again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from ..usage import Prices
from ..wire.requests import Call

END: Final[Mapping[str, Any]] = {"choices": []}
"""Stands in a batch, known by its identity, where the provider has said that nothing more comes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer.

    Attributes:
        body: The chat completion, JSON.
        headers: Those of the HTTP answer, names in lower case.
    """

    body: Mapping[str, Any] = field(hash=False)
    headers: Mapping[str, str] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Chunks:
    """An answer in chunks.

    Attributes:
        batches: The chunks, JSON, as many at a time as came together; `END` among them where the provider says so.
        headers: Those of the HTTP answer, names in lower case.
    """

    batches: AsyncIterator[list[Mapping[str, Any]]] = field(hash=False)
    headers: Mapping[str, str] = field(hash=False)


class Transport(Protocol):
    """Carries requests to one provider. Every method raises `ProviderError` where the provider fails."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        ...

    @property
    def model(self) -> str:
        """The model's name, as the provider is told it."""
        ...

    async def ready(self) -> None:
        """Load the library, before any time limit begins; raises nothing of its own."""
        ...

    async def prices(self) -> Prices | None:
        """What the provider charges, where this is known."""
        ...

    async def send(self, call: Call) -> Answer:
        """Send a request and wait for the whole answer."""
        ...

    def open(self, call: Call) -> AbstractAsyncContextManager[Chunks]:
        """Send a request and read the answer in chunks; leaving the context closes the connection."""
        ...

    async def models(self) -> Any:
        """What the provider answers to `GET /v1/models`, JSON."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...
