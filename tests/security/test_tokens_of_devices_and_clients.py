"""Who is let in by which token, and who has to go when one is revoked or expires; all over a real socket."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest
from websockets.asyncio.client import connect

from constellation import Orchestrator
from constellation.orchestrator.errors import HubUnreachable, TokensUnreadable
from constellation_protocol import LinkClosed, Refused

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Hub = Callable[..., AbstractAsyncContextManager[Any]]
BAD = "token is not valid"


async def test_a_device_is_let_in_by_its_own_token_and_under_its_own_name_only(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("rack")
        async with played.device("rack", token):
            pass
        with pytest.raises(Refused, match=BAD):
            async with played.device("desk", token):
                pass


async def test_a_name_that_has_a_token_of_its_own_is_not_open_to_the_hubs_token(hub: Hub) -> None:
    async with hub() as played:
        played.token("rack")
        with pytest.raises(Refused, match=BAD):
            async with played.device("rack"):
                pass
        async with played.device("desk"):
            pass


async def test_a_token_of_a_device_does_not_open_the_control_path(hub: Hub) -> None:
    async with hub() as played:
        with pytest.raises(HubUnreachable, match=BAD):
            async with Orchestrator.connect(played.url, played.token("rack")):
                pass


async def test_a_token_of_a_client_opens_the_control_path_and_lets_no_device_in(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("ann", "client")
        async with Orchestrator.connect(played.url, token) as client:
            assert await client.devices() == []
        with pytest.raises(Refused, match=BAD):
            async with played.device("ann", token):
                pass


def with_another_last_digit(token: str) -> str:
    """A token that is in order, with the right id, and wrong."""
    return token[:-1] + ("1" if token[-1] == "0" else "0")


@pytest.mark.parametrize(
    "change",
    [str.upper, with_another_last_digit, lambda token: token[:-1] + "x", lambda token: token[:21], lambda _: ""],
)
async def test_what_only_resembles_a_token_lets_nobody_in(hub: Hub, change: Callable[[str], str]) -> None:
    async with hub() as played:
        token = played.token("rack")
        with pytest.raises(Refused, match=BAD) as refusal:
            async with played.device("rack", change(token)):
                pass
        assert token[-64:] not in str(refusal.value)


@pytest.mark.parametrize("shown", [{}, {"token": None}, {"token": ""}], ids=["no field", "null", "empty"])
async def test_who_shows_no_token_is_let_in_nowhere(hub: Hub, shown: dict[str, object]) -> None:
    async with hub() as played:
        played.token("rack")
        for device in ("rack", "desk"):
            async with connect(played.url, compression=None) as socket:
                await socket.send(json.dumps({"v": 1, "messages": [{"kind": "hello", "device": device, **shown}]}))
                assert '"code":"authentication"' in str(await socket.recv())
        control = played.url.removesuffix("/aip") + "/control"
        if shown.get("token", "") is not None:
            async with connect(control, compression=None) as socket:
                await socket.send(json.dumps({"kind": "open", "version": 1, **shown}))
                assert '"error":"Refused"' in str(await socket.recv())
        assert await played.orchestrator.devices() == []


async def test_a_token_that_has_expired_lets_nobody_in(hub: Hub) -> None:
    async with hub() as played:
        device, client = played.token("rack", expires_s=-1), played.token("ann", "client", expires_s=-1)
        with pytest.raises(Refused, match=BAD):
            async with played.device("rack", device):
                pass
        with pytest.raises(HubUnreachable, match=BAD):
            async with Orchestrator.connect(played.url, client):
                pass


async def test_a_device_whose_token_is_revoked_has_to_go_and_its_work_goes_elsewhere(hub: Hub) -> None:
    async with hub() as played:
        async with played.device("rack", played.token("rack")) as rack:
            run = await played.submit("work", idempotent=True)
            lost = await rack.assigned()
            played.store.remove("rack")
            with pytest.raises(LinkClosed, match="its token was revoked"):
                await rack.next()
            with contextlib.suppress(LinkClosed):
                await rack.answer(lost.attempt, "too late")
            async with played.device("desk") as desk:
                await desk.answer((await desk.assigned()).attempt, "in time")
                assert await run.result() == {"s0": "in time"}


async def test_the_end_of_a_revoked_session_comes_within_a_second(hub: Hub) -> None:
    async with hub() as played, played.device("rack", played.token("rack")):
        await anyio.wait_all_tasks_blocked()
        played.store.remove("rack")
        with anyio.fail_after(1.0):
            while await played.orchestrator.devices():
                await played.orchestrator._book.hub.wait_changed()


async def test_a_device_whose_token_expires_has_to_go(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub() as played, played.device("rack", played.token("rack", expires_s=3600)) as rack:
        monkeypatch.setattr(played.orchestrator.door, "_clock", lambda: time.time() + 3601)
        with pytest.raises(LinkClosed, match="its token has expired"):
            await rack.next()


async def test_a_device_has_to_go_when_its_name_gets_a_token_of_its_own(hub: Hub) -> None:
    async with hub() as played, played.device("rack") as squatter:
        token = played.token("rack")
        with pytest.raises(LinkClosed, match="its name has a token of its own now"):
            await squatter.next()
        async with played.device("rack", token):
            pass


async def test_a_client_whose_token_is_revoked_has_to_go_and_others_stay(hub: Hub) -> None:
    async with hub() as played:
        token = played.token("ann", "client")
        async with (
            Orchestrator.connect(played.url, token) as ann,
            Orchestrator.connect(played.url, played.token("bob", "client")) as bob,
        ):
            async with played.device("rack"):
                await ann.wait_for_devices(1)
                played.store.remove("ann")
                with pytest.raises(HubUnreachable, match="connection to the hub is gone"):
                    await ann.wait_for_devices(9)
                assert len(await bob.devices()) == 1
        with pytest.raises(HubUnreachable, match=BAD):
            async with Orchestrator.connect(played.url, token):
                pass


async def test_a_list_of_tokens_that_others_may_write_lets_nobody_in(
    hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub() as played:
        token = played.token("rack")
        async with played.device("rack", token) as rack:
            os.chmod(played.store.path, 0o666)
            with pytest.raises(LinkClosed, match="its token was revoked"):
                await rack.next()
            with pytest.raises(Refused, match=BAD):
                async with played.device("rack", token):
                    pass
        assert "may be written by others than its owner: chmod 600 it" in caplog.text
        assert len([record for record in caplog.records if "chmod" in record.message]) == 1


async def test_a_hub_does_not_start_on_a_damaged_list_of_tokens(hub: Hub) -> None:
    async with hub() as played:
        secret = played.token("rack")
        text = played.store.path.read_text()
        played.store.path.write_text(text.replace('"role"', '"rolle"'))
    with pytest.raises(TokensUnreadable, match=r"tokens\.json is no list of tokens, or a damaged one") as damage:
        async with hub():
            pass
    assert secret not in str(damage.value)
