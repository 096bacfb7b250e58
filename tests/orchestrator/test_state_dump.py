"""State dumps: a run in one file, where its records lead, and what is taken out of it for strangers."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from orchestra_tools import add, fail

from constellation import Approval, Nested, Orchestrator, TaskConstellation
from constellation.graph.documents import dump as document_of
from constellation.orchestrator import events as seen
from constellation.orchestrator.control import MAX_DUMP_BYTES
from constellation.orchestrator.errors import BadDump, HubRefused
from constellation.orchestrator.redaction import redacted
from constellation.orchestrator.run import LocalRun
from constellation.orchestrator.state_dump import DumpedRun, RunDump, dump_from_json, read_dump
from constellation.scheduling.retracing import Retraced, retrace
from constellation.scheduling.story import story

pytestmark = pytest.mark.anyio

SECRET = "hunter2-do-not-tell"


def flow() -> TaskConstellation:
    inner = TaskConstellation(f"inner {SECRET}")
    inner.star("double", "add", a={"$input": "/n"}, b={"$input": "/n"})
    graph = TaskConstellation("flow", description=SECRET)
    first = graph.star("arguments", "add", a=1, b=2)  # an id that is also the name of a field
    graph.star("nested", Nested(document_of(inner)), n=first.output)
    broken = graph.star("output", "fail", message=SECRET)
    graph.star("unreached", "add", a=broken.output, b=1)
    graph.star("odd", "add", a=1, b=1, after=[first])
    graph.star("ask", Approval("Is it hunter2-do-not-tell?", {"why": SECRET}))
    return graph


async def waiting_for_its_approval(orchestrator: Orchestrator) -> LocalRun:
    run = await orchestrator.submit(flow(), info={"file": SECRET})
    wanted = {"arguments", "nested", "output", "unreached", "odd"}
    with anyio.fail_after(30):
        async for event in run.events():
            if isinstance(event, seen.StarSettled):
                wanted.discard(event.star)
            if not wanted:
                break
    return run


def through_a_file(dump: RunDump, path: Path) -> RunDump:
    path.write_text(dump.text(), encoding="ascii")
    return read_dump(path)


def replayed(dumped: DumpedRun) -> Retraced:
    return retrace([record.text() for record in dumped.records])


@pytest.mark.parametrize("redact", [False, True])
async def test_a_dump_replays_to_the_states_of_the_live_run(tmp_path: Path, redact: bool) -> None:
    async with Orchestrator.local(devices=2, tools=[add, fail]) as orchestrator:
        run = await waiting_for_its_approval(orchestrator)
        under_way = through_a_file(await orchestrator.dump(run.id, redact=redact), tmp_path / "under-way.json")
        states = {star: run.machine.graph.state(star) for star in run.machine.graph}
        await run.approve("ask")
        with anyio.fail_after(30):
            await run.wait()
        ended = through_a_file(await orchestrator.dump(run.id, redact=redact), tmp_path / "ended.json")
        document = document_of(run.machine.graph)

    retraced = replayed(under_way.runs[0])
    assert retraced.machine is not None
    assert retraced.problem is None
    assert {star: retraced.machine.graph.state(star) for star in retraced.machine.graph} == states
    assert (live := under_way.runs[0].live) is not None
    assert dict(live.stars) == states
    assert (live.state, live.records) == ("running", len(under_way.runs[0].records))

    outer, inner = (replayed(part) for part in ended.runs)
    assert outer.machine is not None
    assert inner.machine is not None
    assert (outer.machine.state, inner.machine.state) == ("failed", "succeeded")
    assert (document_of(outer.machine.graph) == document) is not redact
    assert "'output', which it waits for, failed" in "\n".join(story(outer.entries, "unreached"))


async def test_redaction_leaves_no_text_of_the_user_and_all_shapes(tmp_path: Path) -> None:
    async with Orchestrator.local(devices=1, tools=[add, fail]) as orchestrator:
        run = await waiting_for_its_approval(orchestrator)
        edit = run.machine.graph.edit(author=SECRET, reason=SECRET)
        edit.star("late", "add", a=1, b=1, description=SECRET)
        await run.edit(edit)
        await run.approve("ask", by=SECRET, comment=SECRET)
        with anyio.fail_after(30):
            await run.wait()
        plain = await orchestrator.dump(run.id)
        without = await orchestrator.dump(run.id, redact=True)
    assert SECRET in plain.text()
    assert SECRET not in without.text()
    for before, after in zip(plain.runs, without.runs, strict=True):
        for whole, hidden in zip(before.records, after.records, strict=True):
            assert _shape(whole.body) == _shape(hidden.body)
    assert without.redacted
    assert without.runs[0].summary.info["file"] == "x" * len(SECRET)


GOLDEN = sorted((Path(__file__).parents[1] / "scheduling" / "golden").glob("*.jsonl"))


@pytest.mark.parametrize("journal", GOLDEN, ids=lambda path: path.stem)
def test_every_kind_of_record_replays_to_the_same_states_when_it_is_redacted(journal: Path) -> None:
    """A new field of an event is hidden until it is known to be ours; if the replay needs it, this says so."""
    bodies = journal.read_bytes().splitlines()
    whole = retrace(bodies)
    hidden = retrace([json.dumps(redacted(json.loads(body))).encode() for body in bodies])
    assert (hidden.problem, len(hidden.entries)) == (None, len(whole.entries))
    assert hidden.machine is not None
    assert whole.machine is not None
    assert hidden.machine.state == whole.machine.state
    assert _states(hidden.machine.graph) == _states(whole.machine.graph)


def test_what_a_replay_follows_stays_where_it_is_no_payload() -> None:
    prompt = {"instruction": SECRET, "arguments": {"a": {"$ref": "a#/b"}}, "output": {"$input": "/schema"}}
    assert redacted({"work": prompt}) == {"work": {**prompt, "instruction": "x" * len(SECRET)}}
    assert redacted({"output": {"$input": SECRET}}) == {"output": {"$input": "x" * len(SECRET)}}


def _states(graph: TaskConstellation) -> dict[str, str]:
    return {star: graph.state(star).value for star in graph}


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return len(value) if isinstance(value, str) else value


# --- damage -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Any:
    """The dump of a run that has ended, as JSON values."""

    async def make() -> str:
        async with Orchestrator.local(devices=1, tools=[add, fail]) as orchestrator:
            run = await waiting_for_its_approval(orchestrator)
            await run.approve("ask")
            with anyio.fail_after(30):
                await run.wait()
            return (await orchestrator.dump(run.id)).text()

    return json.loads(anyio.run(make))


def _forget_a_record(records: list[Any]) -> None:
    del records[4]


def _forget_a_number(records: list[Any]) -> None:
    del records[4]["seq"]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_forget_a_record, "where record 5 should be, record 6 is"),
        (_forget_a_number, "record 5: seq: "),
        (lambda records: records.__setitem__(4, "nonsense"), "record 5: "),
    ],
)
def test_a_damaged_dump_is_refused_with_the_record(
    whole: Any, tmp_path: Path, damage: Callable[[list[Any]], None], words: str
) -> None:
    value = copy.deepcopy(whole)
    damage(value["runs"][0]["records"])
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps(value))
    with pytest.raises(BadDump) as refused:
        read_dump(path)
    assert words in str(refused.value)
    assert str(path) in str(refused.value)
    assert value["runs"][0]["summary"]["run"] in str(refused.value)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "the top"),
        ({"format": "constellation-dump/1"}, "version"),
        ("later", "constellation-dump/9"),
        ("empty", "it has no runs"),
    ],
)
def test_what_is_no_dump_is_named(whole: Any, value: Any, words: str) -> None:
    value = {"later": {**whole, "format": "constellation-dump/9"}, "empty": {**whole, "runs": []}}.get(
        str(value), value
    )
    with pytest.raises(BadDump) as refused:
        dump_from_json(value)
    assert words in str(refused.value)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text('{"format": "constellation-du')
    with pytest.raises(BadDump, match=r"cut\.json is no dump: it is no JSON"):
        read_dump(path)


# --- from afar --------------------------------------------------------------------------------------------------------


async def test_a_hub_hands_out_dumps_of_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Orchestrator.serve(journal=":memory:") as hub, Orchestrator.connect(hub.url, hub.token) as client:
        graph = TaskConstellation("afar")
        graph.star("ask", Approval("Go on?"))
        run = await client.submit(graph)
        dump = await client.dump(run.id[:-2], redact=True)
        assert dump.runs[0].live is not None
        assert dump.runs[0].live.stars == {"ask": "running"}
        assert replayed(dump.runs[0]).problem is None
        with pytest.raises(HubRefused, match="no run"):
            await client.dump("nowhere")
        monkeypatch.setattr("constellation.orchestrator.control.MAX_DUMP_BYTES", MAX_DUMP_BYTES // 2**20)
        with pytest.raises(HubRefused, match="make it on the hub's machine"):
            await client.dump(run.id)
        await run.cancel()
