"""The transport over `litellm`: the providers that have an API of their own."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import anyio
import anyio.to_thread

from ..errors import ConnectionLost, ContextOverflow, InvalidRequest, LLMError, ModelTimeout, ProviderError
from ..scrubbing import scrub
from ..usage import Prices
from ..wire.faults import fault_of
from ..wire.requests import Call
from .price_table import prices_of
from .transport import Answer, Chunks

_IN_USE: set[int] = set()
"""The transports that are open, by their identity."""

_HTTP_LIBRARIES = frozenset({"aiohttp", "httpcore", "httpcore2", "httpx", "httpx2"})
"""The packages whose errors mean that the connection failed."""


class LiteLLMTransport:
    """Carries requests with `litellm.acompletion`. The library is imported at the first one, which takes seconds."""

    def __init__(self, *, provider: str, model: str, api_key: str | None = None, base_url: str | None = None) -> None:
        """Describe the provider; nothing is imported or connected before `ready`.

        Args:
            provider: Its name.
            model: The model as litellm is told it, such as `anthropic/claude-sonnet-4-5`.
            api_key: The key; None leaves it to litellm to find in the environment.
            base_url: Where the provider is; None for where litellm knows it to be.
        """
        self._provider = provider
        self._model = model
        self._secrets = (api_key,) if api_key else ()
        self._options: dict[str, Any] = {"num_retries": 0, "max_retries": 0}
        if api_key is not None:
            self._options["api_key"] = api_key
        if base_url is not None:
            self._options["api_base"] = base_url
        self._library: Any = None

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._provider

    @property
    def model(self) -> str:
        """The model as litellm is told it."""
        return self._model

    async def ready(self) -> None:
        """Import the library in a thread, for that takes seconds."""
        if self._library is None:
            await anyio.to_thread.run_sync(_import)
            import litellm

            self._library = litellm
            _IN_USE.add(id(self))

    async def prices(self) -> Prices | None:
        """What litellm's own table says that the provider charges; None for a model that is not in it."""
        library = self._library
        try:
            info = library.get_model_info(self._model)
        except Exception:  # litellm raises a bare Exception for a model that it has no entry of
            return None
        return prices_of(info)

    async def send(self, call: Call) -> Answer:
        """Send a request and wait for the whole answer."""
        library = self._library
        with self._translated(library):
            answer = await library.acompletion(**self._arguments(call))
        return Answer(answer.model_dump(exclude_none=True, warnings=False), _headers(answer))

    @asynccontextmanager
    async def open(self, call: Call) -> AsyncIterator[Chunks]:
        """Send a request and read the answer in chunks; leaving the context closes the connection."""
        library = self._library
        with self._translated(library):
            answer = await library.acompletion(**self._arguments(call))
        try:
            async with aclosing(self._batches(library, answer)) as batches:
                yield Chunks(batches, _headers(answer))
        finally:
            with anyio.CancelScope(shield=True):
                await answer.aclose()

    async def _batches(self, library: Any, answer: Any) -> AsyncGenerator[list[Mapping[str, Any]], None]:
        with self._translated(library):
            said = False
            async for chunk in answer:
                shaped = chunk.model_dump(exclude_none=True, warnings=False)
                said = said or any(each.get("delta") for each in shaped.get("choices") or ())
                yield [shaped]
            if not said and getattr(answer, "received_finish_reason", None) is None:
                # The library makes an empty answer of what is no stream at all, such as a proxy's page of HTML.
                raise ConnectionLost("the stream ended before the answer did", provider=self._provider)

    def _arguments(self, call: Call) -> dict[str, Any]:
        arguments = {**call.body, **self._options}
        if call.extra_body:
            arguments["extra_body"] = call.extra_body
        if call.headers:
            arguments["extra_headers"] = dict(call.headers)
        return arguments

    async def models(self) -> Any:
        """Nothing: litellm's providers are known by their names."""
        return {}

    @contextmanager
    def _translated(self, library: Any) -> Iterator[None]:
        """Make the library's errors ours, and leave theirs behind: they hold the request with its key."""
        try:
            yield
        except Exception as error:
            fault = self._ours(library, error)
            if fault is None:
                raise
        else:
            return
        raise fault from None

    def _ours(self, library: Any, error: Exception) -> LLMError | None:
        """Our error for one of the library's; None for what is a bug, here or there."""
        import openai

        if isinstance(error, library.exceptions.MidStreamFallbackError) and error.original_exception is not None:
            error = error.original_exception
        if isinstance(error, library.ContextWindowExceededError):
            return ContextOverflow(self._words(error), provider=self._provider, status=400)
        if isinstance(error, (library.UnsupportedParamsError, library.exceptions.LiteLLMUnknownProvider)):
            return InvalidRequest(self._words(error))
        if isinstance(error, openai.APITimeoutError):
            return ModelTimeout("it did not answer in time", provider=self._provider)
        if isinstance(error, openai.APIConnectionError) or type(error).__module__.partition(".")[0] in _HTTP_LIBRARIES:
            return ConnectionLost(self._words(error), provider=self._provider)
        if isinstance(error, openai.APIError):
            return self._fault(error)
        if isinstance(error, openai.OpenAIError):
            return ProviderError(self._words(error), provider=self._provider)
        return None

    def _fault(self, error: Any) -> ProviderError:
        response = getattr(error, "response", None)
        headers = getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
        status = getattr(error, "status_code", None)
        body = getattr(error, "body", None)
        return fault_of(
            status if isinstance(status, int) else None,
            body,
            {name.lower(): value for name, value in headers.items()},
            provider=self._provider,
            message=self._words(error),
            secrets=self._secrets,
        )

    def _words(self, error: Exception) -> str:
        return scrub(str(getattr(error, "message", "") or error), self._secrets)

    async def aclose(self) -> None:
        """Close the connections. litellm keeps them for the whole process, so the last one to be closed does it."""
        library, self._library = self._library, None
        _IN_USE.discard(id(self))
        if library is not None and not _IN_USE:
            with anyio.CancelScope(shield=True):
                await library.close_litellm_async_clients()
            library.in_memory_llm_clients_cache.flush_cache()  # else it would hand out clients that are closed

    def __repr__(self) -> str:
        return f"<LiteLLMTransport {self._model}>"


def _import() -> None:
    # Else importing it fetches a table of prices from the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.suppress_debug_info = True


def _headers(answer: Any) -> Mapping[str, str]:
    """The HTTP headers, which litellm gives with a prefix where they are not of OpenAI's names."""
    hidden = getattr(answer, "_hidden_params", None) or {}
    found = hidden.get("additional_headers") or {}
    prefix = "llm_provider-"
    return {name.removeprefix(prefix).lower(): str(value) for name, value in found.items()}
