"""Which model a command asks: the one that is named, or one that runs on this machine, or else how to get one."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from .errors import BadInput
from .settings import MODEL_VARIABLE, Settings

if TYPE_CHECKING:
    from ..llm import ChatModel, Prices
    from ..llm.local_servers import LocalServer

HOW_TO = """\
no model is chosen, and no server of models was found on this machine (Ollama, vLLM, LM Studio, llama.cpp, SGLang)
for a provider: export OPENAI_API_KEY=..., then constellation ask --model openai/gpt-5 "..."
for a model of your own: ollama pull qwen3, then constellation ask --model ollama/qwen3 "..."
to keep the choice, put model = "..." below [ask] into constellation.toml"""


def open_chosen(text: str, settings: Settings, price: str | None = None) -> ChatModel:
    """Open a model with the key and the prices that the settings have for it; raises ModelMisconfigured, BadInput."""
    from ..llm import ModelAddress, open_model

    provider = ModelAddress.parse(text).provider
    return open_model(text, api_key=settings.key_for(provider), prices=prices_of(price or settings.prices.get(text)))


def prices_of(text: str | None) -> Prices | None:
    """Prices as people write them: dollars per million tokens, `INPUT,OUTPUT` or `INPUT,OUTPUT,CACHED`.

    Raises:
        BadInput: they are none.
    """
    from decimal import InvalidOperation

    from ..llm import Prices

    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    try:
        if len(parts) in (2, 3):
            return Prices.of(parts[0], parts[1], cached=parts[2] if len(parts) == 3 else None)
    except InvalidOperation:
        pass
    raise BadInput(f"{text!r} is no price: give US dollars per million tokens, INPUT,OUTPUT, such as 2.50,10")


async def choose_model(named: str | None, settings: Settings) -> str:
    """The string of the model to ask.

    Raises:
        BadInput: none is named, and none on this machine is agreed to; says how to choose one.
    """
    chosen = named or os.environ.get(MODEL_VARIABLE) or settings.ask.model
    if chosen:
        return chosen
    from ..llm.local_servers import find_local_servers

    models = [(server, model) for server in await find_local_servers() for model in server.models]
    if not models:
        raise BadInput(HOW_TO)
    if sys.stdin.isatty() and sys.stderr.isatty():
        return await _offer(models)
    found = ", ".join(model for _, model in models[:6])
    raise BadInput(f"no model is chosen; on this machine there are {found}: give one of them with --model")


async def _offer(models: list[tuple[LocalServer, str]]) -> str:
    """Ask the person at the terminal which model on this machine to use."""
    import anyio

    from ..console.sanitise import visible

    server, first = models[0]
    sys.stderr.write(f"no model is chosen; {visible(first)} runs on this machine ({visible(server.url)})\n")
    others = ", ".join(visible(model) for _, model in models[1:6])
    if others:
        sys.stderr.write(f"there are also {others}: give one of them with --model\n")
    sys.stderr.write("Use it? [y]es or [n]o: ")
    sys.stderr.flush()
    # Not by reading alone: while that waits, nothing else goes on, and no signal is noticed.
    await anyio.wait_readable(sys.stdin.fileno())
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return first
    raise BadInput("no model is chosen: give one with --model")
