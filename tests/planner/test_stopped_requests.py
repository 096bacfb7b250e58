"""Signals at each phase of `constellation ask` and of its `resume`: real processes, a real server of models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import psutil
import pytest
from anyio.abc import Process

from constellation import Approval, TaskConstellation
from constellation.orchestrator.asking import AskOptions
from constellation.planner import EditPolicy
from constellation.scheduling import UnknownRun
from constellation.testing.models import Answer, Gate, ModelServer, Reply, ScriptedModel

from .scripts import ANSWER, REQUEST, TOOLS, plan
from .test_ask_at_a_hub import hub
from .test_ask_command import COMMAND, PATIENCE_S, ask, events_of
from .test_resuming import killed

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@asynccontextmanager
async def begun(*arguments: str, cwd: Path) -> AsyncIterator[Process]:
    """A command in a session of its own, as at a terminal, of which nothing is left in the end."""
    process = await anyio.open_process(
        [COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=cwd, start_new_session=True
    )
    with anyio.fail_after(PATIENCE_S):
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()


async def stopped(process: Process, number: signal.Signals) -> str:
    """Send a signal to the whole foreground, as a terminal does; returns what is said, once nothing is left."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, number)
    assert process.stderr is not None
    told = b"".join([chunk async for chunk in process.stderr]).decode()
    assert await process.wait() == 128 + number, told
    assert "Traceback" not in told
    _, alive = await anyio.to_thread.run_sync(lambda: psutil.wait_procs(family, timeout=10))
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    return told


def asking(server: ModelServer, journal: Path) -> list[str]:
    tools = ["--tools", f"{TOOLS}:measure", "--tools", f"{TOOLS}:add_up"]
    return ["ask", REQUEST, "--model", server.model, "--devices", "2", "--journal", str(journal), *tools]


async def runs(journal: Path) -> list[tuple[str, str]]:
    listed = await ask("runs", "--json", "--journal", journal, cwd=journal.parent)
    return [(each["run"], each["state"]) for each in map(json.loads, listed.stdout.splitlines())]


@pytest.mark.parametrize("number", SIGNALS)
async def test_stopped_while_it_is_planned_a_request_leaves_no_run(number: signal.Signals, tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal.db", Gate()
    async with ModelServer([Reply("x", gate=gate)]) as server:
        async with begun(*asking(server, journal), cwd=tmp_path) as process:
            await gate.reached.wait()
            told = await stopped(process, number)
            await server.requests[0].left.wait()
    assert told.splitlines()[-1] == "stopped before the run had begun"
    assert await runs(journal) == []


async def test_stopped_while_it_is_answered_a_request_can_be_answered_later(tmp_path: Path) -> None:
    journal, gates = tmp_path / "journal.db", [Gate(), Gate()]
    steps: Sequence[Answer | str] = [plan(tmp_path / "mark", fails=""), *(Reply("x", gate=gate) for gate in gates)]
    async with ModelServer([*steps, ANSWER]) as server:
        async with begun(*asking(server, journal), cwd=tmp_path) as process:
            await gates[0].reached.wait()
            told = await stopped(process, signal.SIGINT)
        ((run, state),) = await runs(journal)
        command = f"constellation resume {run} --journal {journal}"
        assert state == "succeeded"
        assert told.splitlines()[-1] == f"stopped; run {run} has ended; have it answered with: {command}"
        async with begun("resume", run, "--journal", str(journal), cwd=tmp_path) as process:
            await gates[1].reached.wait()
            told = await stopped(process, signal.SIGTERM)
        assert told.splitlines()[-1] == f"stopped; run {run} has ended; have it answered with: {command}"
        done = await ask(*command.split()[1:], "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert events_of(done.stdout)[-1]["text"] == ANSWER


async def test_stopped_while_its_edits_go_on_a_resumed_request_is_cancelled(tmp_path: Path) -> None:
    journal, gates = tmp_path / "journal.db", [Gate(), Gate()]
    async with ModelServer([plan(tmp_path / "mark"), *(Reply("x", gate=gate) for gate in gates)]) as server:
        run = await killed(gates[0], server, journal)
        async with begun("resume", run, "--journal", str(journal), cwd=tmp_path) as process:
            await gates[1].reached.wait()
            told = await stopped(process, signal.SIGINT)
            await server.requests[2].left.wait()
    assert told.splitlines()[-1].startswith(f"stopped; run {run} was cancelled; see it with: constellation story {run}")
    assert await runs(journal) == [(run, "cancelled")]


@pytest.mark.parametrize("planned", [True, False])
async def test_a_client_that_goes_away_while_its_run_is_submitted_leaves_none_that_goes_on(
    planned: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody knows of the run: it does not go on unseen, or wait for a planner that is gone."""
    reached, gone_on = anyio.Event(), anyio.Event()
    async with hub() as bench:
        journal = bench.orchestrator.journal
        set_state = journal.set_state

        async def held_up(run: str, state: str, **more: Any) -> None:
            if state == "running":
                reached.set()
                await gone_on.wait()
            await set_state(run, state, **more)

        monkeypatch.setattr(journal, "set_state", held_up)
        client, connection = await bench.connect()
        graph = TaskConstellation("gated")
        graph.star("gate", Approval("Go on?"))
        options = AskOptions(edits=EditPolicy("every", gather_s=0))

        async def submit(model: ScriptedModel) -> None:
            if not planned:
                await client.submit(graph)
            async with client.asking(REQUEST, model=model, options=options):
                raise AssertionError("it was submitted")

        with ScriptedModel([plan(tmp_path / "mark", fails="")] if planned else []) as model:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(submit, model)
                await reached.wait()
                tasks.cancel_scope.cancel()
        await connection.aclose()
        gone_on.set()
        (run,) = await journal.runs()
        held = None
        while held is None:
            with suppress(UnknownRun):
                held = await bench.orchestrator.find_run(run.run)
            await anyio.lowlevel.checkpoint()
        assert (await held.wait()).state == "cancelled"
        if planned:
            assert not (await bench.orchestrator.place.asked(run.run)).attended
