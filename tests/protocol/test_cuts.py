"""Messages over a WebSocket that is cut two hundred times, mostly within a frame: none is lost, none comes twice.

On this level nothing is coalesced: what was given to `Link.send` arrives, message by message. That a device merges
progress which has not been sent yet is its agent's doing; see `tests/devices/test_cuts.py`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import anyio
import pytest

from constellation.testing.proxy import Proxy, proxy
from constellation_protocol import (
    Assign,
    Hello,
    Link,
    Message,
    Progress,
    ReconnectPolicy,
    Result,
    SessionSettings,
    ToolWork,
    dial,
    listen,
)
from constellation_protocol.transport import Peer

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

MESSAGES = 10_000
CUTS = 200
CREDITS = 32
"""So few that messages come in many batches, and a cut can fall between any two of them."""

AT_ONCE = ReconnectPolicy(first_delay_s=0.0, max_delay_s=0.01)


def said(number: int) -> Message:
    if number % 10 == 9:
        return Result(attempt=f"a/{number}", epoch=1, status="succeeded", output=number)
    return Progress(attempt="a", epoch=1, text=f"line {number}", data=number)


def asked(number: int) -> Message:
    return Assign(run="r", star=f"s{number}", attempt=f"s{number}/1", epoch=1, work=ToolWork(tool="t"))


class Cutter:
    """Cuts the connection again and again, until it was cut often enough."""

    def __init__(self, wire: Proxy, seed: int) -> None:
        self._wire = wire
        self._random = random.Random(seed)

    async def cut(self, link: Link) -> None:
        """Cut somewhere in the next few thousand bytes; or at once, and wait until the link is connected again."""
        wire = self._wire
        if wire.armed or wire.cuts >= CUTS:
            return
        if self._random.random() < 0.7:
            wire.cut_after(self._random.randrange(6000))
            return
        answered = wire.passed["down"]
        wire.cut()
        while not (link.connected and wire.passed["down"] > answered):
            await anyio.lowlevel.checkpoint()


async def take(link: Link, cutter: Cutter, count: int) -> list[Message]:
    """Take so many messages; some cuts come while what was taken is not acknowledged yet, and will be sent again."""
    taken: list[Message] = []
    while len(taken) < count:
        taken += await link.receive()
        await cutter.cut(link)
    return taken


async def authenticate(hello: Hello, peer: Peer) -> None:
    """Let everybody in."""


async def admit(hello: Hello, grounds: None) -> int:
    return 1


@pytest.mark.parametrize("seed", [1, 2])
async def test_ten_thousand_messages_each_way_survive_200_cuts_once_and_in_order(seed: int) -> None:
    up, down = [said(n) for n in range(MESSAGES)], [asked(n) for n in range(MESSAGES)]
    came_up: list[Message] = []
    came_down: list[Message] = []
    acked: list[Message] = []
    hellos: list[Hello] = []
    all_taken = anyio.Event()

    def hello() -> Hello:
        hellos.append(Hello(device="d"))
        return hellos[-1]

    async def serve(link: Link) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(link.send, *down)
            came_up.extend(await take(link, cutter, MESSAGES))
        all_taken.set()
        came_up.extend(await link.receive())  # one more than there are, or the goodbye

    def note_acked(messages: Sequence[Message]) -> None:
        acked.extend(messages)

    with anyio.fail_after(100):
        async with (
            listen(
                authenticate=authenticate, admit=admit, serve=serve, settings=SessionSettings(credits=CREDITS)
            ) as listener,
            proxy(listener.port) as wire,
        ):
            cutter = Cutter(wire, seed)
            url = f"ws://127.0.0.1:{wire.port}/aip"
            async with dial(url, hello, reconnect=AT_ONCE, on_acked=note_acked) as link:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(link.send, *up)
                    came_down += await take(link, cutter, MESSAGES)
                await all_taken.wait()
            cuts = wire.cuts

    assert came_up == up
    assert came_down == down
    assert acked == up
    assert cuts == CUTS
    assert len(hellos) > CUTS
