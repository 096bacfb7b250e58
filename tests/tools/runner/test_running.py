"""Many calls at once: together, alone, in order, within limits, tried again, cancelled, and always with one result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import pytest

from constellation_tools import (
    Retry,
    Tool,
    ToolCancelled,
    ToolContext,
    ToolFailed,
    ToolsError,
    Toolset,
    ToolUnavailable,
    tool,
)
from constellation_tools.dialects import DIALECTS, ToolCall, ToolResult
from constellation_tools.runner import CallBatch, CallChanged, CallProgress, CallState, ToolRunner

from .conftest import call

pytestmark = pytest.mark.anyio


@tool
async def echo(text: str) -> str:
    """Say it again."""
    return text


class Meeting:
    """A tool whose calls return once so many of them have come."""

    def __init__(self, size: int) -> None:
        self.size, self.most, self.here, self.full = size, 0, 0, anyio.Event()

    @tool
    async def meet(self, name: str = "") -> int:
        """Wait for the others."""
        self.here += 1
        self.most = max(self.most, self.here)
        if self.here >= self.size:
            self.full.set()
        await self.full.wait()
        self.here -= 1
        return self.most


def counting(**options: Any) -> tuple[Tool[..., Any], Callable[[], int]]:
    """A tool, and how many of its calls ran at the same time at most."""
    now, most = 0, 0

    async def work() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.lowlevel.checkpoint()
        now -= 1

    return Tool.from_function(work, **options), lambda: most


async def test_calls_run_together_and_results_come_in_order() -> None:
    meeting = Meeting(3)
    async with ToolRunner([meeting.meet, echo]) as runner:
        with anyio.fail_after(30):
            batch = await runner.run(
                [call("a", "meet"), call("b", "echo", text="hi"), call("c", "meet"), call("d", "meet")]
            )
    assert [result.id for result in batch.results] == ["a", "b", "c", "d"]
    assert batch.results[1].value == "hi"
    assert meeting.most == 3


async def test_an_exclusive_call_runs_alone_and_keeps_its_place() -> None:
    log: list[str] = []

    async def note(name: str) -> None:
        log.append(f"+{name}")
        await anyio.lowlevel.checkpoint()
        log.append(f"-{name}")

    together = Tool.from_function(note)
    alone = Tool.from_function(note, name="alone", exclusive=True)
    async with ToolRunner([together, alone]) as runner:
        names = {"1": "note", "2": "note", "3": "alone", "4": "note"}
        await runner.run([call(id, tool, name=id) for id, tool in names.items()])
    assert log[4:] == ["+3", "-3", "+4", "-4"]
    assert sorted(log[:4]) == ["+1", "+2", "-1", "-2"]


@pytest.mark.parametrize(("options", "limits"), [({}, {"max_concurrent": 2}), ({"max_concurrent": 2}, {})])
async def test_no_more_calls_run_at_once_than_allowed(options: Any, limits: Any) -> None:
    made, most = counting(**options)
    async with ToolRunner([made], **limits) as runner:
        await runner.run([call(str(number), "work") for number in range(7)])
    assert most() == 2


async def test_a_call_that_waits_for_its_tools_own_limit_lets_others_pass() -> None:
    meeting = Meeting(2)
    first = meeting.meet
    other = Tool.from_function(Meeting.meet.__get__(meeting)._function, name="other")  # type: ignore[attr-defined]
    first.max_concurrent = 1
    async with ToolRunner([first, other]) as runner:
        with anyio.fail_after(30):
            await runner.run([call("a", "meet"), call("b", "meet"), call("c", "other")])
    assert meeting.most == 2


async def test_mistakes_are_told_so_that_a_model_can_repair_them() -> None:
    @tool
    def broken() -> None:
        raise ZeroDivisionError("by zero")

    async with ToolRunner([echo, broken]) as runner:
        batch = await runner.run(
            [
                call("a", "ehco", text="x"),
                call("b", "echo", txt="x"),
                ToolCall("c", "echo", problem="the arguments are not valid JSON"),
                call("d", "broken"),
            ]
        )
    unknown, invalid, unread, raised = batch.results
    assert unknown.value == "no tool is named 'ehco'; did you mean 'echo'?"
    assert "txt: expected no such argument, did you mean 'text'?" in invalid.value
    assert unread.value == "the arguments are not valid JSON"
    assert raised.value == "ZeroDivisionError: by zero"
    assert all(result.is_error for result in batch.results)


async def test_results_go_back_through_a_dialect() -> None:
    offer = DIALECTS["anthropic"].offer([echo])
    async with ToolRunner([echo]) as runner:
        answer = {"content": [{"type": "tool_use", "id": "t1", "name": "echo", "input": {"text": "hi"}}]}
        batch = await runner.run(offer.calls(answer))
    (message,) = offer.results(batch.results)
    assert message["content"][0]["tool_use_id"] == "t1"


async def test_a_call_without_a_limit_of_its_own_has_the_runners() -> None:
    @tool
    async def forever() -> None:
        await anyio.sleep_forever()

    @tool(timeout_s=0.01)
    async def shorter() -> None:
        await anyio.sleep_forever()

    async with ToolRunner([forever, shorter], timeout_s=0.02) as runner:
        batch = await runner.run([call("a", "forever"), call("b", "shorter")])
    assert [result.value for result in batch.results] == [
        "'forever' did not finish within 0.02 s",
        "'shorter' did not finish within 0.01 s",
    ]


class Flaky:
    """Tools that work at the third try."""

    def __init__(self) -> None:
        self.tries: dict[str, int] = {}

    def fail(self, name: str, error: Exception) -> str:
        self.tries[name] = self.tries.get(name, 0) + 1
        if self.tries[name] < 3:
            raise error
        return "at last"

    @tool(idempotent=True)
    async def reading(self) -> str:
        return self.fail("reading", ConnectionError("reset"))

    @tool
    async def writing(self) -> str:
        return self.fail("writing", ConnectionError("reset"))

    @tool
    async def asking(self) -> str:
        return self.fail("asking", ToolUnavailable("not now", retry_after_s=0.001))

    @tool(retry=Retry(attempts=2, first_s=0, on=(KeyError,)))
    async def declared(self) -> str:
        return self.fail("declared", KeyError("x"))

    @tool(idempotent=True)
    async def wrong(self) -> str:
        return self.fail("wrong", ToolFailed("there is no such file"))


async def test_only_what_is_worth_it_is_tried_again() -> None:
    flaky = Flaky()
    async with ToolRunner(
        Toolset([flaky.reading, flaky.writing, flaky.asking, flaky.declared, flaky.wrong]),
        retry=Retry(attempts=3, first_s=0.001),
    ) as runner:
        batch = await runner.run([call(name, name) for name in runner.tools.names])
    assert flaky.tries == {"reading": 3, "writing": 1, "asking": 3, "declared": 2, "wrong": 1}
    assert [result.is_error for result in batch.results] == [False, True, False, True, True]
    assert runner.usage["reading"].tries == 3


async def test_a_call_that_waits_for_its_next_try_holds_no_seat() -> None:
    @tool
    async def later() -> None:
        raise ToolUnavailable("come again", retry_after_s=3000)

    def on_event(event: CallChanged | CallProgress) -> None:
        if event == CallChanged(quick, CallState.COMPLETED, ToolResult("quick", "echo", "x")):
            runner.cancel("slow")

    quick, retry = call("quick", "echo", text="x"), Retry(most_s=4000)
    async with ToolRunner([later, echo], max_concurrent=1, retry=retry, on_event=on_event) as runner:
        with anyio.fail_after(60):
            batch = await runner.run([call("slow", "later"), quick])
    assert batch.results[0].value == "cancelled: this call was not carried out"
    assert runner.usage["later"].tries == 1


async def test_long_results_are_cut_and_say_so() -> None:
    @tool
    def flood(size: int) -> list[str]:
        return ["ä" * size]

    @tool(max_output_bytes=10)
    def small() -> str:
        return "0123456789abcdef"

    async with ToolRunner([flood, small], max_output_bytes=100) as runner:
        batch = await runner.run([call("a", "flood", size=10), call("b", "flood", size=1000), call("c", "small")])
    short, long, own = batch.results
    assert short.value == ["ä" * 10]
    assert long.value.startswith('["ää')
    assert "[... 1904 of 2004 bytes left out; ask for less at a time ...]" in long.value
    assert long.value.endswith('ä"]')
    assert own.value.startswith("01234\n[... 6 of 16 bytes")
    assert runner.usage["flood"].bytes_out == 2004 + 24


async def test_cancelling_one_call_leaves_its_siblings() -> None:
    started = anyio.Event()

    @tool
    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    async with ToolRunner([wait, echo]) as runner, anyio.create_task_group() as group:

        async def stop() -> None:
            await started.wait()
            assert runner.cancel("a", reason="the user has changed their mind") == 1

        group.start_soon(stop)
        batch = await runner.run([call("a", "wait"), call("b", "echo", text="hi")])
    cancelled, echoed = batch.results
    assert (cancelled.value, cancelled.is_error) == ("cancelled: the user has changed their mind", True)
    assert echoed.value == "hi"
    assert (runner.usage["wait"].cancelled, runner.usage["wait"].errors) == (1, 0)


async def test_cancelled_from_outside_every_call_still_has_a_result() -> None:
    batch = CallBatch([call("a", "wait"), call("b", "echo", text="hi"), call("c", "wait")])
    told: list[tuple[str, CallState]] = []

    @tool
    async def wait() -> None:
        await anyio.sleep_forever()

    def on_event(event: CallChanged | CallProgress) -> None:
        if isinstance(event, CallChanged) and event.state.settled:
            told.append((event.call.id, event.state))
            if event.call.id == "b":
                scope.cancel()

    async with ToolRunner([wait, echo], on_event=on_event) as runner:
        with anyio.CancelScope() as scope:
            await runner.run(batch)
        assert scope.cancelled_caught
    assert batch.done
    assert [result.is_error for result in batch.results] == [True, False, True]
    assert sorted(told) == [("a", CallState.CANCELLED), ("b", CallState.COMPLETED), ("c", CallState.CANCELLED)]


async def test_calls_cancelled_before_they_begin_have_results() -> None:
    batch = CallBatch([call("a", "echo", text="x"), call("b", "echo", text="y")])
    async with ToolRunner([echo]) as runner:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await runner.run(batch)
    assert [result.value for result in batch.results] == ["cancelled: this call was not carried out"] * 2


async def test_closing_the_runner_cancels_what_is_under_way() -> None:
    started = anyio.Event()
    batch = CallBatch([call("a", "wait")])

    @tool
    async def wait() -> None:
        started.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        async with ToolRunner([wait]) as runner:
            group.start_soon(runner.run, batch)
            await started.wait()
    assert batch.results[0].value == "cancelled: the runner was closed"
    with pytest.raises(RuntimeError, match="within its block"):
        await runner.run([])


async def test_what_is_raised_in_the_runners_block_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="mine"):
        async with ToolRunner([echo]):
            raise LookupError("mine")


async def test_tools_call_other_tools_through_their_context() -> None:
    @tool
    async def twice(text: str, context: ToolContext) -> str:
        first = await context.call("echo", {"text": text})
        try:
            await context.call("echo", {"txt": text})
        except ToolFailed:
            raise
        except Exception as error:
            return f"{first} {first}, not {type(error).__name__}"
        return ""

    @tool
    def threaded(context: ToolContext) -> str:
        return str(anyio.from_thread.run(context.call, "echo", {"text": "from a thread"}))

    async with ToolRunner([echo, twice, threaded], max_concurrent=1) as runner:
        batch = await runner.run([call("a", "twice", text="hi"), call("b", "threaded")])
    assert [result.value for result in batch.results] == ["hi hi, not InvalidArguments", "from a thread"]
    assert (runner.usage["echo"].calls, runner.usage["echo"].errors) == (3, 1)


async def test_a_tool_that_must_be_alone_is_called_only_by_tools_that_are_alone() -> None:
    alone = Tool.from_function(echo._function, name="alone", exclusive=True)

    async def outer(context: ToolContext) -> Any:
        return await context.call("alone", {"text": "x"})

    async with ToolRunner(
        [alone, Tool.from_function(outer, name="free"), Tool.from_function(outer, name="strict", exclusive=True)]
    ) as runner:
        batch = await runner.run([call("a", "free"), call("b", "strict")])
    refused, done = batch.results
    assert refused.value == "alone has to run alone: a tool that calls it has to be exclusive, too"
    assert done.value == "x"


async def test_cancelling_a_call_cancels_those_that_its_tool_makes() -> None:
    started, ended = anyio.Event(), anyio.Event()

    @tool
    async def inner() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    @tool
    def outer(context: ToolContext) -> None:
        anyio.from_thread.run(context.call, "inner", {})

    async with ToolRunner([inner, outer]) as runner, anyio.create_task_group() as group:

        async def stop() -> None:
            await started.wait()
            runner.cancel("a")

        group.start_soon(stop)
        batch = await runner.run([call("a", "outer")])
        with anyio.fail_after(30):
            await ended.wait()
    assert batch.results[0].value == "cancelled: this call was not carried out"
    assert runner.usage["inner"].cancelled == 1


async def test_a_call_that_has_ended_calls_nothing_more() -> None:
    kept: list[ToolContext] = []

    @tool(blocking=False)
    def keep(context: ToolContext) -> None:
        kept.append(context)

    async with ToolRunner([echo, keep]) as runner:
        await runner.run([call("a", "keep")])
        with pytest.raises(ToolCancelled, match="the call of keep has ended"):
            await kept[0].call("echo", {"text": "x"})
    assert "echo" not in runner.usage


async def test_only_what_a_runner_runs_can_call_other_tools() -> None:
    with pytest.raises(ToolsError, match="only tools that a ToolRunner runs"):
        await ToolContext().call("echo", {})


async def test_a_runner_is_used_once_at_a_time_and_its_limits_are_sensible() -> None:
    async with ToolRunner([echo]) as runner:
        with pytest.raises(RuntimeError, match="in use already"):
            await runner.__aenter__()
    with pytest.raises(ValueError, match="limits of a runner"):
        ToolRunner([echo], timeout_s=0)


async def test_a_host_runs_tools_where_it_likes() -> None:
    async def invoke(tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext) -> Any:
        return [tool.name, dict(arguments), context.attempt]

    async with ToolRunner([echo], invoke=invoke) as runner:
        batch = await runner.run([call("a", "echo", text="hi")])
    assert batch.results[0].value == ["echo", {"text": "hi"}, "a"]


async def test_closing_waits_for_calls_that_threads_make_which_were_left_behind() -> None:
    begun, cleaned = anyio.Event(), anyio.Event()

    @tool
    async def inner() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                for _ in range(50):
                    await anyio.lowlevel.checkpoint()
            cleaned.set()

    @tool
    def outer(context: ToolContext) -> None:
        anyio.from_thread.run(context.call, "inner", {})

    async with anyio.create_task_group() as group:
        async with ToolRunner([inner, outer]) as runner:
            batch = CallBatch([call("a", "outer")])
            group.start_soon(runner.run, batch)
            await begun.wait()
        assert cleaned.is_set()
        assert runner.usage["inner"].cancelled == 1


async def test_progress_says_which_call_it_is_of() -> None:
    told: list[tuple[str, float | None]] = []
    own: list[float | None] = []

    @tool(blocking=False)
    def work(share: float, context: ToolContext) -> str:
        context.progress(fraction=share)
        return context.attempt

    def on_event(event: CallChanged | CallProgress) -> None:
        if isinstance(event, CallProgress):
            told.append((event.call.id, event.fraction))

    context = ToolContext(attempt="star-1", progress=lambda text, fraction, data: own.append(fraction))
    async with ToolRunner([work], on_event=on_event, context=context) as runner:
        batch = await runner.run([call("a", "work", share=0.25), call("b", "work", share=0.5)])
    assert sorted(told) == [("a", 0.25), ("b", 0.5)]
    assert sorted(own, key=str) == [0.25, 0.5]
    assert [result.value for result in batch.results] == ["star-1/a", "star-1/b"]


async def test_usage_is_counted_by_tool() -> None:
    async with ToolRunner([echo]) as runner:
        await runner.run([call("a", "echo", text="hi"), call("b", "echo")])
    usage = runner.usage["echo"]
    assert (usage.calls, usage.errors, usage.tries) == (2, 1, 1)
    assert usage.bytes_in == len('{"text": "hi"}') + len("{}")
    assert usage.seconds >= 0


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


async def test_an_exception_that_cant_be_told_is_a_failure_like_any_other() -> None:
    def fail() -> None:
        raise Mute

    with anyio.fail_after(10):
        async with ToolRunner([fail]) as runner:
            (result,) = (await runner.run([call("b", "fail")])).results
    assert (result.is_error, result.value) == (True, "Mute without a message")


async def test_an_observer_that_raises_at_the_end_of_a_call_does_not_keep_the_runner_open() -> None:
    def observe(event: Any) -> None:
        if isinstance(event, CallChanged) and event.state.settled:
            raise LookupError("seen")

    def work() -> int:
        return 1

    with anyio.fail_after(10), pytest.raises(ExceptionGroup):
        async with ToolRunner([work], on_event=observe) as runner:
            await runner.run([call("a", "work")])


async def test_half_characters_in_results_do_not_keep_them_from_being_sent() -> None:
    def name() -> dict[str, list[str]]:
        return {"names": ["caf\udce9"]}

    def fail() -> None:
        raise ValueError("caf\udce9")

    async with ToolRunner([name, fail]) as runner:
        batch = await runner.run([call("a", "name"), call("b", "fail")])
    assert [result.value for result in batch.results] == [{"names": ["caf?"]}, "ValueError: caf?"]
    assert CallBatch.from_json(batch.to_json()).results == batch.results
