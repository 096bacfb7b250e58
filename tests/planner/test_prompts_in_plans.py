"""Plans with instructions for devices' models: planner and devices are asked at one server, over HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from constellation.testing.models import Answer, ModelServer, Reply, SeenRequest, Used

from .scripts import TOOLS, call, said
from .test_ask_command import ask, events_of

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

VERDICT = {
    "type": "object",
    "properties": {"largest": {"type": "string"}, "by": {"type": "integer"}},
    "required": ["largest", "by"],
}


class Models:
    """The planner's model and the devices', told apart by the tools that they are given.

    Attributes:
        asked: What devices' models were asked, in order.
    """

    def __init__(self, planner: list[Answer | str], *, refuses: int = 0) -> None:
        self.asked: list[str] = []
        self.wrong: list[str] = []
        self._planner = planner
        self._refuses = refuses

    def __call__(self, seen: SeenRequest) -> Answer | str | None:
        tools = {tool["function"]["name"] for tool in seen.body.get("tools", ())}
        text = "\n".join(str(message["content"]) for message in seen.messages)
        if tools & {"add_star"} or "You answer a request" in text:
            return self._planner.pop(0)
        self.asked.append(text)
        if "Which is the largest" not in text:
            return Reply("Spring is larger, by far.", usage=Used(200, 20))
        if seen.messages[-1]["role"] == "user":
            return Reply(calls=(call("measure", part="gauge"),), usage=Used(300, 30))
        if self._refuses:
            self._refuses -= 1
            return Reply(refusal="I would rather not.", usage=Used(310, 5))
        return Reply(calls=(call("answer", largest="spring", by=2),), usage=Used(310, 10))


def a_plan() -> Reply:
    return said(
        call("add_star", id="wheel", tool="measure", arguments={"part": "wheel"}),
        call("add_star", id="spring", tool="measure", arguments={"part": "spring"}),
        call(
            "add_star",
            id="judge",
            instruction="Which is the largest, and by how much?",
            arguments={"wheel": {"$ref": "wheel"}, "spring": {"$ref": "spring#/size"}},
            output=VERDICT,
        ),
        call("add_star", id="check", tool="measure", arguments={"part": {"$ref": "judge#/largest"}}),
        call("add_star", id="tell", instruction="Put it kindly.", arguments={"by": {"$ref": "judge#/by"}}),
        call("finish", reason="measured by tools, judged by a model"),
    )


async def asked(models: Models, tmp_path: Path, *more: str) -> tuple[int, list[dict[str, Any]], str]:
    async with ModelServer(rules=[models]) as server:
        done = await ask(
            "ask", "Which part is the largest?", "--model", server.model, "--devices", "3", "--tools",
            f"{TOOLS}:measure", "--json", *more, cwd=tmp_path,
        )  # fmt: skip
    return done.returncode, events_of(done.stdout), done.stderr.decode()


async def test_a_plan_of_tools_and_instructions_is_edited_where_one_fails_and_answered(tmp_path: Path) -> None:
    edit = said(call("retry", star="judge"), call("finish", reason="another device may be willing"))
    models = Models([a_plan(), edit, "The spring, by 2."], refuses=1)
    code, events, errors = await asked(models, tmp_path)
    assert code == 0, errors
    settled = {event["star"]: event for event in events if event["event"] == "star_settled"}
    assert settled["judge"]["error"]["type"] == "NoAnswer"
    assert settled["judge-again"]["output"] == {"largest": "spring", "by": 2}
    assert settled["judge-again"]["device"] != settled["judge"]["device"]
    assert settled["check"]["output"] == {"part": "spring", "size": 6}
    assert settled["tell"]["output"] == "Spring is larger, by far."
    assert len([text for text in models.asked if '"by":\n' in text and "\n2\n" in text]) == 1
    answer = events[-1]
    assert answer["text"] == "The spring, by 2."
    assert answer["spent"]["calls"] == 3
    # Twice two steps of the judge, and one of the teller.
    used = {"calls": 5, "input_tokens": 300 + 310 + 300 + 310 + 200, "output_tokens": 30 + 5 + 30 + 10 + 20}
    assert {name: answer["prompts"][name] for name in used} == used


async def test_what_devices_models_use_counts_in_the_budget(tmp_path: Path) -> None:
    models = Models([a_plan(), "not asked"])
    code, events, _ = await asked(models, tmp_path, "--budget", "1500tokens")
    assert code == 1
    settled = {event["star"]: event for event in events if event["event"] == "star_settled"}
    # Whether the judge is just done when it has used the rest up is a matter of chance; nobody comes after it.
    assert settled["tell"]["state"] in ("cancelled", "skipped")
    assert "budget of 1500 tokens is used up" in events[-1]["problem"]


async def test_without_a_model_for_devices_the_planner_is_told_that_nobody_takes_instructions(tmp_path: Path) -> None:
    plain = said(call("finish", reason="without judgement"))
    models = Models([a_plan(), plain, "Spring."])
    code, events, errors = await asked(models, tmp_path, "--device-model", "none")
    assert code == 0, errors
    mistakes = [event["text"] for event in events if event["event"] == "planner_noted" and event["about"] == "mistake"]
    assert any("judge" in text or "agent" in text for text in mistakes)
    assert json.dumps(models.asked) == "[]"
