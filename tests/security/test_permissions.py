"""What a token permits: a restricted device offers and claims no more, whatever it says, and gets no other work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from constellation import AdmissionRefused
from constellation.console.lines import describe
from constellation.orchestrator.credentials import Grant
from constellation.orchestrator.events import DeviceRestricted
from constellation_protocol import DeviceProfile, ProfileUpdate, ToolInfo

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Hub = Callable[..., AbstractAsyncContextManager[Any]]


def profile(*tools: str, **labels: str) -> DeviceProfile:
    return DeviceProfile(slots=4, tools=tuple(ToolInfo(name=name) for name in tools), labels=labels)


async def test_a_tool_that_the_token_does_not_permit_is_not_offered_and_the_run_is_told(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("rack", tools=["files_*"])
        async with played.device("rack", token, profile=profile("files_list", "shell_run")) as rack:
            (seen,) = await played.orchestrator.devices()
            assert seen.tools == ("files_list",)
            with pytest.raises(AdmissionRefused, match="shell_run"):
                await played.submit("shell_run")
            run = await played.submit("files_list")
            await rack.answer((await rack.assigned()).attempt, [])
            await run.result()
        (told,) = [event async for event in run.events() if isinstance(event, DeviceRestricted)]
        assert (told.device, told.tools, told.labels) == ("rack", ("shell_run",), ())
        line = describe(told)
        assert line is not None
        assert line.text == "rack may not offer what it has: tools shell_run"


async def test_a_label_that_the_token_does_not_permit_is_not_claimed(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("rack", labels={"zone": "lab-*", "os": "linux"})
        async with played.device("rack", token, profile=profile("work", zone="vault", os="linux", gpu="yes")):
            (seen,) = await played.orchestrator.devices()
            assert dict(seen.labels) == {"os": "linux"}
            with pytest.raises(AdmissionRefused):
                await played.submit("work", requires={"zone": "vault"})


async def test_a_device_can_not_widen_what_it_offers_later(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("rack", tools=["work"], labels={"zone": "lab"})
        async with played.device("rack", token, profile=profile("work")) as rack:
            await rack.link.send(ProfileUpdate(profile=profile("work", "shell_run", zone="lab", trusted="yes")))
            while not (await played.orchestrator.devices())[0].labels:
                await played.orchestrator._book.hub.wait_changed()
            (seen,) = await played.orchestrator.devices()
            assert (seen.tools, dict(seen.labels)) == (("work",), {"zone": "lab"})
            with pytest.raises(AdmissionRefused):
                await played.submit("shell_run")


async def test_work_for_others_goes_past_a_restricted_device(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("low", tools=["look"])
        async with (
            played.device("low", token, profile=profile("look", "work")),
            played.device("high", profile=profile("work")) as high,
        ):
            run = await played.submit("work", "work")
            for _ in range(2):
                await high.answer((await high.assigned()).attempt, "done")
            report = await run.wait()
            assert {row.device for row in report.rows} == {"high"}


def test_a_grant_without_restrictions_leaves_a_profile_as_it_is() -> None:
    offered = profile("a", zone="b")
    assert Grant().restrict(offered) == (offered, (), ())
