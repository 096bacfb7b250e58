"""Checks of what outlives a connection, a session, and the device itself."""

from __future__ import annotations

from constellation_protocol.messages import Accept, Refuse, Result

from ..errors import CheckFailed, CheckSkipped
from ..kit import check
from ..stage import Stage


@check
async def resumes_its_session(stage: Stage) -> None:
    """After a lost connection the device dials again, names its session, and goes on in it."""
    async with stage.opened() as peer:
        await peer.result(await peer.assign("echo", {"value": 1}))
        await stage.resumed(peer)
        await peer.result(await peer.assign("echo", {"value": 2}))


@check
async def works_on_through_a_cut(stage: Stage) -> None:
    """Work goes on while there is no connection, and its result comes once the session is resumed."""
    async with stage.opened() as peer:
        attempt = await peer.assign("sleep", {"seconds": 0.5})
        await peer.first(Accept, attempt)
        hello = await stage.resumed(peer)
        result = await peer.result(attempt)
        peer.expect(len(peer.of(Accept, attempt)) == 1, "the attempt was accepted twice: it was begun again")
        if attempt not in (*hello.running, *hello.finished):
            raise CheckFailed(f"the hello lists {attempt!r} neither in 'running' nor in 'finished'")
        peer.expect(result.duration_s >= 0.4, f"the work slept 0.5 s; its 'duration_s' is {result.duration_s:g}")


@check
async def sends_again_what_was_not_acknowledged(stage: Stage) -> None:
    """What the welcome does not cover is sent again under the same numbers, and what it covers is not."""
    async with stage.opened() as peer:
        first = await peer.assign("echo", {"value": 1})
        await peer.result(first)
        peer.loses_incoming = True
        second = await peer.assign("echo", {"value": 2})
        await peer.until(
            lambda: next((message for message in peer.lost if isinstance(message, Result)), None),
            f"the result of {second!r}, which the kit will lose",
        )
        await stage.resumed(peer)  # the kit's session never saw it, and says so in its welcome
        peer.loses_incoming = False
        await peer.result(second)
        peer.expect(len(peer.of(Result, first)) == 1, "a result that was acknowledged came again")


@check
async def opens_a_new_session_when_the_old_is_gone(stage: Stage) -> None:
    """After `unknown-session` the device opens a new session, and its unacknowledged results come in that epoch."""
    async with stage.opened() as peer:
        peer.settles = False
        attempt = await peer.assign("echo", {"value": "kept"})
        await peer.result(attempt)
        peer.cut()
        connection, hello = await stage.hello("the device to dial again")
        peer.expect(hello.session == peer.welcome.session, "after a lost connection the hello must name the session")
        await stage.refuse(connection, Refuse(code="unknown-session", message="the session has ended"))
        later, hello = await stage.session()
        peer.expect(attempt in hello.finished, f"the hello does not list the finished attempt {attempt!r}")
        result = await later.result(attempt)
        peer.expect(result.output == "kept", "the result that came in the new session has another output")


@check
async def never_runs_an_attempt_twice(stage: Stage) -> None:
    """An attempt that is assigned again is not begun again: its result comes, or a rejection as `duplicate`."""
    async with stage.opened() as peer:
        attempt = await peer.assign("count", {"to": 2})
        await peer.result(attempt)
        await peer.acknowledged()
        heard = len(peer.seen)
        await peer.assign("count", {"to": 2}, attempt=attempt)
        await peer.until(lambda: peer.of_attempt(attempt, since=heard) or None, f"the answer to {attempt!r}, again")
        kinds = [message.kind for message in peer.of_attempt(attempt, since=heard)]
        peer.expect(kinds in (["reject"], ["result"]), f"the attempt was begun again: {', '.join(kinds)}")
        if kinds == ["reject"]:
            await peer.rejection(attempt, "duplicate", since=heard)


@check
async def rejects_an_attempt_that_is_running(stage: Stage) -> None:
    """An attempt that is assigned again while it runs is rejected as `duplicate`, and goes on."""
    async with stage.opened() as peer:
        attempt = await peer.assign("sleep", {"seconds": 0.5})
        await peer.first(Accept, attempt)
        heard = len(peer.seen)
        await peer.assign("sleep", {"seconds": 0.5}, attempt=attempt)
        await peer.rejection(attempt, "duplicate", since=heard)
        await peer.until(lambda: next(iter(peer.of(Result, attempt)), None), f"the result of {attempt!r}")


@check
async def keeps_results_over_its_own_death(stage: Stage) -> None:
    """A device that names a `memory` shows, after it was killed, the same one, and its unacknowledged results."""
    async with stage.device() as running:
        if running is None:
            raise CheckSkipped("the kit can't kill a device that it did not start: give it --command")
        peer, hello = await stage.session()
        _needs_memory(hello.memory)
        peer.settles = False
        attempt = await peer.assign("echo", {"value": "kept"})
        await peer.result(attempt)
        await running.kill()
    async with stage.device():
        later, again = await stage.session()
        peer.expect(again.memory == hello.memory, "the hello names another 'memory' than before the restart")
        peer.expect(attempt in again.finished, f"the hello does not list the finished attempt {attempt!r}")
        result = await later.result(attempt)
        peer.expect(result.output == "kept", "the result that came after the restart has another output")


@check
async def remembers_what_it_began_over_its_own_death(stage: Stage) -> None:
    """A device that names a `memory` ends an attempt that its death interrupted, and never begins it again."""
    async with stage.device() as running:
        if running is None:
            raise CheckSkipped("the kit can't kill a device that it did not start: give it --command")
        peer, hello = await stage.session()
        _needs_memory(hello.memory)
        attempt = await peer.assign("sleep", {"seconds": 60})
        await peer.first(Accept, attempt)
        await running.kill()
    async with stage.device():
        later, again = await stage.session()
        listed = (*again.running, *again.finished)
        peer.expect(attempt in listed, f"the hello lists {attempt!r} neither in 'running' nor in 'finished'")
        await later.result(attempt, "failed")


def _needs_memory(memory: str) -> None:
    if not memory:
        raise CheckSkipped("the hello names no 'memory': this device keeps nothing over a restart")
