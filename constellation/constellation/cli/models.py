"""`constellation models`: which models can be asked, and what works of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from .errors import RUN_FAILED, BadInput
from .options import AsJson

if TYPE_CHECKING:
    from .settings import Settings

MODELS = typer.Typer(help="See which models can be asked, and what works of them.", no_args_is_help=True)

PROVIDERS = ("openai", "anthropic", "gemini", "mistral", "groq", "deepseek", "openrouter", "xai")
"""Providers whose keys are looked for; others are asked all the same."""

Line = tuple[str, str, bool | None, str]
"""What was looked at, what about it, whether it works (None where nothing was tried), and what there is to say."""


@MODELS.callback()
def _models() -> None:
    """See which models can be asked, and what works of them."""


@MODELS.command()
def check(
    models: Annotated[
        list[str] | None, typer.Argument(help="Models to try; else the chosen one.", metavar="MODEL")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Say which keys are set and which local servers answer, and try models: an answer, a stream, tools, hints.

    Trying a model takes four small requests, which cost what the model charges for a few hundred tokens.
    """
    import anyio

    from ..console.output import write_text
    from .settings import read_settings

    settings = read_settings()

    async def body() -> int:
        tried = worked = 0
        async for line in _checks(settings, models or []):
            about, name, ok, detail = line
            tried += ok is not None
            worked += ok is True
            if as_json:
                write_text(json.dumps({"about": about, "check": name, "ok": ok, "detail": detail}, ensure_ascii=False))
            else:
                write_text(_text(line))
        if not tried:
            raise BadInput(
                "there is no model to try: name one, such as openai/gpt-5, or put it into constellation.toml"
            )
        return 0 if worked == tried else RUN_FAILED

    return anyio.run(body)


async def _checks(settings: Settings, named: list[str]) -> AsyncIterator[Line]:
    from ..llm import LLMError
    from ..llm.checking import check_model
    from ..llm.local_servers import find_local_servers
    from .choosing import open_chosen

    for line in _keys(settings):
        yield line
    servers = await find_local_servers()
    for server in servers:
        yield server.url, "server", None, f"{server.facts.kind}: {', '.join(server.models[:6]) or 'no models'}"
    if not servers:
        yield "this machine", "server", None, "no server of models answers at the usual places"
    chosen = named or _chosen(settings) or [server.models[0] for server in servers if server.models]
    for text in chosen:
        try:
            async with open_chosen(text, settings) as model:
                async for result in check_model(model):
                    yield text, result.name, result.ok, result.detail
        except LLMError as error:
            yield text, "open", False, str(error)


def _chosen(settings: Settings) -> list[str]:
    import os

    from .settings import MODEL_VARIABLE

    model = os.environ.get(MODEL_VARIABLE) or settings.ask.model
    return [model] if model else []


def _keys(settings: Settings) -> Iterator[Line]:
    """Where keys are; never what they are."""
    import os

    from .settings import key_variable

    for provider in dict.fromkeys((*PROVIDERS, *settings.keys)):
        variable = key_variable(provider)
        if os.environ.get(variable):
            yield provider, "key", None, f"set: {variable}"
        elif provider in settings.keys:
            yield provider, "key", None, "set: constellation.toml"
        else:
            yield provider, "key", None, f"not set: {variable}"


def _text(line: Line) -> str:
    from ..console.sanitise import visible

    about, name, ok, detail = line
    verdict = "" if ok is None else "ok: " if ok else "FAILED: "
    return f"{visible(about):<32} {name:<7} {verdict}{visible(detail, limit=500)}"
