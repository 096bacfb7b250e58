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

import anyio.to_thread

from ..errors import ConnectionLost, MalformedResponse, ModelTimeout, ProviderError
from ..scrubbing import scrub
from ..usage import Prices
from ..wire.faults import fault_of
from ..wire.requests import Call
from ..wire.sse import EventReader, EventTooLong
from .price_table import openai_prices
from .transport import Answer, Chunks

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_DONE = b"[DONE]"
_JSON = "application/json"
_NO_EVENTS = frozenset({_JSON, "text/html"})


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
        with self._translated():
            answer = await client.chat.completions.with_raw_response.create(
                **call.body, extra_body=call.extra_body or None, extra_headers=call.headers or None
            )
            content = answer.content
        return Answer(self._chunk(content), answer.headers)

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
                content = await answer.read()
            yield [self._at_once(kind, content)]
            return
        reader = EventReader()
        with self._translated():
            async with aclosing(answer.iter_bytes()) as parts:
                async for data in parts:
                    chunks = [self._chunk(event) for event in reader.feed(data) if _says(event)]
                    if chunks:
                        yield chunks
            chunks = [self._chunk(event) for event in reader.end() if _says(event)]
        if chunks:
            yield chunks

    def _at_once(self, kind: str, content: bytes) -> Mapping[str, Any]:
        """The one chunk of an answer that is no stream: some servers do not stream, or say as JSON what went wrong."""
        if kind != _JSON:
            raise MalformedResponse(f"it answered {kind}, not a stream of events", provider=self._provider)
        answer = self._chunk(content)
        choices = answer.get("choices")
        if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
            raise MalformedResponse("the answer is no chat completion", provider=self._provider)
        return {**answer, "choices": [{**each, "delta": each.get("message")} for each in choices]}

    def _chunk(self, event: bytes) -> Mapping[str, Any]:
        chunk = self._parsed(event)
        if chunk.get("error"):
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
        except EventTooLong as error:
            fault = MalformedResponse(str(error), provider=self._provider)
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


def _says(event: bytes) -> bool:
    """Whether there is anything in an event; empty ones keep the connection alive."""
    return event.strip() not in (b"", _DONE)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
