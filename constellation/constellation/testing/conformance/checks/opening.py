"""Checks of the opening of a session: what the device says first, and what it makes of the answer."""

from __future__ import annotations

from constellation_protocol.messages import Refuse

from ..errors import CheckFailed
from ..kit import check
from ..stage import Stage

TOOLS = ("echo", "fail", "sleep", "count")
"""The tools that every device under test offers; the two about files are optional."""


@check
async def says_hello(stage: Stage) -> None:
    """The first frame of a connection is one hello, with the name, the token and the versions of the device."""
    async with stage.device():
        await stage.hello()


@check
async def shows_its_profile(stage: Stage) -> None:
    """The hello says what the device offers: at least two slots, and the tools that the kit calls."""
    async with stage.device():
        _, hello = await stage.hello()
    missing = set(TOOLS) - {tool.name for tool in hello.profile.tools}
    if missing:
        raise CheckFailed(f"the profile lacks the tools {', '.join(sorted(missing))}, which the kit calls")
    if hello.profile.slots < 2:
        raise CheckFailed(f"the profile says {hello.profile.slots} slot; the kit needs a device with 2 at least")


@check
async def opens_a_session(stage: Stage) -> None:
    """After the welcome the session is open, and work can be done in it."""
    async with stage.opened() as peer:
        await peer.result(await peer.assign("echo", {"value": 1}))


@check
async def heeds_a_refusal(stage: Stage) -> None:
    """A device that is refused for good, as with a wrong token, says nothing more and does not repeat its hello."""
    async with stage.device():
        connection, _ = await stage.hello()
        refusal = Refuse(code="authentication", message="the token is not valid", retry=False)
        await stage.refuse(connection, refusal)
        if await stage.dials_within(2.0):
            raise CheckFailed("the device dialled again after a refusal with 'retry' false")


@check
async def tries_again_when_told_to(stage: Stage) -> None:
    """A device that is refused with `retry` true dials again."""
    async with stage.device():
        connection, _ = await stage.hello()
        await stage.refuse(connection, Refuse(code="shutting-down", message="not now", retry=True))
        await stage.session()


@check
async def rejects_a_version_that_it_did_not_offer(stage: Stage) -> None:
    """A welcome that chooses a version which was not offered is answered with the error `version`."""
    async with stage.device():
        connection, hello = await stage.hello()
        welcome = stage.welcome(version=max(hello.versions) + 1)
        await connection.send(f'{{"v":1,"messages":[{welcome.model_dump_json()}]}}')
        await connection.fault("version")


@check
async def awaits_the_welcome(stage: Stage) -> None:
    """Any other message than a welcome or a refusal before the session is open is the error `handshake`."""
    async with stage.device():
        connection, _ = await stage.hello()
        await connection.send('{"v":1,"messages":[{"kind":"ping","nonce":1}]}')
        await connection.fault("handshake")
