"""The client: builds requests, sends them, tries again where that helps, and reads the answers, for every transport."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import anyio

from ..errors import ConnectionLost, ModelTimeout, ProviderError, RateLimited, RequestRefused
from ..hints.dialects import Plain, dialect_named
from ..hints.fields import Dialect, Field, HintMemory
from ..hints.probe import ServerFacts, recognise
from ..model import Delta, ModelRequest, ModelResponse
from ..rate_limits import RateGate
from ..usage import Prices
from ..wire.requests import Call, build
from ..wire.responses import Reading
from ..wire.tools import offered
from .settings import ClientSettings
from .transport import END, Chunks, Transport

T = TypeVar("T")

PROBE_S = 10.0
"""How long a server may take to say what it is, in seconds: it can be asked for answers without."""


class ChatModel:
    """A model behind a transport.

    Attributes:
        memory: Which hints the server has refused.
    """

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        settings: ClientSettings | None = None,
        dialect: Dialect | None = None,
        prices: Prices | None = None,
        memory: HintMemory | None = None,
    ) -> None:
        """Make a client; `open_model` is the way to get here.

        Args:
            name: The model string.
            transport: What carries requests.
            settings: How patient it is.
            dialect: How the server is told of workflows; None to ask the server what it is, once.
            prices: What is charged; None for what the transport knows.
            memory: Which hints the server has refused; one of its own when None.
        """
        self._name = name
        self._transport = transport
        self._settings = settings or ClientSettings()
        self._dialect = dialect
        self._prices = prices
        self._prices_known = prices is not None
        self._gate = RateGate()
        self.memory = memory or HintMemory()

    @property
    def name(self) -> str:
        """The model string."""
        return self._name

    @property
    def model(self) -> str:
        """The model's name, as the server is told it."""
        return self._transport.model

    @property
    def dialect_name(self) -> str:
        """The name of the dialect in which the server is told of workflows; empty before a server was asked for it."""
        return self._dialect.name if self._dialect is not None else ""

    async def respond(self, request: ModelRequest) -> ModelResponse:
        """Answer as a whole.

        Raises:
            LLMError: it did not; which one says why.
        """

        async def once(call: Call) -> ModelResponse:
            with self._within(self._settings.answer_s, "answer"):
                answer = await self._transport.send(call)
            self._observe(answer.headers)
            return self._reading(request).take(answer.body)

        with self._within(request.timeout_s, "answer, with all tries,"):
            await self._prepare(request)
            return await self._persistently(request, once, stream=False)

    @asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[ChatStream]:
        """Answer piece by piece; leaving the context closes the connection.

        A try that fails before the first piece has come is repeated; after that the error comes out of the iteration,
        for what was shown can't be taken back.

        Raises:
            LLMError: it did not; which one says why. Also raised while iterating.
        """

        async def once(call: Call) -> tuple[AsyncExitStack, ChatStream]:
            async with AsyncExitStack() as attempt:
                with self._within(self._settings.answer_s, "begin to answer"):
                    chunks = await attempt.enter_async_context(self._transport.open(call))
                    self._observe(chunks.headers)
                    stream = ChatStream(chunks, self._reading(request), self._pausing, self._transport.provider)
                    await stream.begin()
                return attempt.pop_all(), stream

        with self._within(request.timeout_s, "answer, with all tries,"):
            await self._prepare(request)
            attempt, stream = await self._persistently(request, once, stream=True)
            async with attempt:
                yield stream

    async def facts(self) -> ServerFacts:
        """What the server tells of itself.

        Raises:
            ProviderError: it does not answer.
        """
        await self._transport.ready()
        with self._within(self._settings.answer_s, "answer"):
            return recognise(await self._transport.models())

    async def prices(self) -> Prices | None:
        """What is charged; None where nobody knows. It asks no server."""
        await self._transport.ready()
        if not self._prices_known:
            self._prices = await self._transport.prices()
            self._prices_known = True
        return self._prices

    async def _prepare(self, request: ModelRequest) -> None:
        """Load what is needed, and learn once what has to be known: prices and, for a hint, the dialect."""
        await self.prices()
        if request.hint is not None and self._dialect is None:
            try:
                with self._within(PROBE_S, "say what it is"):
                    self._dialect = dialect_named((await self.facts()).dialect)
            except (ConnectionLost, RateLimited):
                return  # it may say so next time
            except ProviderError:
                self._dialect = Plain()  # a server without a list of models is one that nothing is known of

    def _reading(self, request: ModelRequest) -> Reading:
        provider = self._transport.provider
        tools = offered(request.tools, provider) if request.tools else None
        taken = [use.id for message in request.messages for use in message.tool_uses]
        return Reading(provider, output=request.output, prices=self._prices, tools=tools, taken=taken)

    async def _persistently(self, request: ModelRequest, once: Callable[[Call], Awaitable[T]], *, stream: bool) -> T:
        """Try until it succeeds or trying again does not help. Hints that are refused are left out, from then on."""
        failures = 0
        while True:
            fields = self._fields(request)
            call = build(
                request, model=self._transport.model, provider=self._transport.provider, fields=fields, stream=stream
            )
            await self._pass_gate()
            try:
                return await once(call)
            except RequestRefused as error:
                if error.status not in (400, 422) or not self.memory.learn(str(error.args[0]), fields):
                    raise
            except ProviderError as error:
                failures += 1
                delay_s = self._settings.retries.delay_s(error, failures, self._settings.unit())
                if delay_s is None:
                    raise
                if isinstance(error, RateLimited) and error.retry_after_s is not None:
                    self._gate.hold(error.retry_after_s, at=anyio.current_time())
                    delay_s -= error.retry_after_s  # the gate makes it wait for that part, as it makes all others
                if delay_s > 0:
                    await self._settings.sleep(delay_s)

    def _fields(self, request: ModelRequest) -> tuple[Field, ...]:
        if request.hint is None or self._dialect is None:
            return ()
        return self.memory.accepted(self._dialect.fields(request.hint))

    async def _pass_gate(self) -> None:
        if (wait_s := self._gate.wait_s(anyio.current_time())) > 0:
            await self._settings.sleep(min(wait_s, self._settings.retries.most_asked_s))

    def _observe(self, headers: Mapping[str, str]) -> None:
        self._gate.observe(headers, at=anyio.current_time(), now=datetime.now(UTC))

    @contextmanager
    def _within(self, limit_s: float | None, what: str) -> Iterator[None]:
        if limit_s is None:
            yield
            return
        with anyio.move_on_after(limit_s) as scope:
            yield
        if scope.cancelled_caught:
            raise ModelTimeout(f"it did not {what} within {limit_s:g} s", provider=self._transport.provider)

    def _pausing(self) -> Any:
        return self._within(self._settings.pause_s, "go on")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<ChatModel {self._name}>"


