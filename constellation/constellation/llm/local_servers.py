"""Servers of models on this machine: those that listen where their kind usually does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio

from .clients.settings import ClientSettings
from .errors import LLMError
from .hints.probe import ServerFacts
from .opening import SERVERS, open_model
from .retry import Retries

PATIENCE_S = 2.0
"""How long a server on this machine may take to say what it has."""

LOCAL = ("ollama", "vllm", "lmstudio", "llamacpp", "sglang")
"""The kinds that are looked for; others listen where one of these does, and say what they are."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that has answered.

    Attributes:
        url: Its base URL.
        facts: What it has told of itself.
        models: Strings for its models, as `open_model` takes them.
    """

    url: str
    facts: ServerFacts
    models: tuple[str, ...]


async def find_local_servers(places: Mapping[str, str] | Iterable[str] = LOCAL) -> list[LocalServer]:
    """Ask at the usual places, at the same time, who is there.

    Args:
        places: The kinds to look for; or where to look for them, a URL by kind.
    """
    urls = dict(places) if isinstance(places, Mapping) else {kind: SERVERS[kind].url or "" for kind in places}
    found: dict[str, LocalServer] = {}

    async def ask(kind: str, url: str) -> None:
        settings = ClientSettings(Retries(attempts=1), answer_s=PATIENCE_S)
        async with open_model(f"{kind}/any@{url}", settings=settings) as model:
            try:
                facts = await model.facts()
            except LLMError:
                return  # nobody is there, or somebody else
        found[kind] = LocalServer(url, facts, tuple(_string(kind, url, facts, name) for name in facts.models))

    async with anyio.create_task_group() as tasks:
        for kind, url in urls.items():
            tasks.start_soon(ask, kind, url)
    return [found[kind] for kind in urls if kind in found]


def _string(kind: str, url: str, facts: ServerFacts, model: str) -> str:
    """How a model of a server is named: as short as it can be where it listens at its kind's usual place."""
    said = facts.kind if facts.kind in SERVERS else kind if facts.kind == "unknown" else "compatible"
    return f"{said}/{model}" if SERVERS[said].url == url else f"{said}/{model}@{url}"
