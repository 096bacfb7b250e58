"""The agent over several sessions: work outlives them, results arrive however often they end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_devices.kept import SqliteKept
from constellation_protocol import Accept, Result
from constellation_protocol.messages import ArtifactChunk, ArtifactOffer

pytestmark = pytest.mark.anyio


async def test_work_goes_on_without_a_session_and_its_result_comes_in_the_next_one(
    make_bench: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with make_bench() as bench:
        first = await bench.connect()
        attempt = await first.assign("shielded", {"release": str(gate)})
        await first.accepted(attempt)
        await first.link.aclose("the orchestrator stops")
        gate.touch()
        await _until(lambda: bench.home.kept.waiting())
        second = await bench.connect()
        assert bench.hellos[-1].finished == (attempt,)
        assert bench.hellos[-1].running == ()
        result = await second.result(attempt)
        assert (result.output, result.epoch) == ("late", 2)
        assert not first.of(Result, attempt)


async def test_a_running_attempt_is_named_in_the_hello_and_ends_under_the_new_epoch(
    make_bench: Any, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    async with make_bench() as bench:
        first = await bench.connect()
        attempt = await first.assign("shielded", {"release": str(gate)})
        await first.accepted(attempt)
        await first.link.aclose()
        second = await bench.connect()
        assert bench.hellos[-1].running == (attempt,)
        await second.assign("shielded", attempt=attempt)
        accept = await second.accepted(attempt)
        assert accept.epoch == 2
        gate.touch()
        assert (await second.result(attempt)).epoch == 2
        assert len(second.of(Result, attempt)) == 1


async def test_an_unacknowledged_result_is_sent_again_and_an_acknowledged_one_is_not(make_bench: Any) -> None:
    async with make_bench() as bench:
        first = await bench.connect()
        acknowledged = await first.assign("add", {"a": 1, "b": 1})
        await first.result(acknowledged)
        await _until(lambda: not bench.home.kept.waiting())  # the hub has asked for more, which acknowledges it
        await first.link.aclose()
        bench.home.kept.begin(["lost-on-the-way"])
        bench.home.kept.keep(Result(attempt="lost-on-the-way", epoch=1, status="succeeded", output=7))
        second = await bench.connect()
        assert (await second.result("lost-on-the-way")).output == 7
        assert not second.of(Result, acknowledged)


async def test_progress_made_between_two_sessions_is_told_in_the_second(make_bench: Any, tmp_path: Path) -> None:
    from constellation_tools import ToolContext

    go, told, end = anyio.Event(), anyio.Event(), anyio.Event()

    async def talk(context: ToolContext) -> None:
        await go.wait()
        context.progress("nobody listens")
        told.set()
        await end.wait()

    async with make_bench(tools=[talk]) as bench:
        first = await bench.connect()
        attempt = await first.assign("talk")
        await first.accepted(attempt)
        await first.link.aclose()
        await first.until_closed()
        await _until(lambda: not bench.agent.connected)
        go.set()
        await told.wait()
        second = await bench.connect()
        await second.until(lambda: second.texts(attempt) == ["nobody listens"])
        end.set()
        await second.result(attempt)


async def test_a_file_that_was_not_taken_is_offered_again_in_the_next_session(make_bench: Any) -> None:
    async with make_bench() as bench:
        first = await bench.connect()
        assert first.transfers is not None
        first.transfers.handle = lambda message: None  # this orchestrator never takes anything
        attempt = await first.assign("write_file", {"text": "patience"})
        await first.until(lambda: first.of(ArtifactOffer))
        await first.link.aclose()
        second = await bench.connect()
        result = await second.result(attempt)
        assert bench.store.path(result.output["files"][0]["$artifact"]).read_text() == "patience"
        assert not first.of(Result, attempt)


async def test_fetching_a_file_goes_on_in_the_next_session(make_bench: Any, put_file: Callable[..., Any]) -> None:
    async with make_bench() as bench:
        info = put_file(bench.store, b"wanted twice", "input.txt")
        first = await bench.connect()
        assert first.transfers is not None
        first.transfers.handle = lambda message: None
        attempt = await first.assign("read_file_soon", {"file": {"$artifact": info.sha256}}, artifacts=(info,))
        await first.until(lambda: first.of(Accept, attempt) and len(first.seen) > 1)
        await first.link.aclose()
        second = await bench.connect()
        assert (await second.result(attempt)).output == "wanted twice"


async def test_a_refused_file_fails_the_result_for_good(make_bench: Any) -> None:
    from constellation_protocol.messages import ArtifactDone

    async with make_bench() as bench:
        hub = await bench.connect()
        assert hub.transfers is not None
        hub.transfers.handle = lambda message: None
        attempt = await hub.assign("write_file", {"text": "refused"})
        offer = (await hub.until(lambda: hub.of(ArtifactOffer)))[0]
        await hub.link.send(ArtifactDone(sha256=offer.artifact.sha256, error="the disk is full"))
        result = await hub.result(attempt)
        assert (result.status, result.output, result.error.type) == ("failed", None, "ArtifactUnavailable")
        assert "the disk is full" in result.error.message


async def test_an_orchestrator_that_breaks_the_rules_is_left_and_the_agent_lives(make_bench: Any) -> None:
    async with make_bench() as bench:
        first = await bench.connect()
        info = bench.home.store.put_bytes(b"something", name="x")
        for offset in range(5000):
            if first.closed is not None:
                break
            await first.link.send(ArtifactChunk(sha256=info.sha256, offset=offset, data=b"?"))
        second = await bench.connect()
        assert (await second.call("add", {"a": 1, "b": 1})).output == 2


async def test_after_a_restart_a_begun_attempt_is_answered_and_not_run(make_bench: Any, tmp_path: Path) -> None:
    runs = []

    async def count() -> int:
        runs.append(1)
        return len(runs)

    path = tmp_path / "results.sqlite3"
    kept = SqliteKept(path)
    async with make_bench(tools=[count], kept=kept) as bench:
        hub = await bench.connect()
        ended = await hub.assign("count")
        await hub.result(ended)
        hanging = await hub.assign("wait_forever")
        await hub.accepted(hanging)
    kept.close()
    kept = SqliteKept(path)
    async with make_bench(tools=[count], kept=kept) as bench:
        hub = await bench.connect()
        assert hanging in bench.hellos[-1].finished
        assert (await hub.result(hanging)).error.type == "AttemptOutcomeUnknown"
        again = await hub.call("count", attempt=ended)
        assert (again.output, runs) == (1, [1])
    kept.close()


async def _until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await anyio.lowlevel.checkpoint()