class ChatStream:
    """An answer while it comes."""

    def __init__(self, chunks: Chunks, reading: Reading, pausing: Callable[[], Any], provider: str) -> None:
        """Read from chunks; `pausing` limits how long each wait for more may take."""
        self._batches = chunks.batches
        self._reading = reading
        self._pausing = pausing
        self._provider = provider
        self._waiting: deque[Delta] = deque()
        self._response: ModelResponse | None = None

    async def begin(self) -> None:
        """Wait until something has come, so that what fails before that can be tried again."""
        while not self._waiting and self._response is None:
            await self._more()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        while not self._waiting:
            if self._response is not None:
                raise StopAsyncIteration
            with self._pausing():
                await self._more()
        return self._waiting.popleft()

    async def _more(self) -> None:
        batch = await anext(self._batches, None)
        if batch is None:
            self._end()
            return
        for chunk in batch:
            if chunk is END:
                self._reading.end()
            else:
                self._waiting += self._reading.feed(chunk)

    def _end(self) -> None:
        if not self._reading.is_finished:
            raise ConnectionLost("the stream ended before the answer did", provider=self._provider)
        self._response = self._reading.response()

    @property
    def response(self) -> ModelResponse:
        """The whole answer.

        Raises:
            RuntimeError: the deltas have not ended yet.
        """
        if self._response is None:
            raise RuntimeError("the answer is not whole yet: iterate over the stream to its end first")
        return self._response
