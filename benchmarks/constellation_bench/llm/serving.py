"""A program: the server that the calls go to, in a process of its own, so that its time is not counted.

    python -m constellation_bench.llm.serving PIECES

Prints its base URL, and goes on until its input ends.
"""

from __future__ import annotations

import sys

import anyio
import anyio.to_thread

from constellation.testing.models import ModelServer

from .work import MODEL, reply


async def main(pieces: int) -> None:
    """Serve until the input ends."""
    answer = reply(pieces)
    async with ModelServer(rules=[lambda seen: answer], models=[MODEL], remember=False) as server:
        sys.stdout.write(server.url + "\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.read)


if __name__ == "__main__":
    anyio.run(main, int(sys.argv[1]))
