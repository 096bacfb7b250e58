"""Checks of work: taken, turned down, failed, stopped and timed."""

from __future__ import annotations

import time

from constellation_protocol.messages import Accept, Result
from constellation_protocol.nesting import MAX_VALUE_NESTING

from ..errors import CheckSkipped
from ..kit import check
from ..stage import Stage

GRACE_S = 1.0
"""How long cancelled work may take to stop, in seconds."""

MARGIN_S = 2.0
"""What is added to every time limit, for the way there and back and a busy machine."""

MOST_SLOTS = 64
"""The kit does not fill a device that has more slots."""


@check
async def accepts_and_answers(stage: Stage) -> None:
    """Work is accepted and ends with one result that says when it began, in epoch seconds, and how long it took."""
    async with stage.opened() as peer:
        attempt = await peer.assign("sleep", {"seconds": 0.1})
        await peer.first(Accept, attempt)
        result = await peer.result(attempt)
        peer.expect(result.output == 0.1, f"'sleep' returns its seconds, 0.1; the output is {result.output!r}")
        peer.expect(0.05 < result.duration_s < 5, f"'sleep' took 0.1 s; 'duration_s' is {result.duration_s:g}")
        apart = abs(time.time() - result.started_at)
        peer.expect(apart < 60, f"'started_at' is {apart:g} s away from now, on the same machine")


@check
async def tells_of_a_failure(stage: Stage) -> None:
    """Work that fails ends with the status `failed` and an error that has a type and a message."""
    async with stage.opened() as peer:
        result = await peer.result(await peer.assign("fail", {"message": "as asked"}), "failed")
        assert result.error is not None, "a failed result without an error has failed the check before"
        peer.expect("as asked" in result.error.message, f"the message is {result.error.message!r}, not 'as asked'")
        peer.expect(bool(result.error.type), "the error's type is empty")


@check
async def sends_what_everybody_can_read(stage: Stage) -> None:
    """An output of 100 levels is sent; a deeper one, which nobody has to read, makes the work fail."""
    async with stage.opened() as peer:
        value: list[object] = []
        for _ in range(MAX_VALUE_NESTING - 1):
            value = [value]
        result = await peer.result(await peer.assign("echo", {"value": value}))
        peer.expect(result.output == value, "'echo' returns its value; the output is another")
        await peer.result(await peer.assign("echo", {"value": [value]}), "failed")


@check
async def rejects_an_unknown_tool(stage: Stage) -> None:
    """Work for a tool that the device does not have is rejected as `unknown-tool`."""
    async with stage.opened() as peer:
        await peer.rejection(await peer.assign("no_such_tool", {}), "unknown-tool")


@check
async def rejects_work_without_a_slot(stage: Stage) -> None:
    """Work beyond the slots that the profile promises is rejected as `no-slot`, and a slot that is free is used."""
    async with stage.device():
        peer, hello = await stage.session()
        if hello.profile.slots > MOST_SLOTS:
            raise CheckSkipped(f"the device has {hello.profile.slots} slots, more than the kit fills ({MOST_SLOTS})")
        running = [await peer.assign("sleep", {"seconds": 60}) for _ in range(hello.profile.slots)]
        for attempt in running:
            await peer.first(Accept, attempt)
        await peer.rejection(await peer.assign("sleep", {"seconds": 60}), "no-slot")
        for attempt in running:
            await peer.cancel(attempt, grace_s=GRACE_S)
            await peer.result(attempt, "cancelled")
        await peer.result(await peer.assign("echo", {"value": 1}))


@check
async def runs_work_side_by_side(stage: Stage) -> None:
    """Two slots are two pieces of work at once: a short one ends before a long one that began earlier."""
    async with stage.opened() as peer:
        long = await peer.assign("sleep", {"seconds": 60})
        await peer.first(Accept, long)
        await peer.result(await peer.assign("sleep", {"seconds": 0.05}))
        peer.expect(not peer.of(Result, long), "the longer work was over first")
        await peer.cancel(long, grace_s=GRACE_S)
        await peer.result(long, "cancelled")


@check
async def stops_cancelled_work(stage: Stage) -> None:
    """Cancelled work ends within its grace, with the status `cancelled`."""
    async with stage.opened() as peer:
        attempt = await peer.assign("sleep", {"seconds": 60})
        await peer.first(Accept, attempt)
        began = time.monotonic()
        await peer.cancel(attempt, grace_s=GRACE_S)
        await peer.result(attempt, "cancelled")
        took = time.monotonic() - began
        peer.expect(took < GRACE_S + MARGIN_S, f"the result came {took:.1f} s after a cancel with {GRACE_S:g} s grace")


@check
async def ignores_a_cancel_that_comes_late(stage: Stage) -> None:
    """A cancel of work that is over, or was never assigned, is ignored."""
    async with stage.opened() as peer:
        attempt = await peer.assign("echo", {"value": 1})
        await peer.result(attempt)
        heard = len(peer.seen)
        await peer.cancel(attempt, grace_s=0.0)
        await peer.cancel("conformance/never", grace_s=0.0)
        await peer.result(await peer.assign("echo", {"value": 2}))
        answers = [*peer.of_attempt(attempt, since=heard), *peer.of_attempt("conformance/never")]
        peer.expect(not answers, f"a late cancel was answered with {[answer.kind for answer in answers]}")


@check
async def ends_work_that_runs_out_of_time(stage: Stage) -> None:
    """Work that runs longer than `timeout_s` is stopped, and fails."""
    async with stage.opened() as peer:
        began = time.monotonic()
        attempt = await peer.assign("sleep", {"seconds": 60}, timeout_s=0.3)
        await peer.result(attempt, "failed")
        took = time.monotonic() - began
        peer.expect(took < 0.3 + 2 * MARGIN_S, f"the result came after {took:.1f} s; the limit was 0.3 s")
