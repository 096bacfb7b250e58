"""Blocking tools in worker processes: reused, listened to, and really stopped together with what they started."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_protocol import Progress, Result

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]


async def test_a_blocking_tool_runs_in_a_process_of_its_own_that_is_used_again(make_bench: Any) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        first = (await hub.call("process_id")).output
        second = (await hub.call("process_id")).output
        assert first["pid"] != os.getpid()
        assert first["group"] == first["pid"]
        assert first == second


async def test_attempts_at_the_same_time_have_different_processes(make_bench: Any, tmp_path: Path) -> None:
    gate, out = tmp_path / "gate", tmp_path / "out"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        waiting = await hub.assign("append_after", {"path": str(out), "gate": str(gate), "line": "x"})
        assert (await hub.call("process_id")).status == "succeeded"
        assert not hub.of(Result, waiting)
        gate.touch()
        assert (await hub.result(waiting)).output == "x"


async def test_what_a_tool_prints_becomes_progress_in_order(make_bench: Any) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        for _ in range(2):
            attempt = await hub.assign("chatter", {"lines": 3})
            assert (await hub.result(attempt)).output == 3
            assert hub.texts(attempt) == [
                "line 0",
                "line 1",
                "line 2",
                "to stderr",
                "from a program",
                "no newline at the end",
            ]


@pytest.mark.parametrize(("levels", "digits"), [(150, 1), (220, 1), (1, 5000)])
async def test_an_output_that_not_everybody_could_read_fails_its_work(
    make_bench: Any, levels: int, digits: int
) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        result = await hub.call("odd", {"levels": levels, "digits": digits})
        assert (result.status, result.error.type) == ("failed", "InvalidOutput")
        assert (await hub.call("odd", {"levels": 99, "digits": 4000})).status == "succeeded"


async def test_progress_files_and_failures_come_through_the_pipe(make_bench: Any) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("report")
        assert (await hub.result(attempt)).output == "reported"
        assert hub.texts(attempt) == ["started"]
        assert hub.of(Progress, attempt)[-1].fraction == 1.0
        made = await hub.call("write_file", {"text": "from a worker"})
        digest = made.output["files"][0]["$artifact"]
        assert bench.store.path(digest).read_text() == "from a worker"
        read = await hub.call("read_file", {"file": made.output["files"][0]}, artifacts=made.artifacts)
        assert read.output == "from a worker"
        assert (await hub.call("fail", {"message": "gone"})).error.type == "LookupError"
        assert (await hub.call("fail_as_expected")).error.details == {}
        assert (await hub.call("leave")).error.type == "SystemExit"
        assert (await hub.call("chatter", {"lines": "x"})).error.type == "InvalidArguments"


async def test_a_long_output_of_a_worker_becomes_a_file(make_bench: Any, small_limits: Any) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect(limits=small_limits)
        result = await hub.call("big", {"size": 300_000})
        assert bench.store.path(result.output["$artifact"]).stat().st_size == 300_002


async def test_cancelling_kills_the_tool_and_the_programs_it_started(
    make_bench: Any, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("sleep_with_child", {"marker": str(marker)})
        pids = [int(pid) for pid in (await appearing(marker)).split()]
        with anyio.fail_after(5):
            await hub.cancel(attempt, grace_s=60)
            assert (await hub.result(attempt)).status == "cancelled"
        await vanishing(*pids)
        assert (await hub.call("process_id")).output["pid"] not in pids


async def test_a_cancelled_tool_may_tidy_up_within_the_grace(
    make_bench: Any, tmp_path: Path, appearing: Callable[..., Any]
) -> None:
    started, tidied = tmp_path / "started", tmp_path / "tidied"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("tidy_up", {"started": str(started), "tidied": str(tidied)})
        await appearing(started)
        await hub.cancel(attempt, grace_s=30)
        assert (await hub.result(attempt)).status == "cancelled"
        assert tidied.exists()


async def test_a_tool_that_ignores_interruption_is_killed_within_the_grace(
    make_bench: Any, tmp_path: Path, appearing: Callable[..., Any]
) -> None:
    started = tmp_path / "started"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("stubborn", {"started": str(started)})
        await appearing(started)
        with anyio.fail_after(5):
            await hub.cancel(attempt, grace_s=0.4)
            assert (await hub.result(attempt)).status == "cancelled"


async def test_a_timeout_kills_the_process(
    make_bench: Any, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pid"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        await hub.call("process_id")  # the worker is there: the limit measures the tool
        result = await hub.call("hasty_process", {"marker": str(marker)})
        assert (result.status, result.error.type) == ("failed", "ToolTimeout")
        await vanishing(int(await appearing(marker)))


async def test_a_crash_fails_the_attempt_with_its_last_words_and_the_next_call_has_a_new_process(
    make_bench: Any,
) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("crash")
        error = (await hub.result(attempt)).error
        assert (error.type, "SIGSEGV" in error.message) == ("WorkerDied", True)
        assert "goodbye, cruel world" in hub.texts(attempt)
        assert (await hub.call("process_id")).status == "succeeded"


async def test_a_process_that_ends_under_a_call_never_leads_to_a_second_call(make_bench: Any, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        await hub.call("process_id")
        error = (await hub.call("once", {"ledger": str(ledger)})).error
        assert (error.type, "(9)" in error.message) == ("WorkerDied", True)
        assert ledger.read_text() == "called\n"


async def test_an_idle_worker_that_died_is_replaced_unnoticed(make_bench: Any, vanishing: Callable[..., Any]) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        pid = (await hub.call("process_id")).output["pid"]
        os.kill(pid, signal.SIGKILL)
        await vanishing(pid)
        result = await hub.call("process_id")
        assert result.status == "succeeded"
        assert result.output["pid"] != pid


async def test_workers_end_with_their_agent(make_bench: Any, vanishing: Callable[..., Any]) -> None:
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        pid = (await hub.call("process_id")).output["pid"]
    await vanishing(pid)


async def test_a_running_tool_is_killed_when_its_agent_ends(
    make_bench: Any, tmp_path: Path, appearing: Callable[..., Any], vanishing: Callable[..., Any]
) -> None:
    marker = tmp_path / "pids"
    async with make_bench(worker_processes=True) as bench:
        hub = await bench.connect()
        await hub.assign("sleep_with_child", {"marker": str(marker)})
        pids = [int(pid) for pid in (await appearing(marker)).split()]
    await vanishing(*pids)
