"""Checks of the end of a session, from either side."""

from __future__ import annotations

from constellation_protocol.errors import TransportClosed
from constellation_protocol.messages import Accept, Drain

from ..kit import check
from ..stage import Stage


@check
async def acknowledges_a_goodbye(stage: Stage) -> None:
    """The orchestrator's goodbye is acknowledged, and the connection then closed."""
    async with stage.opened() as peer:
        await peer.result(await peer.assign("echo", {"value": 1}))
        await peer.goodbye()
        await peer.connection.until_closed("it has to be closed after a goodbye")


@check
async def finishes_when_it_is_drained(stage: Stage) -> None:
    """A drained device takes no new work, finishes what it runs, and then says goodbye."""
    async with stage.opened() as peer:
        running = await peer.assign("sleep", {"seconds": 0.5})
        await peer.first(Accept, running)
        await peer.send(Drain(reason="the check asks for it"))
        await peer.rejection(await peer.assign("echo", {"value": 1}), "draining")
        await peer.result(running)
        await peer.until_goodbye()


@check
async def ends_the_session_with_its_goodbye(stage: Stage) -> None:
    """Nothing follows a goodbye: the session is over, and is not resumed."""
    async with stage.opened() as peer:
        await peer.send(Drain(reason="the check asks for it"))
        await peer.until_goodbye()
        try:
            while True:
                frame = await peer.connection.receive("the end of the connection")
                peer.expect(not any(message.kind not in UNNUMBERED for message in frame.messages), "more was said")
        except TransportClosed:
            pass


UNNUMBERED = ("ping", "pong", "ack", "error")
