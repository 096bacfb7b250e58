"""The hub's side of device sessions: overlapping ones, devices that break the rules, work that can't be sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio
import pytest

from constellation import Orchestrator, RunFailed, TaskConstellation
from constellation.orchestrator import events as seen
from constellation.orchestrator.credentials import Grant
from constellation.orchestrator.limits import HubLimits
from constellation.orchestrator.run import LocalRun
from constellation.orchestrator.translation import find_artifacts
from constellation.scheduling import DeviceId
from constellation_protocol import transfer
from constellation_protocol.codec import as_json
from constellation_protocol.direct import direct_link
from constellation_protocol.errors import LinkClosed, LocalProtocolError, Refused
from constellation_protocol.link import Link
from constellation_protocol.messages import (
    Accept,
    ArtifactInfo,
    ArtifactOffer,
    Assign,
    Cancel,
    DeviceProfile,
    Drain,
    ErrorInfo,
    Hello,
    Message,
    ProfileUpdate,
    Progress,
    Reject,
    Result,
    ToolInfo,
    Welcome,
)

pytestmark = pytest.mark.anyio

PROFILE = DeviceProfile(slots=4, tools=(ToolInfo(name="work", idempotent=True), ToolInfo(name="once")))
DIGEST = "0" * 64


class Device:
    """A device that the test plays itself."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._come: list[Message] = []

    async def next(self) -> Any:
        while not self._come:
            self._come = list(await self.link.receive())
        return self._come.pop(0)

    async def assigned(self) -> Assign:
        message = await self.next()
        assert isinstance(message, Assign)
        return message

    async def finish(self, assign: Assign, output: Any = None, *, epoch: int | None = None) -> None:
        epoch = assign.epoch if epoch is None else epoch
        await self.link.send(
            Accept(attempt=assign.attempt, epoch=epoch),
            Result(
                attempt=assign.attempt, epoch=epoch, status="succeeded", output=output, started_at=0.0, duration_s=0.1
            ),
        )


