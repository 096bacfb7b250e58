"""Going on with a request whose process is gone: with its planner, its budget and its answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import Budget, Orchestrator
from constellation.llm import RecordingModel, ReplayModel
from constellation.orchestrator.asking import AskOptions
from constellation.orchestrator.errors import CannotResume, HubRefused
from constellation.planner import EditPolicy
from constellation.testing.models import Answer, Gate, ModelServer, Reply, ScriptedModel

from .parts_tools import add_up, measure
from .scripts import ANSWER, PARTS, REQUEST, TOOLS, call, plan, retry, said
from .test_ask_at_a_hub import hub
from .test_ask_command import COMMAND, PATIENCE_S, ask, events_of

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Script = Sequence[Answer | str]


async def killed(gate: Gate, server: ModelServer, journal: Path, *more: str) -> str:
    """Kill `constellation ask` when its model is asked what waits at a gate; returns the run."""
    process = await anyio.open_process(
        [
            COMMAND, "ask", REQUEST, "--model", server.model, "--devices", "2", "--journal", str(journal),
            "--tools", f"{TOOLS}:measure", "--tools", f"{TOOLS}:add_up", "--json", *more,
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=journal.parent,
    )  # fmt: skip
    with anyio.fail_after(PATIENCE_S):
        await gate.reached.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
    listed = await ask("runs", "--json", "--journal", journal, cwd=journal.parent)
    (run,) = [json.loads(line)["run"] for line in listed.stdout.splitlines()]
    return str(run)


async def records(run: str, journal: Path) -> dict[str, Any]:
    shown = await ask("show", run, "--format", "json", "--journal", journal, cwd=journal.parent)
    found: dict[str, Any] = json.loads(shown.stdout)["records"]
    return found


async def test_a_request_killed_while_its_plan_is_edited_goes_on_to_its_answer(tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal.db", Gate()
    steps: Script = [plan(tmp_path / "mark"), Reply("x", gate=gate), retry(), ANSWER]
    async with ModelServer(steps) as server:
        run = await killed(gate, server, journal)
        done = await ask("resume", run, "--json", "--journal", journal, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    events = events_of(done.stdout)
    assert (events[-1]["event"], events[-1]["text"]) == ("answer", ANSWER)
    assert events[-1]["reason"] == "all parts at once, then the sum"
    assert events[-1]["spent"]["calls"] == 3, "the plan's, the edit's and the answer's; nobody knows of the one cut off"
    assert events[-1]["spent"]["input_tokens"] == 900 + 900 + 10
    found = await records(run, journal)
    assert set(found) == {*(f"measure-{part}" for part in PARTS), "measure-spring-again", "total"}
    assert all(record["outcome"]["attempts"] == 1 for record in found.values()), "nothing ran twice"
    told = await ask("story", run, "--journal", journal, cwd=tmp_path)
    assert f"the request was answered: {ANSWER}" in told.stdout.decode()
    again = await ask("resume", run, "--journal", journal, cwd=tmp_path)
    assert again.returncode == 2


async def test_work_that_goes_on_while_its_request_is_killed_is_not_done_again(tmp_path: Path) -> None:
    journal, pipe, mark = tmp_path / "journal.db", tmp_path / "pipe", tmp_path / "mark"
    os.mkfifo(pipe)
    work = said(
        call("add_star", id="hold", tool="hold", arguments={"pipe": str(pipe), "mark": str(mark)}),
        call("finish", reason="once"),
    )
    async with ModelServer([work, "Held."]) as server:
        process = await anyio.open_process(
            [
                COMMAND, "ask", "Hold it", "--model", server.model, "--devices", "1", "--journal", str(journal),
                "--tools", f"{TOOLS}:hold", "--json",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
        )  # fmt: skip
        with anyio.fail_after(PATIENCE_S):
            held = await anyio.to_thread.run_sync(lambda: pipe.open("w"))  # which waits for the star to read
            process.send_signal(signal.SIGKILL)
            await process.wait()
            listed = await ask("runs", "--json", "--journal", journal, cwd=tmp_path)
            run = json.loads(listed.stdout)["run"]
            going_on = await anyio.open_process(
                [COMMAND, "resume", run, "--json", "--journal", str(journal)], stdin=subprocess.DEVNULL, cwd=tmp_path
            )
            assert going_on.stdout is not None
            output = await going_on.stdout.receive()
            held.close()
            output += b"".join([chunk async for chunk in going_on.stdout])
            code = await going_on.wait()
            await going_on.aclose()
    assert code == 0
    assert events_of(output)[-1]["text"] == "Held."
    assert mark.read_text() == "done\n"


async def test_a_request_killed_while_it_is_answered_is_answered_without_devices(tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal.db", Gate()
    steps: Script = [plan(tmp_path / "mark", fails=""), Reply("x", gate=gate), ANSWER]
    async with ModelServer(steps) as server:
        run = await killed(gate, server, journal)
        done = await ask("resume", run[:-3], "--json", "--journal", journal, cwd=tmp_path)
        asked = server.requests[2].messages[-1]["content"]
    assert done.returncode == 0, done.stderr.decode()
    (answer,) = events_of(done.stdout)
    assert (answer["text"], answer["spent"]["calls"]) == (ANSWER, 2)
    assert "22" in asked


async def test_the_budget_goes_on_where_it_was(tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal.db", Gate()
    steps: Script = [plan(tmp_path / "mark"), Reply("x", gate=gate), retry(), ANSWER]
    async with ModelServer(steps) as server:
        run = await killed(gate, server, journal, "--budget", "2calls")
        first = await ask("resume", run, "--json", "--journal", journal, cwd=tmp_path)
        second = await ask("resume", run, "--json", "--journal", journal, "--budget", "3calls", cwd=tmp_path)
    (answer,) = [event for event in events_of(first.stdout) if event["event"] == "answer"]
    assert first.returncode == 1
    assert "budget of 2 calls is used up" in answer["problem"]
    assert second.returncode == 0, second.stderr.decode()
    assert [event["text"] for event in events_of(second.stdout)] == [ANSWER]


async def test_where_no_model_is_known_it_is_said_what_to_give(tmp_path: Path) -> None:
    journal, gate = tmp_path / "journal.db", Gate()
    async with ModelServer([plan(tmp_path / "mark"), Reply("x", gate=gate)]) as server:
        run = await killed(gate, server, journal)
        wrong = await ask("resume", run, "--model", "nonsense", "--journal", journal, cwd=tmp_path)
        both = await ask("resume", run, "--no-planner", "--model", server.model, "--journal", journal, cwd=tmp_path)
        without = await ask("resume", run, "--no-planner", "--json", "--journal", journal, cwd=tmp_path)
        assert len(server.requests) == 2, "none of these has asked"
    assert (wrong.returncode, both.returncode) == (2, 2)
    assert b"'nonsense' is no model" in wrong.stderr
    assert b"leave them or --no-planner out" in both.stderr
    assert without.returncode == 1
    assert [event["event"] for event in events_of(without.stdout)][-1] == "run_finished"


async def test_a_run_from_a_recording_goes_on_with_a_model_that_is_named(tmp_path: Path) -> None:
    tape, mark = tmp_path / "tape.jsonl", tmp_path / "mark"
    with ScriptedModel([plan(mark, fails=""), ANSWER]) as model:
        async with Orchestrator.local(1, tools=[measure, add_up]) as orchestrator:
            recording = RecordingModel(model, tape)
            await orchestrator.ask(REQUEST, model=recording)
            await recording.aclose()
    async with Orchestrator.local(1, tools=[measure, add_up], journal=tmp_path / "j.db", home=tmp_path) as orchestrator:
        replayed = ReplayModel(tape, in_order=True)
        run = (await orchestrator.ask(REQUEST, model=replayed, options=AskOptions(budget=Budget(calls=1)))).report.run
        with pytest.raises(CannotResume, match="was planned from a recording"):
            await orchestrator.resume_ask(run)
        with ScriptedModel([ANSWER]) as model:
            answer = await orchestrator.resume_ask(run, model=model, budget=Budget(calls=2))
        with pytest.raises(CannotResume, match="has its answer already"):
            await orchestrator.resume_ask(run, model=model)
    assert (answer.text, answer.spent.calls) == (ANSWER, 2)


# --- at a hub --------------------------------------------------------------------------------------------------------


async def test_another_client_goes_on_with_a_request_whose_client_is_gone(tmp_path: Path) -> None:
    """What failed before it came was let go; what fails from then on is put before its planner."""
    gate = Gate()
    options = AskOptions(edits=EditPolicy("every", gather_s=0), budget=Budget(calls=10))
    async with ModelServer([plan(tmp_path / "mark"), Reply("x", gate=gate)]) as server, hub() as bench:
        first, connection = await bench.connect()
        second, _ = await bench.connect()
        async with first.asking(REQUEST, model=server.model, options=options) as asked:
            await gate.reached.wait()
            run = asked.run.id
            known = await second.place.asked(run)
            assert known.attended
            with pytest.raises(HubRefused, match="is looked after by its planner already"):
                async with second.resume_asking(run, model=server.model):
                    raise AssertionError("it was let in")
            await connection.aclose()
            held = await bench.orchestrator.find_run(run)
            await held.wait()
        with ScriptedModel([ANSWER]) as model:
            answer = await second.resume_ask(run, model=model)
        summary = await bench.orchestrator.journal.run(run)
    assert (answer.text, answer.spent.calls) == (ANSWER, 2)
    assert summary.info["answer"] == ANSWER


async def test_a_client_that_goes_on_with_a_request_at_a_hub_is_consulted_from_then_on(tmp_path: Path) -> None:
    waiting = said(
        call("add_star", id="go", question="Go?"),
        call(
            "add_star",
            id="measure-spring",
            tool="measure",
            arguments={"part": "spring", "fails_once": str(tmp_path / "mark")},
            after=["go"],
        ),
        call("add_star", id="total", tool="add_up", arguments={"found": [{"$ref": "measure-spring"}]}),
        call("finish", reason="when somebody says so"),
    )
    options = AskOptions(edits=EditPolicy(gather_s=0))
    async with hub() as bench:
        first, connection = await bench.connect()
        second, _ = await bench.connect()
        with ScriptedModel([waiting]) as model:
            async with first.asking(REQUEST, model=model, options=options) as asked:
                run = asked.run.id
                await connection.aclose()
                while (await second.place.asked(run)).attended:
                    await anyio.lowlevel.checkpoint()
        with ScriptedModel([retry(), ANSWER]) as model:
            async with second.resume_asking(run, model=model) as resumed:
                assert resumed.plan.reason == "when somebody says so"
                await resumed.run.approve("go")
                answer = await resumed.answer()
    assert (answer.text, answer.report.outputs) == (ANSWER, {"total": 6})
