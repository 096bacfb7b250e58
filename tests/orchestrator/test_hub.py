"""A hub that devices and clients dial: who is let in, and what a client can do from afar."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import trustme

from constellation import Approval, EditRejected, Orchestrator, RunFailed, TaskConstellation
from constellation.orchestrator import events as seen
from constellation.orchestrator.client import RemoteOrchestrator
from constellation.orchestrator.errors import AdmissionRefused, DevicesMissing, HubRefused, HubUnreachable
from constellation.orchestrator.orchestrator import Orchestrator as Hub

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TOOLS = str(Path(__file__).parent / "orchestra_tools.py")


def device_command(url: str, name: str, tmp_path: Path, *extra: str) -> list[str]:
    root, state = tmp_path / f"{name}-root", tmp_path / f"{name}-state"
    root.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "constellation_devices", "--url", url, "--name", name, "--root", str(root)]
    return [*command, "--state-dir", str(state), "--tools", TOOLS, "--grace", "0.2", *extra]


@asynccontextmanager
async def device(hub: Hub, name: str, tmp_path: Path, *extra: str) -> AsyncIterator[None]:
    process = await anyio.open_process(
        device_command(hub.url, name, tmp_path, *extra),
        env={"CONSTELLATION_TOKEN": hub.token, "PATH": "/usr/bin:/bin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with anyio.fail_after(30):
            while name not in {found.name for found in await hub.devices()}:
                await hub._book.hub.wait_changed()
        yield
    finally:
        with anyio.CancelScope(shield=True):
            process.terminate()
            await process.wait()


@asynccontextmanager
async def client_of(hub: Hub) -> AsyncIterator[RemoteOrchestrator]:
    async with Orchestrator.connect(hub.url, hub.token) as client:
        yield client


async def test_a_client_runs_a_graph_on_devices_that_dialled_in(tmp_path: Path) -> None:
    graph = TaskConstellation("remote")
    parts = [graph.star(f"part {n}", "add", a=n, b=1, requires={"side": "left"}) for n in range(3)]
    graph.star("total", "total", numbers=[part.output for part in parts], device="right")
    async with (
        Orchestrator.serve(journal=tmp_path / "journal.db", home=tmp_path) as hub,
        device(hub, "left", tmp_path, "--label", "side=left"),
        device(hub, "right", tmp_path),
        client_of(hub) as client,
    ):
        with anyio.fail_after(30):
            await client.wait_for_devices(2)
            assert [(found.name, found.state) for found in await client.devices()] == [
                ("left", "idle"),
                ("right", "idle"),
            ]
            run = await client.submit(graph, info={"from": "test"})
            events = [event async for event in run.events()]
            assert await run.result() == {"total": {"sum": 6, "count": 3}}
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert {event.device for event in events if isinstance(event, seen.StarAssigned)} == {"left", "right"}
            (summary,) = await client.runs()
            assert (summary.run, summary.state, summary.info["from"]) == (run.id, "succeeded", "test")
            shown, report = await client.show(run.id)
            assert report.stars == {"succeeded": 4}
            assert shown.state("total").value == "succeeded"


async def test_a_client_edits_pauses_approves_and_cancels(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("steered")
    first = graph.star("first", "wait_for", path=str(gate))
    asked = graph.star("asked", Approval("Go on?"), after=[first])
    graph.star("never", "wait_for", path=str(tmp_path / "never"), after=[asked])
    async with (
        Orchestrator.serve(journal=":memory:", home=tmp_path) as hub,
        device(hub, "only", tmp_path, "--slots", "2"),
        client_of(hub) as client,
    ):
        run = await client.submit(graph)
        with anyio.fail_after(30):
            async for event in run.events():
                if isinstance(event, seen.StarStarted) and event.star == "first":
                    edit = (await run.graph()).edit(reason="from afar")
                    edit.star("more", "add", a=1, b=2, after=["first"])
                    await run.edit(edit)
                    wrong = (await run.graph()).edit()
                    wrong.line("never", "asked")
                    with pytest.raises((EditRejected, HubRefused), match="cycle"):
                        await run.edit(wrong)
                    await run.pause()
                    gate.write_text("go")
                    await run.unpause()
                if isinstance(event, seen.ApprovalRequested):
                    await run.approve(event.star, by="afar")
                if isinstance(event, seen.StarStarted) and event.star == "never":
                    await run.cancel(reason="enough")
        with pytest.raises(RunFailed, match="enough"):
            await run.result()
        report = await run.wait()
    assert report.stars == {"succeeded": 3, "cancelled": 1}


async def test_tokens_of_clients_are_in_no_log_and_an_empty_one_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with Orchestrator.serve(journal=":memory:", home=tmp_path, token="a-secret") as hub:
        async with client_of(hub) as client:
            assert await client.devices() == []
    assert caplog.text
    assert "a-secret" not in caplog.text
    with pytest.raises(ValueError, match="an empty token would let everybody in"):
        async with Orchestrator.serve(journal=":memory:", home=tmp_path, token=""):
            pass


async def test_nobody_gets_in_without_the_token(tmp_path: Path) -> None:
    async with Orchestrator.serve(journal=":memory:", home=tmp_path) as hub:
        with pytest.raises(HubUnreachable, match="token is not valid"):
            async with Orchestrator.connect(hub.url, "wrong"):
                pass
        refused = await anyio.run_process(
            device_command(hub.url, "intruder", tmp_path),
            env={"CONSTELLATION_TOKEN": "wrong", "PATH": "/usr/bin:/bin"},
            check=False,
        )
        assert refused.returncode == 1
        assert b"token is not valid" in refused.stderr
        assert b"wrong" not in refused.stderr
        assert await hub.devices() == []


async def test_a_name_that_is_connected_is_not_given_to_another(tmp_path: Path) -> None:
    async with Orchestrator.serve(journal=":memory:", home=tmp_path) as hub, device(hub, "taken", tmp_path):
        (before,) = await hub.devices()
        other = tmp_path / "other"
        other.mkdir()
        process = await anyio.open_process(
            [*device_command(hub.url, "taken", other), "--linger", "0.5"],
            env={"CONSTELLATION_TOKEN": hub.token, "PATH": "/usr/bin:/bin"},
            stderr=subprocess.DEVNULL,
        )
        with anyio.fail_after(30):
            await process.wait()
        assert [found.pid for found in await hub.devices()] == [before.pid]


async def test_a_client_is_told_why_a_graph_is_not_taken(tmp_path: Path) -> None:
    graph = TaskConstellation("unknown")
    graph.star("lost", "no_such_tool")
    async with Orchestrator.serve(journal=":memory:", home=tmp_path) as hub, client_of(hub) as client:
        with pytest.raises(AdmissionRefused, match="no device is connected") as refusal:
            await client.submit(graph)
        assert [problem.star for problem in refusal.value.problems] == ["lost"]
        with pytest.raises(DevicesMissing):
            await client.wait_for_devices(1, timeout_s=0.05)
        with pytest.raises(HubRefused, match="no run"):
            await client.find_run("nothing")


async def test_a_hub_takes_its_runs_up_again_when_it_is_started_again(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("interrupted")
    first = graph.star("first", "add", a=1, b=1)
    graph.star("second", "wait_for", path=str(gate), after=[first])
    journal = tmp_path / "journal.db"
    async with (
        Orchestrator.serve(journal=journal, home=tmp_path, token="secret") as hub,
        device(hub, "only", tmp_path),
    ):
        run = await hub.submit(graph)
        with anyio.fail_after(30):
            async for event in run.events():
                if isinstance(event, seen.StarStarted) and event.star == "second":
                    break
    gate.write_text("go")
    async with (
        Orchestrator.serve(journal=journal, home=tmp_path, token="secret") as hub,
        device(hub, "only", tmp_path),
    ):
        again = await hub.find_run(run.id)
        with anyio.fail_after(30):
            assert await again.result() == {"second": "go"}


async def test_a_hub_listens_beyond_loopback_only_with_tls(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="TLS"):
        async with Orchestrator.serve("0.0.0.0", journal=":memory:", home=tmp_path):
            pass
    authority = trustme.CA()
    server, trusting = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusting)
    async with Orchestrator.serve(journal=":memory:", home=tmp_path, ssl=server) as hub:
        assert hub.url.startswith("wss://")
        async with Orchestrator.connect(hub.url, hub.token, ssl=trusting) as client:
            assert await client.devices() == []


async def test_a_hub_that_is_not_there_is_named() -> None:
    with pytest.raises(HubUnreachable, match=r"ws://127\.0\.0\.1:1/aip can't be reached"):
        async with Orchestrator.connect("ws://127.0.0.1:1/aip", "token"):
            pass
    with pytest.raises(HubUnreachable, match="no hub's URL"):
        async with Orchestrator.connect("http://127.0.0.1:1", "token"):
            pass
