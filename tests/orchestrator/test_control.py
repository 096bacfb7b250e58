"""The control path, without sockets: whatever a client sends, it harms nobody but itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from constellation import Approval, Orchestrator, TaskConstellation
from constellation.graph.documents import dump
from constellation.orchestrator import client as client_module
from constellation.orchestrator import control, control_messages
from constellation.orchestrator.client import RemoteOrchestrator, RemoteRun
from constellation.orchestrator.control import ControlServer
from constellation.orchestrator.errors import HubRefused, HubUnreachable
from constellation.orchestrator.events import StarSettled
from constellation.orchestrator.limits import HubLimits
from constellation_protocol.errors import FrameTooLarge
from constellation_protocol.memory import MemoryTransport, memory_pair

pytestmark = pytest.mark.anyio

TOKEN = "the-token-of-this-hub"


def approvals(count: int = 1) -> TaskConstellation:
    graph = TaskConstellation("approvals")
    for number in range(count):
        graph.star(f"ask-{number}", Approval("Go on?"))
    return graph


class Bench:
    def __init__(self, orchestrator: Orchestrator, tasks: anyio.abc.TaskGroup, limit: int) -> None:
        self.orchestrator = orchestrator
        self.server = ControlServer(
            orchestrator, max_frame_bytes=100_000, limits=HubLimits(clients=limit, requests=limit)
        )
        self.tasks = tasks

    def dial(self) -> MemoryTransport:
        ours, theirs = memory_pair()

        async def serve() -> None:
            await self.server.handle(theirs, "/control")
            await theirs.aclose()

        self.tasks.start_soon(serve)
        return ours

    async def opened(self) -> MemoryTransport:
        transport = self.dial()
        await transport.send(json.dumps({"kind": "open", "token": TOKEN}))
        assert json.loads(await transport.receive())["error"] is None
        return transport


@asynccontextmanager
async def hub(*, limit: int = 100) -> AsyncIterator[Bench]:
    with anyio.fail_after(20):
        async with Orchestrator.local(devices=1) as orchestrator, anyio.create_task_group() as tasks:
            orchestrator.door.allow(TOKEN)
            yield Bench(orchestrator, tasks, limit)
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def client_of(bench: Bench) -> AsyncIterator[RemoteOrchestrator]:
    client = RemoteOrchestrator(await bench.opened(), max_frame_bytes=100_000)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client._receive)
        yield client
        tasks.cancel_scope.cancel()


async def ask(transport: MemoryTransport, call: str, number: int = 1, **arguments: Any) -> dict[str, Any]:
    await transport.send(json.dumps({"kind": "request", "number": number, "call": call, "arguments": arguments}))
    answer: dict[str, Any] = json.loads(await transport.receive())
    return answer


# --- the door -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        ({"kind": "open", "token": "wrong"}, "the token is not valid for this hub"),
        ({"kind": "open"}, "the token is not valid for this hub"),
        ({"kind": "open", "token": "é"}, "the token is not valid for this hub"),
        ({"kind": "request", "number": 1, "call": "runs"}, "the token is not valid for this hub"),
        ({"kind": "open", "token": TOKEN, "version": 99}, "speaks version 1 of the control protocol, not 99"),
    ],
    ids=str,
)
async def test_who_does_not_open_rightly_is_refused_and_told_nothing_else(opening: dict[str, Any], answer: str) -> None:
    async with hub() as bench:
        transport = bench.dial()
        await transport.send(json.dumps(opening))
        said = await transport.receive()
        assert answer in json.loads(said)["message"]
        assert TOKEN not in str(said)
        with pytest.raises(Exception, match="closed"):
            await transport.receive()


@pytest.mark.parametrize("frame", ["nonsense", b"\xff\x00", '{"kind":"open","token":"\\ud800"}', "[" * 5000])
async def test_nonsense_closes_its_connection_only(frame: str | bytes) -> None:
    async with hub() as bench:
        for transport in (bench.dial(), await bench.opened()):
            await transport.send(frame)
            with pytest.raises(Exception, match="closed"):
                await transport.receive()
        assert (await ask(await bench.opened(), "runs"))["value"] == []


async def test_a_frame_over_the_limit_closes_its_connection_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive(self: MemoryTransport) -> str:
        raise FrameTooLarge(None, 4096)

    async with hub() as bench:
        with monkeypatch.context() as patch:
            patch.setattr(MemoryTransport, "receive", receive)
            await bench.server.handle(memory_pair()[0], "/control")
        assert (await ask(await bench.opened(), "runs"))["value"] == []


async def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "HANDSHAKE_TIMEOUT_S", 0.02)
    async with hub() as bench:
        with pytest.raises(Exception, match="closed"):
            await bench.dial().receive()


async def test_there_is_room_for_so_many_clients_and_again_when_one_has_gone() -> None:
    async with hub(limit=2) as bench:
        first = await bench.opened()
        await bench.opened()
        third = bench.dial()
        assert "2 clients already" in json.loads(await third.receive())["message"]
        first.abort()
        while bench.server._clients > 1:
            await anyio.lowlevel.checkpoint()
        await bench.opened()


# --- requests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "arguments", "error"),
    [
        ("no_such_call", {}, "UnknownCall"),
        ("__class__", {}, "UnknownCall"),
        ("attach", {}, "BadRequest"),
        ("attach", {"run": "nothing"}, "UnknownRun"),
        ("submit", {}, "BadRequest"),
        ("submit", {"graph": 5}, None),
        ("submit", {"graph": {"format": 1, "stars": [{"id": "s", "tool": "nope"}]}}, None),
        ("submit", {"graph": dump(approvals()), "options": {"deadline_s": "soon"}}, "BadRequest"),
        ("submit", {"graph": dump(approvals()), "info": {"fleet": "../../etc"}}, "BadRequest"),
        ("submit", {"graph": dump(approvals()), "info": 5}, None),
        ("resume", {"run": "../../etc/passwd"}, "RunNotFound"),
        ("runs", {"limit": "many"}, "BadRequest"),
        ("runs", {"limit": 10**40}, None),
        ("events", {"run": "nothing"}, "UnknownRun"),
        ("wait_for_devices", {"count": 5, "timeout_s": 0}, "DevicesMissing"),
    ],
    ids=str,
)
async def test_a_request_that_makes_no_sense_is_answered_with_an_error_and_harms_nothing(
    call: str, arguments: dict[str, Any], error: str | None
) -> None:
    async with hub() as bench:
        transport = await bench.opened()
        answer = await ask(transport, call, **arguments)
        if error is not None:
            assert answer["error"] == error
        elif call != "runs":
            assert answer["error"] is not None
        assert "Traceback" not in answer["message"]
        assert (await ask(transport, "devices", 2))["value"][0]["name"] == "device-1"


async def test_a_fault_of_the_hub_is_logged_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise ZeroDivisionError("internals")

    async with hub() as bench:
        monkeypatch.setattr(bench.orchestrator, "devices", broken)
        transport = await bench.opened()
        answer = await ask(transport, "devices")
        assert (answer["error"], "internals" in answer["message"]) == ("InternalError", False)
        assert (await ask(transport, "runs"))["value"] == []
    assert "internals" in caplog.text


async def test_requests_beyond_the_limit_are_refused_and_numbers_may_be_used_twice() -> None:
    async with hub(limit=3) as bench:
        transport = await bench.opened()
        request = {"kind": "request", "number": 7, "call": "wait_for_devices"}
        request["arguments"] = {"count": 2, "timeout_s": 30}
        for _ in range(3):
            await transport.send(json.dumps(request))
        assert (await ask(transport, "runs", 7))["error"] == "TooManyRequests"
        await transport.send(json.dumps({"kind": "answer", "number": 1}))  # which is not for a client to say
        assert (await ask(await bench.opened(), "runs"))["error"] is None


async def test_a_request_that_waits_is_answered_with_null_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "POLL_S", 0.01)
    async with hub() as bench:
        run = await bench.orchestrator.submit(approvals())
        transport = await bench.opened()
        assert (await ask(transport, "report", run=run.id))["value"] is None
        assert (await ask(transport, "events", 2, run=run.id, after=run.log.next_seq - 1))["value"] is None
        async with client_of(bench) as client:
            remote = await client.find_run(run.id)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(remote.wait)  # which asks again and again
                for _ in range(50):
                    await anyio.lowlevel.checkpoint()
                await run.approve("ask-0")
            assert (await remote.wait()).state == "succeeded"


async def test_pages_of_events_are_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "PAGE_BYTES", 10)
    async with hub() as bench:
        run = await bench.orchestrator.submit(approvals(3))
        transport = await bench.opened()
        assert [event["seq"] for event in (await ask(transport, "events", run=run.id))["value"]] == [1]
        async with client_of(bench) as client:
            await run.cancel()
            remote = await client.find_run(run.id)
            assert [event.seq async for event in remote.events()] == list(range(1, run.log.next_seq))


# --- the client -----------------------------------------------------------------------------------------------------


async def test_who_follows_a_run_may_act_on_it_however_many_events_are_waiting() -> None:
    count = 1500
    async with hub() as bench, client_of(bench) as client:
        run = await bench.orchestrator.submit(approvals(count))
        remote = await client.find_run(run.id)
        settled = 0
        async for event in remote.events():
            if settled == 0:
                await remote.pause()  # while thousands of events come
                await run.cancel()
                await remote.graph()
            settled += isinstance(event, StarSettled)
            settled += event.seq == 1
    assert settled == count + 1


async def test_events_that_nobody_reads_hold_nothing_up() -> None:
    async with hub() as bench, client_of(bench) as client:
        run = await bench.orchestrator.submit(approvals(1500))
        remote = await client.find_run(run.id)
        events = remote.events()
        assert (await anext(events)).seq == 1
        await run.cancel()
        assert (await remote.wait()).state == "cancelled"
        assert client._waiting == {}
        await events.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["events", "wait", "call", "later"])
async def test_a_connection_that_is_lost_is_told_to_whoever_waits_on_it(how: str) -> None:
    async with hub() as bench:
        run = await bench.orchestrator.submit(approvals())
        transport = await bench.opened()
        client = RemoteOrchestrator(transport, max_frame_bytes=100_000)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client._receive)
            remote = await client.find_run(run.id)

            async def wait() -> None:
                waiting = {
                    "events": lambda: anext(remote.events(after=run.log.next_seq - 1)),
                    "wait": remote.result,
                    "call": lambda: client.wait_for_devices(9),
                    "later": client.runs,
                }
                with pytest.raises(HubUnreachable, match="connection to the hub is gone"):
                    await waiting[how]()

            if how != "later":
                tasks.start_soon(wait)
                while not client._waiting:
                    await anyio.lowlevel.checkpoint()
            transport.abort()
        if how == "later":
            await wait()


async def test_a_hub_that_can_not_be_understood_is_named() -> None:
    ours, theirs = memory_pair()
    client = RemoteOrchestrator(ours, max_frame_bytes=100_000)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client._receive)
            await theirs.send('{"kind":"prophecy"}')
            with pytest.raises(HubUnreachable, match="does not understand"):
                await client.devices()


async def test_text_that_no_encoding_has_ends_no_connection() -> None:
    async with hub() as bench, client_of(bench) as client:
        graph = TaskConstellation("caf\ud83d", description="\ud83d")
        graph.star("ask", Approval("Go on?"))
        run = await bench.orchestrator.submit(graph)
        shown, _ = await client.show(run.id)
        assert (shown.name, shown.description) == ("caf?", "?")
        with pytest.raises(HubRefused, match="can't be written as JSON"):
            await client.check(graph)
        assert [summary.name for summary in await client.runs()] == ["caf?"]


@pytest.mark.parametrize("value", [7, "text", [], [7], {}, {"run": 1}, [[]], {"graph": 1, "report": []}], ids=repr)
async def test_answers_that_make_no_sense_are_told_and_end_nothing(value: object) -> None:
    ours, theirs = memory_pair()
    client = RemoteOrchestrator(ours, max_frame_bytes=100_000)
    run = RemoteRun(client, "r", "r")

    async def answer() -> None:
        while True:
            request = json.loads(await theirs.receive())
            await theirs.send(json.dumps({"kind": "answer", "number": request["number"], "value": value}))

    async def first_event() -> None:
        async for _ in run.events():
            return

    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "runs": client.runs,
        "devices": client.devices,
        "show": lambda: client.show("r"),
        "dump": lambda: client.dump("r"),
        "check": lambda: client.check(approvals()),
        "submit": lambda: client.submit(approvals()),
        "resume": lambda: client.resume("r"),
        "find_run": lambda: client.find_run("r"),
        "events": first_event,
        "wait": run.wait,
        "graph": run.graph,
        "profiles": client.place.profiles,
        "asked": lambda: client.place.asked("r"),
    }
    fitting = {"[]": {"runs", "devices", "check", "events"}, "{}": {"profiles", "events"}, "[[]]": {"check"}}
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer)
            tasks.start_soon(client._receive)
            for name in sorted(calls.keys() - fitting.get(repr(value), set())):
                with pytest.raises(HubUnreachable, match="does not understand"):
                    await calls[name]()
            tasks.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ('{"kind":"answer","number":0,"error":"Refused","message":"go away"}', "go away"),
        ('{"kind":"open"}', "does not speak our protocol"),
        ("<html>", "does not answer as a hub does"),
        (None, "does not answer as a hub does"),
    ],
)
async def test_what_is_no_hub_or_does_not_let_the_client_in_is_named(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, words: str
) -> None:
    monkeypatch.setattr(client_module, "HANDSHAKE_TIMEOUT_S", 0.05)
    ours, theirs = memory_pair()

    async def connected(url: str, **options: Any) -> MemoryTransport:
        if answer is not None:
            await theirs.send(answer)
        return ours

    monkeypatch.setattr("constellation_protocol.websocket.connect_websocket", connected)
    with anyio.fail_after(5), pytest.raises(HubUnreachable, match=words):
        async with Orchestrator.connect("ws://127.0.0.1:9/aip", "token"):
            pass
    with pytest.raises(Exception, match="closed"):
        await theirs.send("anything")


async def test_a_request_that_the_hub_would_not_read_is_refused_here() -> None:
    graph = TaskConstellation("large")
    graph.star("ask", Approval("x" * 100_000))
    async with hub() as bench, client_of(bench) as client:
        with pytest.raises(HubRefused, match=r"the hub takes 0\.1 MiB at once") as refusal:
            await client.submit(graph)
        assert refusal.value.type == "TooLarge"
        assert isinstance(await client.submit(approvals()), RemoteRun)


def test_tokens_do_not_show_when_messages_are_printed() -> None:
    assert TOKEN not in repr(control_messages.Open(token=TOKEN))
    with pytest.raises(ValueError) as error:
        control_messages.CONTROL.validate_json(json.dumps({"kind": "open", "token": [TOKEN]}))
    assert TOKEN not in str(error.value)


@pytest.mark.parametrize("star", [5, [1], {"a": 1}, "nobody"])
async def test_a_cancel_of_what_is_no_star_is_refused_and_the_hub_goes_on(star: Any) -> None:
    async with hub() as bench:
        run = await bench.orchestrator.submit(approvals())
        transport = await bench.opened()
        answer = await ask(transport, "cancel", 1, run=run.id, star=star)
        assert answer["error"] == "UnknownStar"
        assert (await ask(transport, "cancel", 2, run=run.id))["error"] is None
        assert (await run.wait()).state == "cancelled"
