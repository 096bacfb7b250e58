"""Questions of servers, approvals that answer them, and the odder things that results hold."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_tools import Artifact
from constellation_tools.errors import ArtifactUnavailable
from constellation_tools.mcp import (
    Elicitation,
    ElicitationAnswer,
    McpMisbehaved,
    McpServer,
    McpToolset,
    by_approval,
)
from constellation_tools.mcp.serving import ServingLimits
from constellation_tools.mcp.serving.files import ServedFiles
from constellation_tools.runner import Answer, Approval

pytestmark = [pytest.mark.anyio, pytest.mark.requires_module("mcp")]

PATIENCE_S = 100.0

Raw = Callable[..., McpServer]
Until = Callable[[Callable[[], object]], Awaitable[None]]


async def asked(server: McpServer, elicit: Any, **arguments: Any) -> Any:
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(server, elicit=elicit) as tools:
            return json.loads(await tools.get("raw_ask").call(arguments))


@pytest.mark.e2e
async def test_a_server_can_not_have_more_questions_open_than_a_person_can_read(
    raw: Raw, tmp_path: Path, until: Until
) -> None:
    waiting: list[Elicitation] = []
    answered = tmp_path / "answered"

    async def elicit(question: Elicitation) -> ElicitationAnswer:
        waiting.append(question)
        await until(lambda: answered.exists() and int(answered.read_text() or 0) >= 12)
        return ElicitationAnswer("accept")

    answers = await asked(raw("good", answered), elicit, times=20)
    assert [each["action"] for each in answers].count("cancel") == 12
    assert [each["action"] for each in answers].count("accept") == 8
    assert waiting[0].message == "May I? 0"


@pytest.mark.e2e
async def test_a_question_that_sends_the_person_elsewhere_says_where(raw: Raw) -> None:
    seen: list[Elicitation] = []

    async def elicit(question: Elicitation) -> ElicitationAnswer:
        seen.append(question)
        return ElicitationAnswer("accept", {"ignored": True})

    assert await asked(raw(), elicit, times=1, url=True) == [{"action": "accept"}]
    assert (seen[0].url, seen[0].schema, seen[0].message) == ("https://example.org/", None, "Look")


YES_OR_NO = {"type": "object", "properties": {"sure": {"type": "boolean"}, "why": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "verdict", "answer"),
    [
        ({"type": "object", "properties": {}}, True, ElicitationAnswer("accept")),
        ({"type": "object", "properties": {}}, False, ElicitationAnswer("decline")),
        ({"type": "object", "properties": {}}, None, ElicitationAnswer("cancel")),
        ({**YES_OR_NO, "required": ["sure"]}, True, ElicitationAnswer("accept", {"sure": True})),
        ({**YES_OR_NO, "required": ["sure", "why"]}, True, ElicitationAnswer("cancel")),
        (None, True, ElicitationAnswer("accept")),
    ],
)
async def test_an_approval_answers_what_a_yes_can_answer(
    schema: dict[str, Any] | None, verdict: bool | None, answer: ElicitationAnswer
) -> None:
    requests: list[Approval] = []

    async def approver(approval: Approval) -> Answer | None:
        requests.append(approval)
        if verdict is None:
            return None
        return approval.grant(by="ann") if verdict else approval.refuse("no", by="ann")

    question = Elicitation("'fs'", "Delete all?", schema=schema, url="" if schema else "https://example.org/")
    assert await by_approval(approver)(question) == answer
    if requests:
        assert requests[0].arguments == {"server": "'fs'", "message": "Delete all?", "url": question.url}
    else:
        assert answer.action == "cancel"


@pytest.mark.e2e
async def test_results_of_every_kind_of_content_become_json_and_files(raw: Raw, reports: Any) -> None:
    with anyio.fail_after(PATIENCE_S):
        async with McpToolset(raw()) as tools:
            sound = Artifact.from_json(await tools.get("raw_sound").call({}, reports.context))
            assert reports.context.path(sound).read_bytes() == b"sound"
            assert (sound.name, sound.media_type) == ("audio", "audio/wav")
            assert await tools.get("raw_inside").call({}) == "words"
            assert await tools.get("raw_silent").call({}) is None
            assert await tools.get("raw_both").call({}, reports.context) == {"n": 1}
            assert reports.lines[-1][2][0]["media_type"] == "audio/wav"  # it came beside, and is not lost
            with pytest.raises(McpMisbehaved, match="a file that is not base64"):
                await tools.get("raw_junk").call({})


def test_only_so_many_files_of_served_tools_are_kept(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 50)
    with ServedFiles(ServingLimits(kept_files=3, kept_bytes=100)) as files:
        first, *others = [files.keep(bytes([number]) * 10, f"{number}", "") for number in range(4)]
        assert [each.name for each in files.kept] == ["1", "2", "3"]
        with pytest.raises(ArtifactUnavailable, match="not any more"):
            files.find(first)
        big = files.keep(tmp_path / "big", "big", "")
        assert [each.name for each in files.kept] == ["2", "3", "big"]
        again = files.keep(b"y" * 60, "again", "")
        assert [each.name for each in files.kept] == ["again"]
        assert not big.path.exists()
        assert again.path.read_bytes() == b"y" * 60
        assert others
    assert not again.path.exists()
