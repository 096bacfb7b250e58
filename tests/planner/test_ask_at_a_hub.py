"""Asking at a hub: the planner is at the client, the devices are the hub's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import pytest

from constellation import Orchestrator
from constellation.llm import ModelRequest
from constellation.orchestrator.asking import AskOptions
from constellation.orchestrator.client import RemoteOrchestrator
from constellation.orchestrator.control import ControlServer
from constellation.orchestrator.errors import HubRefused
from constellation.orchestrator.events import ApprovalRequested, GraphEdited, PlannerNoted, StarSettled
from constellation.orchestrator.limits import HubLimits
from constellation.orchestrator.recovery import read_entries
from constellation.orchestrator.reviewing import RUN_ID
from constellation.orchestrator.run import LocalRun
from constellation.planner import EditPolicy, Limits
from constellation.planner.dialogue import MAX_REMARK
from constellation.scheduling.story import run_story
from constellation.testing.models import Gate, ModelServer, Reply, ScriptedModel
from constellation_protocol.memory import MemoryTransport, memory_pair

from .parts_tools import add_up, measure
from .scripts import ANSWER, FINISH, REQUEST, TOOLS, Interrupted, call, plan, remarks, retry, said

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TOKEN = "the-token-of-this-hub"


@asynccontextmanager
async def listening(tmp_path: Path) -> AsyncIterator[tuple[Orchestrator, RemoteOrchestrator]]:
    """A hub with two device processes, and a client of it, over sockets."""
    async with Orchestrator.serve(journal=tmp_path / "journal.db", home=tmp_path / "hub") as served:
        async with devices(served, tmp_path), Orchestrator.connect(served.url, served.token) as client:
            await served.wait_for_devices(2)
            yield served, client


class Hub:
    """A hub with devices in this process, for clients that need no sockets."""

    def __init__(self, orchestrator: Orchestrator, tasks: anyio.abc.TaskGroup) -> None:
        self.orchestrator = orchestrator
        self._server = ControlServer(orchestrator, max_frame_bytes=1_000_000, limits=HubLimits())
        self._tasks = tasks

    async def connect(self) -> tuple[RemoteOrchestrator, MemoryTransport]:
        """A client, and its connection."""
        ours, theirs = memory_pair()
        self._tasks.start_soon(self._server.handle, theirs, "/control")
        await ours.send(json.dumps({"kind": "open", "token": TOKEN}))
        assert json.loads(await ours.receive())["error"] is None
        client = RemoteOrchestrator(ours, max_frame_bytes=1_000_000)
        self._tasks.start_soon(client._receive)
        return client, ours


@asynccontextmanager
async def hub() -> AsyncIterator[Hub]:
    with anyio.fail_after(60):
        async with Orchestrator.local(2, tools=[measure, add_up]) as orchestrator, anyio.create_task_group() as tasks:
            orchestrator.door.allow(TOKEN)
            yield Hub(orchestrator, tasks)
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def devices(served: Orchestrator, tmp_path: Path) -> AsyncIterator[None]:
    command = str(Path(sys.executable).with_name("constellation"))
    environment = {**os.environ, "CONSTELLATION_TOKEN": served.token}
    started = [
        await anyio.open_process(
            [
                command,
                "device",
                "--url",
                served.url,
                "--name",
                name,
                "--tools",
                f"{TOOLS}:measure",
                "--tools",
                f"{TOOLS}:add_up",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=tmp_path,
        )
        for name in ("north", "south")
    ]
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            for process in started:
                with suppress(ProcessLookupError):
                    process.terminate()
                await process.aclose()


async def test_a_request_is_carried_out_at_a_hub_edited_and_answered(tmp_path: Path) -> None:
    with ScriptedModel([plan(tmp_path / "mark"), retry(), ANSWER]) as model:
        async with listening(tmp_path) as (served, client):
            options = AskOptions(edits=EditPolicy(gather_s=0))
            async with client.asking(REQUEST, model=model, options=options) as asked:
                events = [event async for event in asked.run.events()]
                answer = await asked.answer()
            entries = await read_entries(served.journal, asked.run.id)
            summary = await served.journal.run(asked.run.id)
    assert (answer.report.state, answer.text) == ("succeeded", ANSWER)
    assert answer.report.outputs == {"total": 22}
    assert any(isinstance(event, GraphEdited) for event in events)
    assert remarks(events) == ["planned", "edited"]
    assert summary.info["answer"] == ANSWER
    assert summary.info["request"] == REQUEST
    assert any("the planner edited the graph" in line for line in run_story(entries))
    assert RUN_ID.fullmatch(asked.run.id)


async def test_another_client_may_answer_what_the_planner_asks(tmp_path: Path) -> None:
    options = AskOptions(edits=EditPolicy(gather_s=0), approve=frozenset({"edits"}))
    with ScriptedModel([plan(tmp_path / "mark"), retry(), ANSWER]) as model:
        async with hub() as bench:
            (client, _), (other, _) = await bench.connect(), await bench.connect()
            async with client.asking(REQUEST, model=model, options=options) as asked:
                run = await other.find_run(asked.run.id)
                async for event in run.events():
                    if isinstance(event, ApprovalRequested):
                        await run.approve(event.star, True, by="ann")
                answer = await asked.answer()
    assert answer.report.outputs == {"total": 22}


async def test_a_question_that_nobody_answers_is_taken_back_at_the_hub(tmp_path: Path) -> None:
    options = AskOptions(edits=EditPolicy(gather_s=0), approve=frozenset({"edits"}), limits=Limits(question_s=0.05))
    with ScriptedModel([plan(tmp_path / "mark"), retry(), said(call("leave", reason="then not")), ANSWER]) as model:
        async with hub() as bench:
            client, _ = await bench.connect()
            async with client.asking(REQUEST, model=model, options=options) as asked:
                events = [event async for event in asked.run.events()]
                await asked.answer()
    (question,) = [event for event in events if isinstance(event, ApprovalRequested)]
    (closed,) = [event for event in events if isinstance(event, StarSettled) and event.star == question.star]
    assert closed.state == "failed"


async def test_an_edit_that_does_not_fit_any_more_is_told_back_by_the_hub(tmp_path: Path) -> None:
    bench: Hub
    run: LocalRun

    async def meddle(request: ModelRequest) -> None:
        edit = (await run.graph()).edit(author="ann", reason="mine")
        edit.update("total", priority=3)
        await run.edit(edit)

    steps = [plan(tmp_path / "mark"), said(call("retry", star="measure-spring")), said(FINISH), retry(), ANSWER]
    model = Interrupted(ScriptedModel(steps), before=2, what=meddle)
    async with hub() as bench:
        client, _ = await bench.connect()
        async with client.asking(REQUEST, model=model, options=AskOptions(edits=EditPolicy(gather_s=0))) as asked:
            run = await bench.orchestrator.find_run(asked.run.id)
            events = [event async for event in asked.run.events()]
            answer = await asked.answer()
    model.model.check_used_up()
    assert answer.report.outputs == {"total": 22}
    assert remarks(events) == [
        "planned", "refused", "mistake", "edited",
    ]  # fmt: skip


async def test_when_the_client_goes_away_the_hub_goes_on_without_its_planner(tmp_path: Path) -> None:
    """Its run is cancelled when it can say so; here it can't, and nothing stays held."""
    gate = Gate()
    async with ModelServer([plan(tmp_path / "mark"), Reply("x", gate=gate)]) as server, hub() as bench:
        client, connection = await bench.connect()
        async with client.asking(REQUEST, model=server.model, options=AskOptions()) as asked:
            run = await bench.orchestrator.find_run(asked.run.id)
            await gate.reached.wait()
            await connection.aclose()  # as a cable that is pulled out
            report = await run.wait()
    assert report.state == "failed"
    assert report.stars["skipped"] == 1


