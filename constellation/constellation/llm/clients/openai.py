"""The transport over the `openai` library: OpenAI itself, and every compatible server by its base URL.

Requests go through the library's own methods. Answers are read as bytes and parsed here: making the library's objects
of every chunk costs several times what the rest of a stream does, and would be undone at once.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from ..errors import ConnectionLost, MalformedResponse, ModelTimeout, ProviderError
from ..scrubbing import scrub
from ..usage import Prices
from ..wire.faults import fault_of
from ..wire.requests import Call
from ..wire.sse import EventReader, EventTooLong
from .price_table import openai_prices
from .transport import END, Answer, Chunks

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_DONE = b"[DONE]"
_JSON = "application/json"
_NO_EVENTS = frozenset({_JSON, "text/html"})

_LENGTHS = frozenset({"content-length", "transfer-encoding"})
"""Headers by which HTTP tells a whole answer from one that was cut."""

MOST_BYTES = 256 * 2**20
"""The longest answer that is taken, whole or streamed."""

DRAIN_S = 1.0
"""How long to wait behind the end of a stream for that of its HTTP answer, so that the connection can be used again."""


class OpenAITransport:
    """Carries requests with `openai.AsyncOpenAI`, which is made at the first one."""

    def __init__(
        self, *, provider: str, model: str, api_key: str, base_url: str | None = None, is_openai: bool = False
    ) -> None:
        """Describe the server; nothing is imported or connected yet.

        Args:
            provider: Its name.
            model: The model's name, as the server is told it.
            api_key: The key.
            base_url: Where the server is; None for where the library knows OpenAI to be.
            is_openai: Whether it is OpenAI itself, whose prices apply then.
        """
        self._provider = provider
        self._model = model
        self._api_key = api_key
        self._base_url = base_url
        self._is_openai = is_openai
        self._client: AsyncOpenAI | None = None

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider

    @property
    def model(self) -> str:
        """The model's name, as the server is told it."""
        return self._model

    async def ready(self) -> None:
        """Import the library in a thread, for that takes a second."""
        if self._client is None:
            await anyio.to_thread.run_sync(_import)
            self._made()

    async def prices(self) -> Prices | None:
        """What OpenAI charges, where a table of that is installed; compatible servers have no prices."""
        return await anyio.to_thread.run_sync(openai_prices, self._model) if self._is_openai else None

    async def send(self, call: Call) -> Answer:
        """Send a request and wait for the whole answer."""
        client = self._made()
        request = client.chat.completions.with_streaming_response.create(
            **call.body, extra_body=call.extra_body or None, extra_headers=call.headers or None
        )
        with self._translated():
            async with request as answer:
                content = await self._content(answer)
        return Answer(self._whole(content, answer.headers), answer.headers)

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Chunks]:
        """Send a request and read the answer in chunks; leaving the context closes the connection."""
        client = self._made()
        request = client.chat.completions.with_streaming_response.create(
            **call.body, extra_body=call.extra_body or None, extra_headers=call.headers or None
        )
        with self._translated():
            answer = await request.__aenter__()
        try:
            async with aclosing(self._batches(answer)) as batches:
                yield Chunks(batches, answer.headers)
        finally:
            await request.__aexit__(None, None, None)

    async def _batches(self, answer: Any) -> AsyncGenerator[list[Mapping[str, Any]], None]:
        if (kind := _media_type(answer.headers)) in _NO_EVENTS:
            with self._translated():
                content = await self._content(answer)
            yield [self._at_once(kind, content, answer.headers)]
            return
        reader = EventReader()
        async with aclosing(self._parts(answer)) as parts:
            async for data in parts:
                chunks: list[Mapping[str, Any]] = []
                for event in self._events(reader, data):
                    if event == _DONE:
                        yield [*chunks, END]
                        await self._drain(parts)
                        return
                    chunks.append(self._chunk(event))
                if chunks:
                    yield chunks
        # Some servers leave out the empty line behind the last event; else it is one that was cut.
        for event in _told(reader.end()):
            yield [END if event == _DONE else self._last(event)]

    async def _parts(self, answer: Any) -> AsyncGenerator[bytes, None]:
        """What comes of an answer, until that is too much."""
        count = 0
        with self._translated():
            async with aclosing(answer.iter_bytes()) as parts:
                async for data in parts:
                    count += len(data)
                    if count > MOST_BYTES:
                        raise MalformedResponse(
                            f"the answer is longer than {MOST_BYTES} bytes", provider=self._provider
                        )
                    yield data

    async def _content(self, answer: Any) -> bytes:
        content = bytearray()
        async with aclosing(self._parts(answer)) as parts:
            async for data in parts:
                content += data
        return bytes(content)

    async def _drain(self, parts: AsyncIterator[bytes]) -> None:
        """Wait for the end of an HTTP answer that has said all; whether it comes does not matter to what was said."""
        try:
            with anyio.move_on_after(DRAIN_S):
                async for _ in parts:
                    pass
        except ProviderError:
            return

    def _events(self, reader: EventReader, data: bytes) -> list[bytes]:
        try:
            return _told(reader.feed(data))
        except EventTooLong as error:
            raise MalformedResponse(str(error), provider=self._provider) from None

    def _last(self, event: bytes) -> Mapping[str, Any]:
        try:
            return self._chunk(event)
        except MalformedResponse:
            raise ConnectionLost("the stream ended within an event", provider=self._provider) from None

    def _whole(self, content: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """A whole answer; one that ends where the connection does may have been cut, and nothing else tells."""
        try:
            return self._chunk(content)
        except MalformedResponse:
            if content.lstrip().startswith(b"{") and not _LENGTHS & headers.keys():
                raise ConnectionLost("the connection ended before the answer did", provider=self._provider) from None
            raise

    def _at_once(self, kind: str, content: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """The one chunk of an answer that is no stream: some servers do not stream, or say as JSON what went wrong."""
        if kind != _JSON:
            raise MalformedResponse(f"it answered {kind}, not a stream of events", provider=self._provider)
        answer = self._whole(content, headers)
        choices = answer.get("choices")
        if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
            raise MalformedResponse("the answer is no chat completion", provider=self._provider)
        return {**answer, "choices": [{**each, "delta": each.get("message")} for each in choices]}

    def _chunk(self, event: bytes) -> Mapping[str, Any]:
        chunk = self._parsed(event)
        if chunk.get("error") or chunk.get("object") == "error" or _complains(chunk):
            raise fault_of(None, chunk, {}, provider=self._provider, secrets=(self._api_key,))
        return chunk

    def _parsed(self, content: bytes) -> Mapping[str, Any]:
        try:
            value = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise MalformedResponse(f"the answer is no JSON ({error})", provider=self._provider) from None
        if not isinstance(value, dict):
            raise MalformedResponse("the answer is no JSON object", provider=self._provider)
        return value

    async def models(self) -> Any:
        """What the server answers to `GET /v1/models`, JSON."""
        client = self._made()
        with self._translated():
            answer = await client.models.with_raw_response.list()
            content = answer.content
        return self._parsed(content)

    def _made(self) -> AsyncOpenAI:
        if self._client is None:
            from openai import AsyncOpenAI

            # Tries and time limits are ours, so that they are the same for every provider.
            self._client = AsyncOpenAI(api_key=self._api_key, base_url=self._base_url, timeout=None, max_retries=0)
        return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Make the library's errors ours, and leave theirs behind: they hold the request with its key."""
        import openai

        try:
            yield
        except openai.APIStatusError as error:
            body = error.body if error.body is not None else error.response.text
            headers = error.response.headers
            fault = self._fault(error.status_code, body, headers, error.message)
        except openai.APITimeoutError:
            fault = ModelTimeout("it did not answer in time", provider=self._provider)
        except openai.APIConnectionError as error:
            fault = ConnectionLost(self._reason(error), provider=self._provider)
        except openai.APIError as error:
            fault = self._fault(None, error.body, {}, error.message)
        except openai.OpenAIError as error:
            fault = ProviderError(scrub(str(error), (self._api_key,)), provider=self._provider)
        except Exception as error:
            # Reading bytes, the library lets its HTTP client's errors through; which that is depends on its version.
            if type(error).__module__.partition(".")[0] not in ("httpx", "httpx2", "httpcore", "httpcore2"):
                raise
            fault = ConnectionLost(self._reason(error), provider=self._provider)
        else:
            return
        raise fault from None

    def _fault(self, status: int | None, body: Any, headers: Mapping[str, str], message: str) -> ProviderError:
        return fault_of(status, body, headers, provider=self._provider, message=message, secrets=(self._api_key,))

    def _reason(self, error: Exception) -> str:
        cause = error.__cause__ or error
        reason = scrub(str(cause) or type(cause).__name__, (self._api_key,))
        return f"the connection failed ({reason}); is {self._base_url or 'the network'} up?"

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def __repr__(self) -> str:
        return f"<OpenAITransport {self._provider}/{self._model}>"


def _import() -> None:
    import_module("openai")
    import_module("openai.resources.chat.completions")  # else loaded late, on the event loop


def _told(events: list[bytes]) -> list[bytes]:
    """What there is in events; empty ones keep the connection alive."""
    return [told for event in events if (told := event.strip())]


def _complains(chunk: Mapping[str, Any]) -> bool:
    """Whether a chunk says what is wrong without calling it an error, as servers do that name the event so."""
    return "choices" not in chunk and bool(chunk.get("message") or chunk.get("detail"))


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
