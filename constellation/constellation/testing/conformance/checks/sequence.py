"""Checks of numbers, acknowledgements and credits, and of signs of life."""

from __future__ import annotations

from constellation_protocol.messages import Accept, Progress, Reject, Result

from ..errors import CheckFailed
from ..kit import check
from ..peer import Peer
from ..stage import Stage

CREDITS = 3
"""How many messages the device may send unacknowledged in the check of credits."""


@check
async def acknowledges_what_it_takes_in(stage: Stage) -> None:
    """Numbered messages are acknowledged."""
    async with stage.opened() as peer:
        await peer.result(await peer.assign("echo", {"value": 1}))
        await peer.acknowledged()


@check
async def drops_what_it_has_seen(stage: Stage) -> None:
    """A message whose number the device has seen is dropped: work that comes twice in this way runs once."""
    async with stage.opened() as peer:
        attempt = await peer.assign("echo", {"value": 1})
        await peer.result(attempt)
        await peer.repeat_work()
        await peer.result(await peer.assign("echo", {"value": 2}))
        peer.expect(len(peer.of(Result, attempt)) == 1, "a repeated assignment led to a second result")
        peer.expect(not peer.of(Reject, attempt), "a repeated assignment was rejected; it has to be dropped")


@check
async def rejects_a_gap(stage: Stage) -> None:
    """A message whose number is beyond the next is answered with the error `sequence`."""
    async with stage.opened() as peer:
        number = peer.next_number + 5
        await peer.connection.send(f'{{"v":1,"seq":{number},"messages":[{{"kind":"drain"}}]}}')
        await peer.connection.fault("sequence")


@check
async def rejects_an_acknowledgement_of_nothing(stage: Stage) -> None:
    """An acknowledgement of what was never sent is answered with the error `sequence`."""
    async with stage.opened() as peer:
        await peer.connection.send('{"v":1,"messages":[{"kind":"ack","received":1000000,"credits":1}]}')
        await peer.connection.fault("sequence")


@check
async def keeps_to_its_credits(stage: Stage) -> None:
    """Without acknowledgements no more messages come than there are credits, and the rest comes with new ones."""
    async with stage.opened(credits=CREDITS) as peer:
        peer.settles = False
        attempts = []
        for number in range(3):
            attempts.append(await peer.assign("echo", {"value": number}))
            await _until_answered(peer, attempts[-1])
        attempts.append(await peer.assign("count", {"to": 5}))
        await peer.ping()  # the session itself fails the check where more comes than there is credit for
        peer.settles = True
        await peer.settle()
        for attempt in attempts:
            await peer.ended(attempt)


async def _until_answered(peer: Peer, attempt: str) -> None:
    """Wait until an attempt has ended or the device has no credit left to say so."""
    await peer.until(
        lambda: True if peer.ending(attempt) is not None or len(peer.seen) >= CREDITS else None,
        f"messages about {attempt!r}",
    )


@check
async def answers_a_ping(stage: Stage) -> None:
    """A ping is answered at once by a pong with the same nonce, also while work is running."""
    async with stage.opened() as peer:
        attempt = await peer.assign("sleep", {"seconds": 60})
        await peer.first(Accept, attempt)
        await peer.ping()
        await peer.cancel(attempt, grace_s=0.5)
        await peer.result(attempt, "cancelled")


@check
async def pings_a_silent_peer(stage: Stage) -> None:
    """After `heartbeat_s` of silence the device sends a ping."""
    async with stage.opened(heartbeat_s=0.2) as peer:
        await peer.until(lambda: True if peer.pings else None, "a ping")


@check
async def drops_a_dead_connection(stage: Stage) -> None:
    """After three pings in a row without a sign of life the connection is dropped, and the session resumed."""
    async with stage.opened(heartbeat_s=0.2) as peer:
        pings = await peer.until_dropped()
        peer.expect(pings >= 3, f"the connection was dropped after {pings} pings; three have to go unanswered")
        connection, hello = await stage.hello("the device to dial again after its pings went unanswered")
        await peer.resume(connection, hello)
        await peer.result(await peer.assign("echo", {"value": 1}))


@check
async def reports_in_order(stage: Stage) -> None:
    """Progress comes after the acceptance and before the result, and the last line that is reported comes too."""
    async with stage.opened() as peer:
        attempt = await peer.assign("count", {"to": 20})
        await peer.result(attempt)
        lines = [line for message in peer.of(Progress, attempt) for line in (message.text or "").splitlines()]
        if lines != [str(number) for number in range(1, 21)]:
            raise CheckFailed(f"'count' to 20 has to report the lines 1 to 20; these came: {lines}")
