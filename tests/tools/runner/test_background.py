"""Calls that return a handle at once and deliver later: out of order, once each, whatever is cancelled meanwhile."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from constellation_tools import Tool, ToolFailed, UnknownHandle, tool
from constellation_tools.dialects import ToolCall, ToolResult
from constellation_tools.runner import (
    Answer,
    Approval,
    CallChanged,
    CallProgress,
    CallState,
    Delivery,
    ToolHook,
    ToolRunner,
)
from constellation_tools.runner.background import Background
from constellation_tools.runner.life import CallLife

from .conftest import call

pytestmark = pytest.mark.anyio


class Kitchen:
    """Dishes take as long as the test wants."""

    def __init__(self) -> None:
        self.bells: dict[str, anyio.Event] = {}

    def ring(self, dish: str) -> None:
        self.bells.setdefault(dish, anyio.Event()).set()

    @tool(background=True)
    async def cook(self, dish: str) -> str:
        """Cook something."""
        await self.bells.setdefault(dish, anyio.Event()).wait()
        if dish == "soufflé":
            raise ToolFailed("it has collapsed")
        return f"{dish} is ready"

    @tool
    async def lay(self) -> str:
        """Lay the table."""
        return "laid"


async def test_a_background_call_is_answered_with_a_handle_and_its_result_comes_later_out_of_order() -> None:
    kitchen = Kitchen()
    async with ToolRunner([kitchen.cook, kitchen.lay]) as runner:
        batch = await runner.run([call("a", "cook", dish="stew"), call("b", "lay"), call("c", "cook", dish="soufflé")])
        assert batch.done
        first, second, third = batch.results
        assert (first.pending, first.is_error) == (True, False)
        assert (first.value["status"], first.value["handle"]) == ("working", "a")
        assert (second.value, second.pending) == ("laid", False)
        assert third.pending
        assert sorted(pending.handle for pending in runner.pending) == ["a", "c"]
        assert runner.collect() == []
        kitchen.ring("soufflé")
        with anyio.fail_after(30):
            (failed,) = await runner.wait()
        assert failed == Delivery("c", ToolResult("c", "cook", "it has collapsed", is_error=True))
        assert failed.announcement == "The background call c of cook has failed:\nit has collapsed"
        kitchen.ring("stew")
        with anyio.fail_after(30):
            (ready,) = await runner.wait(["a"])
        assert ready.result.value == "stew is ready"
        assert ready.announcement.startswith("The background call a of cook has finished:")
        assert runner.pending == []
        with pytest.raises(UnknownHandle, match="no background call has the handle 'a'"):
            await runner.wait(["a"])


async def test_waiting_for_all_and_no_longer_than_wanted() -> None:
    kitchen = Kitchen()
    async with ToolRunner([kitchen.cook]) as runner:
        await runner.run([call("a", "cook", dish="stew"), call("b", "cook", dish="rice")])
        kitchen.ring("stew")
        while any(pending.handle == "a" for pending in runner.pending):
            await anyio.lowlevel.checkpoint()
        taken = await runner.wait(for_all=True, timeout_s=0.01)
        assert [delivery.handle for delivery in taken] == ["a"]
        assert await runner.wait(timeout_s=0) == []
        kitchen.ring("rice")
        with anyio.fail_after(30):
            assert [delivery.handle for delivery in await runner.wait(for_all=True)] == ["b"]
        assert await runner.wait() == []


async def test_a_model_waits_with_a_tool_even_when_all_seats_are_taken() -> None:
    kitchen = Kitchen()
    async with ToolRunner([kitchen.cook], max_concurrent=1) as runner:
        assert runner.wait_tool.input_schema["properties"].keys() == {"handles", "mode", "timeout_s"}
        await runner.run([call("a", "cook", dish="stew")])
        with anyio.fail_after(30):
            while runner.pending[0].state is not CallState.RUNNING:
                await anyio.lowlevel.checkpoint()
        await runner.run([call("b", "cook", dish="rice")])
        kitchen.ring("stew")
        with anyio.fail_after(30):
            batch = await runner.run([call("w", "wait")])
        (waited,) = batch.results
        assert waited.value == {
            "finished": [{"handle": "a", "tool": "cook", "is_error": False, "result": "stew is ready"}],
            "pending": [{"handle": "b", "tool": "cook", "status": "working"}],
        }
        batch = await runner.run([call("x", "wait", handles=["a"]), call("y", "wait", mode="all", timeout_s=0)])
        assert "no background call has the handle 'a', or its result was told already; there are: b" in str(
            batch.results[0].value
        )
        assert batch.results[1].value["finished"] == []


async def test_results_that_a_cancelled_wait_has_taken_are_not_lost() -> None:
    kitchen = Kitchen()
    shown = anyio.Event()

    class Slow(ToolHook):
        async def after(self, call: ToolCall, tool: Tool[..., Any], result: ToolResult) -> None:
            if call.name == "wait":
                shown.set()
                await anyio.sleep_forever()

    async with ToolRunner([kitchen.cook], hooks=[Slow()]) as runner, anyio.create_task_group() as group:
        await runner.run([call("a", "cook", dish="stew")])
        kitchen.ring("stew")

        async def stop() -> None:
            await shown.wait()
            assert runner.collect() == []
            runner.cancel("w")

        group.start_soon(stop)
        with anyio.fail_after(30):
            batch = await runner.run([call("w", "wait")])
        assert batch.results[0].value == "cancelled: this call was not carried out"
        assert [delivery.handle for delivery in runner.collect()] == ["a"]


async def test_handles_are_told_apart_where_models_repeat_their_ids() -> None:
    kitchen = Kitchen()
    async with ToolRunner([kitchen.cook]) as runner:
        batch = await runner.run([call("n", "cook", dish="stew"), call("n", "cook", dish="rice")])
        assert {result.value["handle"] for result in batch.results} == {"n", "n~2"}
        kitchen.ring("stew")
        kitchen.ring("rice")
        with anyio.fail_after(30):
            taken = await runner.wait(for_all=True)
        assert [delivery.result.id for delivery in taken] == ["n", "n"]


async def test_a_background_call_can_be_cancelled_and_leaving_the_block_cancels_the_rest() -> None:
    kitchen = Kitchen()
    told: list[tuple[str, CallState]] = []

    def on_event(event: CallChanged | CallProgress) -> None:
        if isinstance(event, CallChanged) and event.state.settled:
            told.append((event.call.id, event.state))

    async with ToolRunner([kitchen.cook], on_event=on_event) as runner:
        await runner.run([call("a", "cook", dish="stew"), call("b", "cook", dish="rice")])
        assert runner.cancel("a", reason="nobody is hungry") == 1
        with anyio.fail_after(30):
            (cancelled,) = await runner.wait(["a"])
        assert cancelled.result.value == "cancelled: nobody is hungry"
    (closed,) = runner.collect()
    assert closed.result.value == "cancelled: the runner was closed"
    assert told == [("a", CallState.CANCELLED), ("b", CallState.CANCELLED)]


async def test_background_calls_of_a_runner_that_is_cancelled_at_once_have_results() -> None:
    kitchen = Kitchen()
    with anyio.CancelScope() as scope:
        async with ToolRunner([kitchen.cook]) as runner:
            await runner.run([call("a", "cook", dish="stew")])
            scope.cancel()
    assert [delivery.result.is_error for delivery in runner.collect()] == [True]


async def test_mistakes_in_background_calls_are_told_at_once() -> None:
    kitchen = Kitchen()
    async with ToolRunner([kitchen.cook]) as runner:
        batch = await runner.run([call("a", "cook", dsh="stew")])
    assert not batch.results[0].pending
    assert "did you mean 'dish'?" in batch.results[0].value


async def test_a_person_is_asked_about_a_background_call_while_it_is_pending() -> None:
    kitchen = Kitchen()
    kitchen.ring("stew")
    decided = anyio.Event()

    async def approver(approval: Approval) -> Answer | None:
        await decided.wait()
        return {"stew": approval.grant(), "rice": approval.refuse("no rice")}.get(approval.arguments["dish"])

    cook = Tool.from_function(kitchen.cook._function, name="cook", background=True, requires_approval=True)
    async with ToolRunner([cook], approver=approver) as runner:
        dishes = {"a": "stew", "b": "rice", "c": "pie"}
        batch = await runner.run([call(id, "cook", dish=dish) for id, dish in dishes.items()])
        assert all(result.pending for result in batch.results)
        with anyio.fail_after(30):
            while any(pending.state.task_status != "input_required" for pending in runner.pending):
                await anyio.lowlevel.checkpoint()
            decided.set()
            taken = {delivery.handle: delivery.result.value for delivery in await runner.wait(for_all=True)}
    assert taken == {
        "a": "stew is ready",
        "b": "this call of cook was refused: no rice",
        "c": "cook needs approval, and nobody has decided about this call of it",
    }


class DeliveryMachine(RuleBasedStateMachine):
    """Calls begin and end in any order while results are taken and put back: none is lost, and none is out twice."""

    def __init__(self) -> None:
        super().__init__()
        self.background = Background()
        self.going_on: dict[str, Any] = {}
        self.ended: set[str] = set()
        self.out: dict[str, Delivery] = {}
        self.kept: set[str] = set()

    @rule(id=st.sampled_from("abc"))
    def begin(self, id: str) -> None:
        """A call begins; ids may be repeated."""
        record: Any = SimpleNamespace(call=ToolCall(id, "t"), life=CallLife(), handle="")
        told = self.background.begin(record)
        assert told.pending
        assert record.handle not in self.going_on.keys() | (self.ended - self.out.keys() - self.kept)
        self.kept.discard(record.handle)
        self.ended.discard(record.handle)
        self.out.pop(record.handle, None)
        self.going_on[record.handle] = record

    @precondition(lambda self: self.going_on)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """Some call ends."""
        handle = data.draw(st.sampled_from(sorted(self.going_on)))
        record = self.going_on.pop(handle)
        self.background.finish(record, ToolResult(record.call.id, "t", handle))
        self.ended.add(handle)

    @rule(data=st.data(), some=st.booleans())
    def take(self, data: st.DataObject, some: bool) -> None:
        """Somebody takes results."""
        there = self.ended - self.out.keys() - self.kept
        wanted = data.draw(st.sets(st.sampled_from(sorted(there)))) if some and there else None
        taken = self.background.take(wanted)
        assert {delivery.handle for delivery in taken} == (there if wanted is None else wanted)
        self.out.update({delivery.handle: delivery for delivery in taken})

    @precondition(lambda self: self.out)
    @rule(data=st.data(), reached=st.booleans())
    def settle(self, data: st.DataObject, reached: bool) -> None:
        """A result that was taken has reached somebody for good, or comes back."""
        handle = data.draw(st.sampled_from(sorted(self.out)))
        delivery = self.out.pop(handle)
        if reached:
            self.kept.add(handle)
        else:
            self.background.put_back([delivery])

    @invariant()
    def says_what_goes_on(self) -> None:
        """What is pending is what has begun and not ended."""
        assert {pending.handle for pending in self.background.pending} == set(self.going_on)


TestDelivery = DeliveryMachine.TestCase
