"""CPU time per call of a bare library and of ours over it, in turns, in the process that they have for themselves."""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from statistics import median
from subprocess import PIPE
from typing import Any

import anyio
from anyio.streams.text import TextReceiveStream

from constellation.llm import open_model

from .work import ANSWER, MODEL, bare, request

KEY = "sk-benchmark-0123456789"

BATCH = 10
"""How many calls are made between two looks at the clock."""

WARM_UP = 5


class Library(StrEnum):
    """What carries the requests."""

    OPENAI = "openai"
    LITELLM = "litellm"


Call = Callable[[], Awaitable[str]]


def measure(library: str, calls: int, pieces: int, folder: Path) -> dict[str, dict[str, float]]:
    """Median CPU microseconds per call, bare and ours, of whole answers and of streams."""
    return anyio.run(_measure, Library(library), calls, pieces)


async def _measure(library: Library, calls: int, pieces: int) -> dict[str, dict[str, float]]:
    command = [sys.executable, "-m", f"{__package__}.serving", str(pieces)]
    async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=None) as server:
        assert server.stdout is not None
        assert server.stdin is not None
        url = (await TextReceiveStream(server.stdout).receive()).strip()
        try:
            return await _compared(library, url, calls)
        finally:
            await server.stdin.aclose()


async def _compared(library: Library, url: str, calls: int) -> dict[str, dict[str, float]]:
    subjects = {"bare": _bare_openai if library is Library.OPENAI else _bare_litellm, "ours": _ours}
    made: dict[str, dict[str, Call]] = {}
    closers: list[Callable[[], Awaitable[None]]] = []
    for name, make in subjects.items():
        whole, stream, close = make(library, url)
        made[name] = {"whole": whole, "stream": stream}
        closers.append(close)
    found: dict[str, dict[str, float]] = {name: {} for name in subjects}
    for mode in ("whole", "stream"):
        for name in subjects:
            for _ in range(WARM_UP):
                assert await made[name][mode]() == ANSWER
        samples: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(-(-calls // BATCH)):
            for name in subjects:  # in turns, so that what else the machine does weighs on both alike
                samples[name].append(await _cpu_us(made[name][mode]))
        for name in subjects:
            found[name][mode] = median(samples[name])
    for close in closers:
        await close()
    return found


async def _cpu_us(call: Call) -> float:
    began = time.process_time()
    for _ in range(BATCH):
        await call()
    return 1e6 * (time.process_time() - began) / BATCH


def _ours(library: Library, url: str) -> tuple[Call, Call, Callable[[], Awaitable[None]]]:
    prefix = "compatible" if library is Library.OPENAI else "litellm/openai"
    model = open_model(f"{prefix}/{MODEL}@{url}", api_key=KEY)

    async def whole() -> str:
        return (await model.respond(request())).text

    async def stream() -> str:
        async with model.stream(request()) as deltas:
            async for _ in deltas:
                pass
            return deltas.response.text

    return whole, stream, model.aclose


def _bare_openai(library: Library, url: str) -> tuple[Call, Call, Callable[[], Awaitable[None]]]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0)

    async def whole() -> str:
        answer: Any = await client.chat.completions.create(model=MODEL, **bare())
        assert answer.usage.total_tokens
        return answer.choices[0].message.content or ""

    async def stream() -> str:
        options: Any = {"include_usage": True}
        chunks: Any = await client.chat.completions.create(model=MODEL, stream=True, stream_options=options, **bare())
        return await _joined(chunks)

    return whole, stream, client.close


def _bare_litellm(library: Library, url: str) -> tuple[Call, Call, Callable[[], Awaitable[None]]]:
    import litellm

    place: dict[str, Any] = {"model": f"openai/{MODEL}", "api_base": url, "api_key": KEY}

    async def whole() -> str:
        answer: Any = await litellm.acompletion(**place, **bare())
        assert answer.usage.total_tokens
        return answer.choices[0].message.content or ""

    async def stream() -> str:
        options = {"include_usage": True}
        chunks: Any = await litellm.acompletion(**place, stream=True, stream_options=options, **bare())
        return await _joined(chunks)

    async def close() -> None:
        """Ours closes what litellm keeps for the process."""

    return whole, stream, close


async def _joined(chunks: Any) -> str:
    texts: list[str] = []
    usage = None
    async for chunk in chunks:
        usage = getattr(chunk, "usage", None) or usage
        for choice in chunk.choices:
            if choice.delta.content:
                texts.append(choice.delta.content)
    assert usage is not None
    return "".join(texts)
