"""The agent at the end of a link: accepting and refusing work, running it, answering exactly once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_protocol import Accept, Drain, ProfileUpdate, Progress, Result
from constellation_tools import Tool, ToolContext

pytestmark = pytest.mark.anyio


async def test_a_quick_tool_is_answered_with_its_result_alone(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        result = await hub.call("add", {"a": 1, "b": 2}, attempt="first")
        assert (result.status, result.output, result.error) == ("succeeded", 3, None)
        assert [type(message) for message in hub.seen] == [Result]
        assert result.started_at > 1e9
        assert result.duration_s >= 0


@pytest.mark.parametrize("worker_processes", [False, True])
async def test_a_tool_knows_which_try_it_is_wherever_it_runs(make_bench: Any, worker_processes: bool) -> None:
    async with make_bench(worker_processes=worker_processes) as bench:
        hub = await bench.connect()
        for number, tool in enumerate(("try_at_once", "try_blocking")):
            assert (await hub.call(tool, attempt=f"run/star/{number}")).output == f"run/star/{number}"


async def test_an_async_tool_runs_on_the_loop(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        assert (await hub.call("add_soon", {"a": 1, "b": 2})).output == 3
        assert [type(message) for message in hub.seen] == [Accept, Result]


async def test_many_attempts_run_one_after_another_through_the_same_slots(make_bench: Any) -> None:
    async with make_bench(slots=2) as bench:
        hub = await bench.connect()
        for number in range(20):
            assert (await hub.call("add_soon", {"a": number, "b": 1})).output == number + 1


async def test_a_profile_tells_labels_resources_slots_and_tools(make_bench: Any) -> None:
    async with make_bench(slots=3) as bench:
        profile = bench.agent.profile
        assert profile.labels["role"] == "test"
        assert {"os", "arch", "hostname"} <= profile.labels.keys()
        assert {"cpu", "memory_gb", "gpu"} <= profile.resources.keys()
        assert profile.slots == 3
        (add,) = [info for info in profile.tools if info.name == "add"]
        assert set(add.input_schema["properties"]) == {"a", "b"}


async def test_work_beyond_the_slots_is_rejected(make_bench: Any) -> None:
    async with make_bench(slots=1) as bench:
        hub = await bench.connect()
        busy = await hub.assign("wait_forever")
        surplus = await hub.assign("add", {"a": 1, "b": 1})
        assert (await hub.rejected(surplus)).code == "no-slot"
        await hub.cancel(busy)
        await hub.result(busy)
        assert (await hub.call("add", {"a": 1, "b": 1})).status == "succeeded"


async def test_an_unknown_tool_is_rejected_by_name(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        reject = await hub.rejected(await hub.assign("no_such_tool"))
        assert reject.code == "unknown-tool"
        assert "no_such_tool" in reject.message
        assert "add_soon" in reject.message


async def test_invalid_arguments_fail_the_attempt_and_name_the_argument(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        result = await hub.call("add", {"a": "many", "b": 2})
        assert result.status == "failed"
        assert result.error.type == "InvalidArguments"
        assert result.error.details["problems"][0]["path"] == "a"


async def test_an_unexpected_exception_comes_with_its_class_and_a_short_traceback(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        error = (await hub.call("fail", {"message": "not in the list"})).error
        assert (error.type, error.message) == ("LookupError", "not in the list")
        assert "in fail" in error.details["traceback"]


async def test_an_expected_failure_comes_without_a_traceback(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        error = (await hub.call("fail_as_expected")).error
        assert (error.type, error.message, error.details) == ("ToolFailed", "there is no such file", {})


async def test_a_tool_that_exits_fails_and_the_device_lives_on(make_bench: Any) -> None:
    async def leave_soon() -> None:
        raise SystemExit(3)

    async with make_bench(tools=[leave_soon]) as bench:
        hub = await bench.connect()
        assert (await hub.call("leave_soon")).error.type == "SystemExit"
        assert (await hub.call("add", {"a": 1, "b": 1})).output == 2


async def test_the_same_attempt_assigned_twice_is_a_duplicate_while_it_runs(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("wait_forever")
        await hub.assign("wait_forever", attempt=attempt)
        assert (await hub.rejected(attempt)).code == "duplicate"
        await hub.cancel(attempt)
        assert (await hub.result(attempt)).status == "cancelled"


async def test_an_attempt_that_has_ended_is_answered_and_not_run_again(make_bench: Any, tmp_path: Path) -> None:
    runs = []

    async def count() -> int:
        runs.append(1)
        return len(runs)

    async with make_bench(tools=[count]) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("count")
        await hub.result(attempt)
        await hub.assign("count", attempt=attempt)
        await hub.until(lambda: len(hub.of(Result, attempt)) == 2 or hub.seen[-1].kind == "reject")
        assert runs == [1]


async def test_cancelling_an_async_tool_stops_it_at_once(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("wait_forever")
        await hub.cancel(attempt, grace_s=60)
        result = await hub.result(attempt)
        assert result.status == "cancelled"
        assert result.error.message == "not wanted"
        assert len(hub.of(Result, attempt)) == 1


async def test_an_assignment_and_its_cancellation_in_one_batch_start_and_end_it(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("wait_forever")
        await hub.cancel(attempt)
        assert (await hub.result(attempt)).status == "cancelled"
        assert hub.of(Accept, attempt)


async def test_cancelling_what_is_not_there_changes_nothing(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        await hub.cancel("never-heard-of")
        assert (await hub.call("add", {"a": 1, "b": 1})).output == 2


async def test_a_tool_that_shields_itself_is_given_up_and_its_slot_is_free_again(
    make_bench: Any, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    async with make_bench(slots=1) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("shielded", {"release": str(release)})
        await hub.cancel(attempt, grace_s=0.05)
        assert (await hub.result(attempt)).status == "cancelled"
        assert (await hub.call("add_soon", {"a": 1, "b": 1})).output == 2
        release.touch()
        assert (await hub.call("add_soon", {"a": 2, "b": 1})).output == 3
        assert len(hub.of(Result, attempt)) == 1


async def test_the_attempts_own_time_limit_stops_it(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        result = await hub.call("wait_forever", timeout_s=0.05)
        assert (result.status, result.error.type) == ("failed", "ToolTimeout")
        assert "0.05 s" in result.error.message


async def test_the_tools_time_limit_stops_it_where_it_is_the_shorter_one(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        result = await hub.call("hasty", timeout_s=60)
        assert (result.status, result.error.type) == ("failed", "ToolTimeout")


async def test_an_attempt_that_ends_in_time_is_not_disturbed_by_its_limit(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        for _ in range(200):  # more than the alarms keep before they sweep out the settled
            assert (await hub.call("add_soon", {"a": 1, "b": 1}, timeout_s=600)).status == "succeeded"
        assert (await hub.call("wait_forever", timeout_s=0.02)).error.type == "ToolTimeout"


async def test_a_thread_is_abandoned_when_cancelled_and_told_so(make_bench: Any, sample_tools_file: Path) -> None:
    released = threading.Event()
    seen: list[Any] = []
    tools = _local_tools(sample_tools_file)(released, seen)
    async with make_bench(tools=tools) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("thread_wait")
        await hub.until(lambda: hub.texts(attempt))
        await hub.cancel(attempt)
        assert (await hub.result(attempt)).status == "cancelled"
        assert await anyio.to_thread.run_sync(released.wait, 10)
        assert seen == ["started", "noticed"]
        assert hub.texts(attempt) == ["started"]


async def test_progress_comes_from_any_thread_and_before_the_result(make_bench: Any, sample_tools_file: Path) -> None:
    tools = _local_tools(sample_tools_file)(threading.Event(), [])
    async with make_bench(tools=tools) as bench:
        hub = await bench.connect()
        attempt = await hub.assign("thread_report")
        await hub.result(attempt)
        assert hub.texts(attempt) == ["from a thread of its own", "from the tool's thread"]
        assert isinstance(hub.seen[-1], Result)


async def test_progress_carries_text_fraction_and_data(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("report")
        await hub.result(attempt)
        reports = hub.of(Progress, attempt)
        assert hub.texts(attempt) == ["started"]
        assert [report.data for report in reports if report.data] == [{"rows": [1, 2]}]
        assert reports[-1].fraction == 1.0


@pytest.mark.parametrize("blocking", [True, False])
async def test_text_that_is_not_unicode_harms_nobody(make_bench: Any, blocking: bool) -> None:
    strange = "caf\udce9"

    def name_of() -> str:
        return strange

    def fail_strangely(context: ToolContext) -> None:
        context.progress(strange)
        raise OSError(strange)

    tools = [Tool.from_function(function, blocking=blocking) for function in (name_of, fail_strangely)]
    async with make_bench(tools=tools) as bench:
        hub = await bench.connect()
        assert (await hub.call("name_of")).error.type == "InvalidOutput"
        attempt = await hub.assign("fail_strangely")
        assert (await hub.result(attempt)).error.message == "caf?"
        assert hub.texts(attempt) == ["caf?"]


@pytest.mark.parametrize("blocking", [True, False])
async def test_an_output_that_not_everybody_could_read_fails_its_work_and_nothing_else(
    make_bench: Any, small_limits: Any, blocking: bool
) -> None:
    def peculiar(kind: str) -> Any:
        deep: Any = "x" * 5000 if kind == "deep and long" else 1
        for _ in range(0 if kind == "digits" else 150):
            deep = [deep]
        return 10**5000 if kind == "digits" else deep

    async with make_bench(tools=[Tool.from_function(peculiar, blocking=blocking)]) as bench:
        hub = await bench.connect(limits=small_limits)
        for kind in ("deep", "digits", "deep and long"):
            result = await hub.call("peculiar", {"kind": kind})
            assert (result.status, result.error.type) == ("failed", "InvalidOutput"), kind


async def test_an_output_that_is_too_long_becomes_a_file(make_bench: Any, small_limits: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect(limits=small_limits)
        for tool in ("big", "big_at_once"):
            result = await hub.call(tool, {"size": 5000})
            digest = result.output["$artifact"]
            assert [info.sha256 for info in result.artifacts] == [digest]
            assert result.output["media_type"] == "application/json"
            assert bench.store.path(digest).read_text() == '"' + "x" * 5000 + '"'


async def test_files_of_an_output_are_with_the_orchestrator_before_the_result(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        result = await hub.call("write_file", {"text": "from the device"})
        first, second = result.output["files"]
        assert (first["name"], second["name"]) == ("bytes.txt", "made.txt")
        assert {info.sha256 for info in result.artifacts} == {first["$artifact"], second["$artifact"]}
        assert bench.store.path(first["$artifact"]).read_text() == "from the device"


@pytest.mark.parametrize("tool", ["read_file", "read_file_soon"])
async def test_files_of_the_arguments_are_fetched_before_the_call(
    make_bench: Any, put_file: Callable[..., Any], tool: str
) -> None:
    async with make_bench() as bench:
        info = put_file(bench.store, b"from the hub", "input.txt")
        hub = await bench.connect()
        result = await hub.call(tool, {"file": {"$artifact": info.sha256, "size": info.size}}, artifacts=(info,))
        assert result.output == "from the hub", result.error


async def test_a_file_that_the_orchestrator_lost_fails_the_attempt(
    make_bench: Any, put_file: Callable[..., Any]
) -> None:
    async with make_bench() as bench:
        info = put_file(bench.store, b"soon gone", "input.txt")
        bench.store.path(info.sha256).unlink()
        hub = await bench.connect()
        result = await hub.call("read_file", {"file": {"$artifact": info.sha256}}, artifacts=(info,))
        assert (result.status, result.error.type) == ("failed", "ArtifactUnavailable")


async def test_tools_offered_later_are_announced_and_run(make_bench: Any) -> None:
    def triple(number: int) -> int:
        return 3 * number

    async with make_bench() as bench:
        hub = await bench.connect()
        bench.agent.offer([Tool.from_function(triple)])
        update = (await hub.until(lambda: hub.of(ProfileUpdate)))[0]
        assert "triple" in [tool.name for tool in update.profile.tools]
        assert (await hub.call("triple", {"number": 2})).output == 6


async def test_a_draining_device_finishes_its_work_takes_no_new_and_leaves(make_bench: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("shielded", {"release": str(gate)})
        await hub.link.send(Drain(reason="maintenance"))
        refused = await hub.assign("add", {"a": 1, "b": 1})
        reject = await hub.rejected(refused)
        assert (reject.code, "maintenance" in reject.message) == ("draining", True)
        gate.touch()
        assert (await hub.result(attempt)).output == "late"
        assert "maintenance" in await hub.until_closed()
        assert bench.agent.drained


async def test_finishing_cancels_what_does_not_end_within_the_grace(make_bench: Any) -> None:
    async with make_bench() as bench:
        hub = await bench.connect()
        attempt = await hub.assign("wait_forever")
        await hub.accepted(attempt)
        with anyio.fail_after(10):
            await bench.agent.finish("closing", grace_s=0.05)
        assert (await hub.result(attempt)).status == "cancelled"
        assert hub.of(Drain)


def _local_tools(path: Path) -> Callable[..., list[Any]]:
    import runpy

    make: Callable[..., list[Any]] = runpy.run_path(str(path))["make_local_tools"]
    return make


async def test_work_done_on_the_spot_is_accepted_when_its_result_has_to_wait_for_a_file(
    make_bench: Any, small_limits: Any
) -> None:
    async with make_bench() as bench:
        hub = await bench.connect(limits=small_limits)
        result = await hub.call("big_at_once", {"size": 5000}, attempt="big")
        assert result.status == "succeeded"
        told = [type(message) for message in hub.seen if isinstance(message, (Accept, Result))]
        assert told == [Accept, Result]
