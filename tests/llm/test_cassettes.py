"""What was recorded is replayed offline to the same answers, and holds no secrets."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from pydantic import BaseModel

from constellation.llm import (
    CassetteError,
    InvalidOutput,
    ModelRequest,
    OutputType,
    RateLimited,
    RecordingModel,
    ReplayModel,
    Usage,
    WorkflowHint,
    open_model,
    user,
)
from constellation.testing.models import Called, Fault, ModelServer, Reply, ScriptedModel

pytestmark = pytest.mark.anyio


class Answer(BaseModel):
    n: int


def ask(text: str) -> ModelRequest:
    return ModelRequest((user(text),))


@pytest.mark.e2e
async def test_a_recorded_run_replays_to_the_same_answers_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    script = [Reply("one", reasoning="hm"), Reply(calls=(Called("f", {"a": 1}),)), "three", Fault(400, "no more")]
    async with ModelServer(script) as server:
        model = RecordingModel(open_model(server.model), path)
        first = await model.respond(ask("1"))
        async with model.stream(ask("2")) as stream:
            async for _ in stream:
                pass
            second = stream.response
        third = await model.respond(ask("1"))
        with pytest.raises(Exception, match="no more"):
            await model.respond(ask("4"))
        await model.aclose()
    with ReplayModel(path) as replay:
        assert replay.name == server.model
        async with replay.stream(ask("2")) as stream:
            deltas = [delta async for delta in stream]
            assert (stream.response, len(deltas)) == (second, 1)
        assert [await replay.respond(ask("1")) for _ in range(2)] == [first, third]
        with pytest.raises(Exception, match="compatible answered 400: no more"):
            await replay.respond(ask("4"))


async def test_a_cassette_holds_no_secret_and_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    secret, looks_secret = "correct horse battery", "sk-proj-abcdefghijklmnop"
    asked = ask(f"the password is {secret} and the key is {looks_secret}")
    recording = RecordingModel(ScriptedModel([f"I know {secret} and {looks_secret}"]), path, secrets=[secret])
    await recording.respond(asked)
    await recording.aclose()
    written = path.read_text(encoding="utf-8")
    assert secret not in written
    assert looks_secret not in written
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (await ReplayModel(path, secrets=[secret]).respond(asked)).text == "I know [secret] and [secret]"


async def test_errors_are_replayed_with_what_they_were(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recording = RecordingModel(ScriptedModel([RateLimited("slowly", provider="p", status=429, code="c")]), path)
    with pytest.raises(RateLimited):
        await recording.respond(ask("x"))
    await recording.aclose()
    with pytest.raises(RateLimited, match="p answered 429: slowly") as caught:
        await ReplayModel(path).respond(ask("x"))
    assert caught.value.code == "c"


async def test_hints_and_time_limits_do_not_change_what_is_asked_but_tools_and_limits_do(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recording = RecordingModel(ScriptedModel(["a"]), path)
    await recording.respond(ask("x"))
    await recording.aclose()
    hinted = replace(ask("x"), hint=WorkflowHint("w", "s"), timeout_s=3.0)
    assert (await ReplayModel(path).respond(hinted)).text == "a"
    with pytest.raises(CassetteError, match="record it again"):
        await ReplayModel(path).respond(replace(ask("x"), max_tokens=3))


async def test_typed_answers_are_typed_again(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    request = replace(ask("x"), output=OutputType(Answer))
    recording = RecordingModel(ScriptedModel(['{"n": 3}']), path)
    await recording.respond(request)
    await recording.aclose()
    assert (await ReplayModel(path).respond(request)).output == Answer(n=3)


async def test_answers_that_did_not_fit_do_not_fit_again(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    request = replace(ask("x"), output=OutputType(Answer))
    recording = RecordingModel(ScriptedModel(["three"]), path)
    with pytest.raises(InvalidOutput):
        await recording.respond(request)
    await recording.aclose()
    with pytest.raises(InvalidOutput) as caught:
        await ReplayModel(path).respond(request)
    assert caught.value.text == "three"
    assert caught.value.usage == Usage(10, 0, 0, 5)


async def test_a_replay_says_what_it_has_not_and_what_was_left(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recording = RecordingModel(ScriptedModel(["a", "b"]), path)
    await recording.respond(ask("x"))
    await recording.respond(ask("y"))
    await recording.aclose()
    with pytest.raises(CassetteError, match=r"1 answers were not asked for: \['y'\]"), ReplayModel(path) as replay:
        await replay.respond(ask("x"))
    with pytest.raises(CassetteError, match="no further answer to 'x'"):
        await replay.respond(ask("x"))


async def test_a_stream_that_was_left_before_its_end_is_not_recorded(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recording = RecordingModel(ScriptedModel(["abc"]), path)
    async with recording.stream(ask("x")) as stream:
        await anext(aiter(stream))
        with pytest.raises(RuntimeError, match="not whole yet"):
            _ = stream.response
    await recording.aclose()
    assert ReplayModel(path).remaining == 0


async def test_a_request_that_is_cancelled_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    recording = RecordingModel(ScriptedModel(["abc"]), path)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await recording.respond(ask("x"))
    await recording.aclose()
    assert ReplayModel(path).remaining == 0


@pytest.mark.parametrize(
    "text", ["", "{}", "nonsense", '{"cassette": 2, "model": "m"}', '{"cassette":1,"model":"m"}\n{}']
)
def test_what_is_no_cassette_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CassetteError, match="no cassette of version 1"):
        ReplayModel(path)


def test_a_cassette_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CassetteError, match="can't be read"):
        ReplayModel(tmp_path / "none.jsonl")
