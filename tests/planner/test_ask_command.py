"""`constellation ask`, through real processes, sockets and client libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation.testing.models import ModelServer

from .scripts import ANSWER, PARTS, REQUEST, TOOLS, plan, retry

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

COMMAND = str(Path(sys.executable).with_name("constellation"))
PATIENCE_S = 100.0


async def ask(*arguments: str | Path, cwd: Path, stdin: Any = subprocess.DEVNULL) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "dumb"}
    with anyio.fail_after(PATIENCE_S):
        return await anyio.run_process(
            [COMMAND, *map(str, arguments)], check=False, cwd=cwd, env=environment, stdin=stdin
        )


def events_of(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.mark.parametrize("client", ["openai", "litellm"])
async def test_a_request_is_planned_run_on_three_processes_edited_and_answered(client: str, tmp_path: Path) -> None:
    async with ModelServer([plan(tmp_path / "mark"), retry(), ANSWER]) as server:
        model = server.model if client == "openai" else f"litellm/openai/scripted@{server.url}"
        done = await ask(
            "ask", REQUEST, "--model", model, "--devices", "3", "--tools", f"{TOOLS}:measure", "--tools",
            f"{TOOLS}:add_up", "--json", cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    events = events_of(done.stdout)
    started = {event["star"]: event for event in events if event["event"] == "star_started"}
    assert {f"measure-{part}" for part in PARTS} <= set(started)
    pids = {event["device"]: event["pid"] for event in events if event["event"] == "device_joined"}
    assert len(set(pids.values())) == 3
    assert len({started[f"measure-{part}"]["device"] for part in PARTS}) == 3
    (finished,) = [event for event in events if event["event"] == "run_finished"]
    assert (finished["state"], finished["stars"]) == ("succeeded", {"succeeded": 6, "failed": 1})
    assert finished["width"] >= 3
    (failed,) = [event for event in events if event["event"] == "star_settled" and event["state"] == "failed"]
    assert started["measure-spring-again"]["device"] != failed["device"]
    notes = [(event["about"], event["text"]) for event in events if event["event"] == "planner_noted"]
    assert notes == [
        ("planned", "all parts at once, then the sum"),
        ("edited", "the gauge may not slip off elsewhere"),
    ]
    (total,) = [event for event in events if event["event"] == "star_settled" and event["star"] == "total"]
    assert total["output"] == 22
    assert events[-1]["event"] == "answer"
    assert events[-1]["text"] == ANSWER
    assert events[-1]["spent"]["calls"] == 3