class Line:
    """The hub's end of a link that can be cut, and that takes no message with more than so many characters."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.hello, self.welcome = link.hello, link.welcome
        self.cut = False

    @property
    def connected(self) -> bool:
        return self._link.connected and not self.cut

    async def send(self, *messages: Message) -> None:
        if any(len(as_json(message)) > 2000 for message in messages):
            raise LocalProtocolError("too large: send large content as an artifact")
        await self._link.send(*messages)

    async def receive(self) -> Sequence[Message]:
        return await self._link.receive()

    async def aclose(self, reason: str = "") -> None:
        await self._link.aclose(reason)


class Bench:
    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator
        self.hub = orchestrator._book.hub
        self.lines: list[Line] = []

    async def join(self, name: str = "played", **hello: Any) -> Device:
        welcome = Welcome(session=f"s{len(self.lines)}", epoch=await self.hub.admit(Hello(device=name), Grant()))
        ours, theirs = direct_link(Hello(device=name, profile=PROFILE, **hello), welcome)
        self.lines.append(Line(ours))
        self.orchestrator._book._tasks.start_soon(self.hub.serve, self.lines[-1])
        await self.until(lambda: name in self.hub.devices and self.hub.devices[name].epoch == welcome.epoch)
        return Device(theirs)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await self.hub.wait_changed()

    async def gone(self, name: str = "played") -> None:
        await self.until(lambda: name not in self.hub.devices)

    async def submit(self, *tools: str, **arguments: Any) -> LocalRun:
        graph = TaskConstellation("played")
        for number, tool in enumerate(tools):
            graph.star(f"s{number}", tool, **arguments)
        return await self.orchestrator.submit(graph)


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=0) as orchestrator:
            yield Bench(orchestrator)


async def test_work_that_goes_on_in_a_new_session_is_taken_over_and_not_lost() -> None:
    async with bench() as play:
        old = await play.join(memory="m")
        run = await play.submit("once")
        assign = await old.assigned()
        await old.link.send(Accept(attempt=assign.attempt, epoch=assign.epoch))
        async for event in run.events():
            if isinstance(event, seen.StarStarted):
                break
        play.lines[0].cut = True
        new = await play.join(memory="m", running=(assign.attempt,))
        with pytest.raises(LinkClosed, match="replaced by a new session"):
            await old.next()
        assert [device.name for device in await play.orchestrator.devices()] == ["played"]
        await new.link.send(
            Result(attempt=assign.attempt, epoch=new.link.welcome.epoch, status="succeeded", output="kept")
        )
        assert await run.result() == {"s0": "kept"}
        report = await run.wait()
        assert report.devices_lost == ()
        assert report.rows[0].attempts == 1
        assert not [event async for event in run.events() if isinstance(event, seen.DeviceLeft)]


async def test_a_name_that_is_connected_is_refused_to_another_and_given_when_it_is_free() -> None:
    async with bench() as play:
        first = await play.join()
        with pytest.raises(Refused, match="connected already"):
            play.hub.open_direct(Hello(device="played"))
        await first.link.aclose("enough")
        await play.gone()
        await play.join()


async def test_there_is_room_for_so_many_devices() -> None:
    async with bench() as play:
        play.hub.limits = HubLimits(devices=1)
        await play.join()
        with pytest.raises(Refused, match="1 devices already"):
            await play.hub.admit(Hello(device="another"), Grant())


@pytest.mark.parametrize("wrong", ["epoch", "device", "attempt"])
async def test_what_comes_under_another_fence_is_ignored(wrong: str) -> None:
    async with bench() as play:
        device, other = await play.join("device"), await play.join("other")
        run = await play.submit("work", device="device")
        assign = await device.assigned()
        forged = replace(assign, attempt="nonsense" if wrong == "attempt" else assign.attempt)
        await (other if wrong == "device" else device).finish(forged, "forged", epoch=assign.epoch - (wrong == "epoch"))
        await device.link.send(Progress(attempt="nonsense", epoch=1, text="ignored"))
        await other.link.send(Progress(attempt=assign.attempt, epoch=assign.epoch, text="ignored"))
        await device.finish(assign, "true")
        assert await run.result() == {"s0": "true"}
        assert not [event async for event in run.events() if isinstance(event, seen.StarProgress)]


async def test_arguments_that_no_frame_can_hold_fail_their_star_and_nothing_else() -> None:
    async with bench() as play:
        device = await play.join()
        graph = TaskConstellation("large")
        graph.star("large", "work", text="x" * 3000)
        graph.star("small", "work", text="x")
        run = await play.orchestrator.submit(graph)
        assign = await device.assigned()
        assert assign.star == "small"
        await device.finish(assign)
        report = await run.wait()
        rows = {row.id: row for row in report.rows}
        assert rows["small"].state == "succeeded"
        assert (rows["large"].error or "").startswith("ArgumentsTooLarge: its arguments can't be sent to device")


async def test_a_device_that_breaks_the_rules_loses_its_session_and_nobody_else_anything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "_MAX_JOBS", 10)
    async with bench() as play:
        flood, good = await play.join("flood"), await play.join("good")
        run = await play.submit("work", device="good")
        huge = [ArtifactInfo(sha256=f"{number:064x}", size=10**15) for number in range(100)]
        await flood.link.send(*(ArtifactOffer(artifact=info) for info in huge))
        await play.gone("flood")
        await good.finish(await good.assigned(), "fine")
        assert await run.result() == {"s0": "fine"}


async def test_a_device_that_drains_gets_nothing_new_and_its_state_says_so() -> None:
    async with bench() as play:
        device, other = await play.join("a"), await play.join("b")
        await device.link.send(Drain(reason="enough"))
        while (await play.orchestrator.devices())[0].state != "draining":
            await anyio.lowlevel.checkpoint()
        run = await play.submit("work")
        await other.finish(await other.assigned())
        await run.result()
        play.lines[0].cut = True
        assert [device.state for device in await play.orchestrator.devices()] == ["away", "idle"]


async def test_a_profile_that_changes_changes_what_is_placed() -> None:
    async with bench() as play:
        device = await play.join()
        more = PROFILE.model_copy(update={"tools": (*PROFILE.tools, ToolInfo(name="more"))})
        await device.link.send(ProfileUpdate(profile=more))
        await play.until(lambda: "more" in {tool.name for tool in play.hub.devices[DeviceId("played")].profile.tools})
        run = await play.submit("more")
        await device.finish(await device.assigned(), 1)
        assert await run.result() == {"s0": 1}


async def test_work_that_is_rejected_fails_or_is_stopped_is_told_as_that() -> None:
    async with bench() as play:
        first = await play.join("first")
        run = await play.submit("work")
        assign = await first.assigned()
        second = await play.join("second")
        await first.link.send(
            Reject(attempt=assign.attempt, epoch=assign.epoch, code="invalid-arguments", message="no")
        )
        again = await second.assigned()
        await second.link.send(
            Accept(attempt=again.attempt, epoch=again.epoch),
            Result(attempt=again.attempt, epoch=again.epoch, status="failed"),
        )
        with pytest.raises(RunFailed, match="Failed: it gave no reason"):
            await run.result()
        run = await play.submit("work", device="second")
        assign = await second.assigned()
        await second.link.send(Accept(attempt=assign.attempt, epoch=assign.epoch))
        async for event in run.events():
            if isinstance(event, seen.StarStarted):
                await run.cancel()
                assert isinstance(await second.next(), Cancel)
                error = ErrorInfo(type="Cancelled", message="stopped")
                await second.link.send(
                    Result(attempt=assign.attempt, epoch=assign.epoch, status="cancelled", error=error)
                )
        assert (await run.wait()).stars == {"cancelled": 1}


async def test_files_are_found_wherever_they_are_and_each_once() -> None:
    file = {"$artifact": DIGEST, "size": 3, "name": "a.txt"}
    value = {"a": [file, {"b": file}], "c": {"$artifact": 5, "d": [{"$artifact": "1" * 64, "size": 1}]}, "e": "text"}
    found = find_artifacts(value)
    assert {(info.sha256, info.size, info.name, info.media_type) for info in found} == {
        (DIGEST, 3, "a.txt", "application/octet-stream"),
        ("1" * 64, 1, "", "application/octet-stream"),
    }


@pytest.mark.parametrize(
    "forged",
    [
        {"$artifact": "../../etc/passwd", "size": 1},
        {"$artifact": DIGEST, "size": -1},
        {"$artifact": DIGEST, "size": True},
    ],
)
async def test_what_only_looks_like_a_file_harms_nothing(forged: dict[str, Any]) -> None:
    async with bench() as play:
        device = await play.join()
        graph = TaskConstellation("forged")
        first = graph.star("first", "work")
        graph.star("second", "work", file=first.output)
        run = await play.orchestrator.submit(graph)
        await device.finish(await device.assigned(), forged)
        assign = await device.assigned()
        assert assign.work.arguments == {"file": forged}
        assert [info.sha256 for info in assign.artifacts] in ([], [DIGEST])
        await device.finish(assign, "fine")
        assert await run.result() == {"second": "fine"}