async def test_only_who_looks_after_a_run_may_speak_as_its_planner(tmp_path: Path) -> None:
    gate = Gate()
    async with ModelServer([plan(tmp_path / "mark"), Reply("x", gate=gate)]) as server, hub() as bench:
        (client, _), (other, _) = await bench.connect(), await bench.connect()
        async with client.asking(REQUEST, model=server.model, options=AskOptions()) as asked:
            await gate.reached.wait()
            run = asked.run.id
            for name, more in (
                ("reviews", {}),
                ("reviewed", {"number": 1}),
                ("stop_reviewing", {}),
                ("keep_answer", {"answer": "mine"}),
                ("note", {"remark": {"kind": "edited", "text": "mine"}}),
                ("propose", {"question": "?", "shown": {}}),
                ("withdraw", {"proposal": "planner/proposal-1"}),
            ):
                with pytest.raises(HubRefused, match="is not looked after on this connection"):
                    await other.call(name, {"run": run, **more})
            graph = {"format": "constellation/1", "name": "x", "stars": {"a": {"work": {"tool": "measure"}}}}
            wanted = {"graph": graph, "policy": {"when": "failure"}, "run": "../x"}
            with pytest.raises(HubRefused, match="is no id for a run"):
                await other.call("submit_for_review", wanted)
            remark = {"kind": "edited", "text": "x" * 30_000}
            with pytest.raises(HubRefused, match="characters"):
                await client.call("note", {"run": run, "remark": remark})


async def test_a_model_that_says_very_much_of_itself_is_cut_short_in_the_journal_and_goes_on(tmp_path: Path) -> None:
    long = "because " * 10_000
    verbose = plan(tmp_path / "mark")
    verbose = said(*verbose.calls[:-1], call("finish", reason=long))
    edit = said(call("retry", star="measure-spring"), call("finish", reason=long))
    with ScriptedModel([verbose, edit, ANSWER]) as model:
        async with hub() as bench:
            client, _ = await bench.connect()
            async with client.asking(REQUEST, model=model, options=AskOptions(edits=EditPolicy(gather_s=0))) as asked:
                events = [event async for event in asked.run.events()]
                answer = await asked.answer()
    assert answer.report.outputs == {"total": 22}
    assert remarks(events) == ["planned", "edited"]
    assert max(len(event.text) for event in events if isinstance(event, PlannerNoted)) <= MAX_REMARK
