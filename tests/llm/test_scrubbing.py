"""Secrets are found in whatever form they are written down."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from constellation.llm import ModelRequest, RecordingModel, ReplayModel, ToolResult, ToolUse, assistant, user
from constellation.llm.scrubbing import scrub
from constellation.testing.models import Called, Reply, ScriptedModel

SECRET = 'pä"ss\\wo/rd &1'


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(json.dumps({"key": SECRET}, ensure_ascii=False), ensure_ascii=False),
        f"https://example.org/?key={quote(SECRET, safe='')}",
    ],
)
def test_a_secret_is_found_however_it_is_quoted(written: str) -> None:
    scrubbed = scrub(written, [SECRET])
    assert "[secret]" in scrubbed
    assert "ss" not in scrubbed.replace("[secret]", "")


@pytest.mark.anyio
async def test_a_cassette_has_no_secret_of_a_call_or_its_result(tmp_path: Path) -> None:
    request = ModelRequest(
        (
            user("Go on."),
            assistant(ToolUse("c", "get", json.dumps({"key": SECRET}))),
            user(ToolResult.of("c", f"it is {SECRET}")),
        )
    )
    path = tmp_path / "cassette"
    with ScriptedModel([Reply(calls=(Called("send", {"key": SECRET}),))]) as model:
        recording = RecordingModel(model, path, secrets=[SECRET])
        await recording.respond(request)
        await recording.aclose()
    assert "rd &1" not in path.read_text()
    with ReplayModel(path, secrets=[SECRET]) as replay:
        (use,) = (await replay.respond(request)).message.tool_uses
    assert use.name == "send"
