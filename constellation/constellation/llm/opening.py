"""Models by their strings: `provider/model`, `provider/model@http://host:port`, `litellm/provider/model`.

The provider decides what carries the requests. Those in `SERVERS` speak OpenAI's API and are reached with `openai`; all
others are litellm's, as is everything behind `litellm/`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from urllib.parse import urlsplit

from .clients.chat import ChatModel
from .clients.litellm import LiteLLMTransport
from .clients.openai import OpenAITransport
from .clients.settings import ClientSettings
from .clients.transport import Transport
from .errors import ModelMisconfigured
from .hints.dialects import dialect_named
from .hints.fields import Dialect, HintMemory
from .usage import Prices


@dataclass(frozen=True, slots=True)
class Server:
    """A kind of server that speaks OpenAI's API.

    Attributes:
        url: Where one is usually found; None where it has to be said.
        dialect: The name of the dialect that it understands; None to ask the server.
        needs_key: Whether it does nothing without a key.
    """

    url: str | None
    dialect: str | None
    needs_key: bool = False


SERVERS: Mapping[str, Server] = {
    "openai": Server("https://api.openai.com/v1", "openai", needs_key=True),
    "compatible": Server(None, None),
    "vllm": Server("http://127.0.0.1:8000/v1", "vllm"),
    "continuum": Server("http://127.0.0.1:8000/v1", "continuum"),
    "continuum-plugin": Server("http://127.0.0.1:8000/v1", "continuum-plugin"),
    "sglang": Server("http://127.0.0.1:30000/v1", "sglang"),
    "dynamo": Server("http://127.0.0.1:8000/v1", "dynamo"),
    "llm-d": Server(None, "llm-d"),
    "ollama": Server("http://127.0.0.1:11434/v1", "plain"),
    "lmstudio": Server("http://127.0.0.1:1234/v1", "plain"),
    "llamacpp": Server("http://127.0.0.1:8080/v1", "plain"),
}
"""The servers that speak OpenAI's API, by the name of their provider."""

_OWN_DIALECTS = {
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "gemini": "gemini",
    "vertex_ai": "gemini",
    "openai": "openai",
}
"""The dialects of litellm's providers; all others are told nothing."""

_STRING = re.compile(r"(?P<provider>[A-Za-z0-9_.-]+)/(?P<model>.+?)(?:@(?P<url>https?://\S+))?")

KEYLESS = "none"
"""What servers are sent as a key that want none: the library insists on one."""


@dataclass(frozen=True, slots=True)
class ModelAddress:
    """A model string, taken apart.

    Attributes:
        provider: The provider's name, in lower case.
        model: The model's name there.
        url: The server's base URL; None for the provider's own.
        through_litellm: Whether litellm carries the requests.
    """

    provider: str
    model: str
    url: str | None
    through_litellm: bool

    @property
    def key_variable(self) -> str | None:
        """The variable of the environment that its key is taken from; None where that one is not for its server."""
        server = None if self.through_litellm else SERVERS[self.provider]
        if self.url is not None and (self.provider == "openai" or (server is not None and server.needs_key)):
            return None  # the key of OpenAI itself is not for whoever speaks its API
        return f"{self.provider.upper().replace('-', '_')}_API_KEY"

    @classmethod
    def parse(cls, text: str) -> ModelAddress:
        """Take a model string apart.

        Raises:
            ModelMisconfigured: it is none.
        """
        found = _STRING.fullmatch(text.strip())
        if found is None:
            raise ModelMisconfigured(
                f"{text!r} is no model: write provider/model, such as openai/gpt-5, or vllm/qwen3@http://host:8000"
            )
        provider, model = found["provider"].lower(), found["model"]
        if provider != "litellm":
            return cls(provider, model, _url(found["url"], provider), provider not in SERVERS)
        inner = re.fullmatch(r"(?P<provider>[A-Za-z0-9_.-]+)/(?P<model>.+)", model)
        if inner is None:
            raise ModelMisconfigured(f"{text!r} names no provider behind litellm/: write litellm/provider/model")
        return cls(inner["provider"].lower(), inner["model"], _url(found["url"], inner["provider"].lower()), True)


def _url(url: str | None, provider: str) -> str | None:
    return None if url is None else base_url(url, path="/v1" if provider in SERVERS else "")


def base_url(url: str, *, path: str = "/v1") -> str:
    """A server's base URL; `path` is added to one without a path.

    Raises:
        ModelMisconfigured: it holds what a base URL must not.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ModelMisconfigured(f"the URL of the model's server is wrong: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise ModelMisconfigured("a key must not stand in the URL of a model's server: give it as api_key")
    if not parts.hostname or parts.query or parts.fragment:
        raise ModelMisconfigured(f"{url!r} is no base URL: write http://host:port, with a path if it has one")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or path}"


def open_model(
    text: str,
    *,
    api_key: str | None = None,
    settings: ClientSettings | None = None,
    dialect: Dialect | str | None = None,
    prices: Prices | None = None,
    memory: HintMemory | None = None,
) -> ChatModel:
    """Open a model by its string. Nothing is imported or connected before the first request.

    Args:
        text: Such as `openai/gpt-5`, `vllm/qwen3@http://10.0.0.7:8000`, `anthropic/claude-sonnet-4-5`.
        api_key: The key; None for that of the environment, `OPENAI_API_KEY` for `openai` and so on. A server named by
            a URL is never sent the environment's key of OpenAI itself.
        settings: How patient it is.
        dialect: How the server is told of workflows, or the name of that; None for what the provider understands.
        prices: What is charged; None for what litellm's table says of its own models.
        memory: Which hints the server has refused, where clients share that.

    Raises:
        ModelMisconfigured: the string is none, or a key or a package is missing.
    """
    address = ModelAddress.parse(text)
    transport = _litellm(address, api_key) if address.through_litellm else _openai(address, api_key)
    chosen = _dialect_of(address) if dialect is None else dialect
    if isinstance(chosen, str):
        chosen = dialect_named(chosen)
    return ChatModel(text, transport, settings=settings, dialect=chosen, prices=prices, memory=memory)


def _dialect_of(address: ModelAddress) -> str | None:
    if address.through_litellm:
        return _OWN_DIALECTS.get(address.provider, "none")
    if address.provider == "openai" and address.url is not None:
        return None
    return SERVERS[address.provider].dialect


def _openai(address: ModelAddress, api_key: str | None) -> Transport:
    server = SERVERS[address.provider]
    url = address.url or server.url
    if url is None:
        raise ModelMisconfigured(
            f"{address.provider} has no usual place: write {address.provider}/{address.model}@http://host:port"
        )
    variable = address.key_variable
    key = api_key or (None if variable is None else os.environ.get(variable))
    if not key and server.needs_key and address.url is None:
        raise ModelMisconfigured(f"{address.provider} needs a key: set {variable}, or give api_key")
    is_openai = address.provider == "openai" and address.url is None
    return OpenAITransport(
        provider=address.provider, model=address.model, api_key=key or KEYLESS, base_url=url, is_openai=is_openai
    )


def _litellm(address: ModelAddress, api_key: str | None) -> Transport:
    if find_spec("litellm") is None:
        raise ModelMisconfigured(
            f"{address.provider} needs litellm: pip install 'constellation-agents[litellm]'; without it there are "
            f"{', '.join(SERVERS)}"
        )
    key = api_key
    if key is None and address.url is not None and address.provider == "openai":
        key = KEYLESS  # else litellm would send the environment's key of OpenAI itself to that server
    model = f"{address.provider}/{address.model}"
    return LiteLLMTransport(provider=address.provider, model=model, api_key=key, base_url=address.url)
