"""Looking after a run: batches of results, what is held meanwhile, budgets, approvals, and ends."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anyio
import pytest

from constellation import Orchestrator
from constellation.llm import ModelRequest, RateLimited
from constellation.orchestrator.asking import AskOptions
from constellation.orchestrator.errors import DevicesMissing
from constellation.orchestrator.events import ApprovalRequested, Event, GraphEdited, PlannerNoted, StarSettled
from constellation.planner import Budget, BudgetUsedUp, Capabilities, EditPolicy, Limits, PlannerMisconfigured
from constellation.testing.models import Called, Gate, ModelServer, Reply, ScriptedModel, Used
from constellation_tools import ToolFailed, tool

from .scripts import call, said

pytestmark = pytest.mark.anyio

DONE: list[str] = []


@tool
def work(name: str) -> str:
    """Do something."""
    DONE.append(name)
    return name


@tool
def fail(name: str) -> str:
    """Fail the first time."""
    DONE.append(name)
    if DONE.count(name) > 1:
        return name
    raise ToolFailed(f"{name} is broken")


TOOLS = [work, fail]


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    DONE.clear()


def star(id: str, tool: str = "work", *after: str) -> Called:
    return call("add_star", id=id, tool=tool, arguments={"name": id}, after=list(after))


FINISH = call("finish", reason="so")
TWO = said(
    star("a", "fail"),
    star("b", "fail"),
    star("after-a", "work", "a"),
    star("free"),
    star("more", "work", "free"),
    FINISH,
)


def text_of(request: ModelRequest) -> str:
    return "\n".join(message.text for message in request.messages)


async def followed(asked: Any, *, approve: bool | None = None) -> list[Event]:
    events = []
    async for event in asked.run.events():
        events.append(event)
        if approve is not None and isinstance(event, ApprovalRequested):
            await asked.run.approve(event.star, approve, by="ann", comment="go" if approve else "no need")
    return events


async def test_results_that_come_close_together_are_one_consultation() -> None:
    retries = said(call("retry", star="a"), call("retry", star="b"), FINISH)
    with ScriptedModel([TWO, retries, "Done."]) as model:
        async with Orchestrator.local(2, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model, options=AskOptions(edits=EditPolicy(gather_s=2.0)))
    assert answer.report.state == "succeeded"
    seen = text_of(model.requests[1])
    assert "a is broken" in seen
    assert "b is broken" in seen


async def test_while_the_model_thinks_only_what_waits_for_the_result_is_held() -> None:
    gate = Gate()
    plan = said(star("a", "fail"), star("after-a", "work", "a"), star("free"), star("more", "work", "free"), FINISH)
    retries = Reply(calls=(call("retry", star="a"), FINISH), gate=gate)
    async with ModelServer([plan, retries, "Done."]) as server:
        async with Orchestrator.local(2, tools=TOOLS) as orchestrator:
            options = AskOptions(edits=EditPolicy(gather_s=0))
            async with orchestrator.asking("Do it", model=server.model, options=options) as asked:
                with anyio.fail_after(30):
                    await gate.reached.wait()
                    async for event in asked.run.events():
                        if isinstance(event, StarSettled) and event.star == "more":
                            break
                graph = await asked.run.graph()
                assert graph.state("after-a").value == "pending"
                gate.opened.set()
                answer = await asked.answer()
    assert answer.report.state == "succeeded"
    assert set(answer.report.outputs) == {"after-a", "more"}


async def test_a_result_that_comes_while_the_model_thinks_waits_for_the_next_consultation() -> None:
    plan = said(star("a", "fail"), star("b", "fail", "free"), star("free"), FINISH)
    seen: list[str] = []

    def first(request: ModelRequest) -> Reply:
        seen.append(text_of(request))
        return said(call("retry", star="a"), FINISH)

    def second(request: ModelRequest) -> Reply:
        seen.append(text_of(request))
        return said(call("retry", star="b"), FINISH)

    with ScriptedModel([plan, first, second, "Done."]) as model:
        async with Orchestrator.local(1, slots=1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model, options=AskOptions(edits=EditPolicy(gather_s=0)))
    assert answer.report.state == "succeeded"
    assert "b is broken" not in seen[0]
    assert "b is broken" in seen[1]
    assert "Your last edits were for these reasons:\n- so" in seen[1]


@pytest.mark.parametrize(
    ("policy", "consultations"),
    [
        (EditPolicy("never"), 0),
        (EditPolicy("failure", gather_s=0), 1),
        (EditPolicy("every", gather_s=0), 3),
        (EditPolicy("chosen", frozenset({"c"}), gather_s=0), 1),
    ],
)
async def test_the_policy_says_after_which_results_the_model_is_consulted(
    policy: EditPolicy, consultations: int
) -> None:
    plan = said(star("a"), star("b", "work", "a"), star("c", "fail", "b"), FINISH)
    plans = [plan, said(FINISH)]  # it is a chain, and the model says that its order matters
    leave = [said(call("leave", reason="it is well"))] * consultations
    with ScriptedModel([*plans, *leave, "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model, options=AskOptions(edits=policy))
    assert answer.report.state == "failed"
    assert answer.text == "Done."


async def test_a_tool_that_is_allowed_for_edits_may_be_used_as_the_model_likes() -> None:
    plan = said(star("a"), FINISH)
    more = said(star("deeper", "work", "a"), FINISH)
    options = AskOptions(edits=EditPolicy.after(["a"]), capabilities=Capabilities(tools=("wo*",)))
    with ScriptedModel([plan, more, "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model, options=options)
    assert answer.report.outputs == {"deeper": "deeper"}


async def test_what_can_not_run_any_more_may_be_dropped() -> None:
    plan = said(star("a", "fail"), star("b", "work", "a"), star("c", "work", "b"), star("d"), FINISH)
    dropped = said(call("drop", stars=["b", "c"]), FINISH)
    with ScriptedModel([plan, said(FINISH), dropped, "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model, options=AskOptions(edits=EditPolicy(gather_s=0)))
    assert {row.id for row in answer.report.rows} == {"a", "d"}


# --- budgets ---


async def test_a_run_whose_planner_has_nothing_left_goes_on_without_it_and_without_an_answer() -> None:
    async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
        with ScriptedModel([TWO]) as model:
            options = AskOptions(budget=Budget(calls=1), edits=EditPolicy(gather_s=0))
            async with orchestrator.asking("Do it", model=model, options=options) as asked:
                events = await followed(asked)
                answer = await asked.answer()
    gave_up = [event for event in events if isinstance(event, PlannerNoted) and event.about == "gave_up"]
    assert "budget of 1 calls is used up" in gave_up[0].text
    assert "goes on without the planner" in gave_up[0].text
    assert answer.text is None
    assert "budget of 1 calls is used up" in answer.problem
    assert answer.report.stars == {"succeeded": 2, "failed": 2, "skipped": 1}


async def test_a_run_may_end_with_its_planners_budget() -> None:
    plan = said(star("a", "fail"), star("b", "work", "a"), FINISH)
    async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
        with ScriptedModel([plan]) as model:
            options = AskOptions(budget=Budget(calls=1), edits=EditPolicy(gather_s=0), end_with_budget=True)
            answer = await orchestrator.ask("Do it", model=model, options=options)
    assert answer.report.state == "cancelled"
    assert answer.problem == "the run was cancelled"


@pytest.mark.parametrize(
    ("budget", "what"),
    [
        (Budget(calls=0), "calls"),
        (Budget(tokens=0), "tokens"),
        (Budget(usd=Decimal(0)), "money"),
        (Budget(seconds=0), "time"),
    ],
)
async def test_nothing_is_planned_without_a_budget(budget: Budget, what: str) -> None:
    async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
        with pytest.raises(BudgetUsedUp) as caught:
            await orchestrator.ask("Do it", model=ScriptedModel([]), options=AskOptions(budget=budget))
    assert caught.value.what == what


async def test_a_model_that_takes_all_the_time_of_the_budget_has_used_it_up() -> None:
    async with ModelServer([Reply("never", gate=Gate())]) as server, Orchestrator.local(1, tools=TOOLS) as orchestrator:
        with pytest.raises(BudgetUsedUp, match=r"budget of 0\.2 s is used up \(1 call") as caught:
            await orchestrator.ask("Do it", model=server.model, options=AskOptions(budget=Budget(seconds=0.2)))
        with anyio.fail_after(10):
            await server.requests[0].left.wait()
    assert caught.value.what == "time"


async def test_a_budget_in_money_needs_a_price() -> None:
    async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
        steps = [said(star("a", "nothing"))]
        with pytest.raises(PlannerMisconfigured, match="price of this model is not known"):
            await orchestrator.ask(
                "Do it", model=ScriptedModel(steps), options=AskOptions(budget=Budget(usd=Decimal(1)))
            )


async def test_that_there_is_no_price_is_found_before_anything_is_paid() -> None:
    async with ModelServer([]) as server, Orchestrator.local(1, tools=TOOLS) as orchestrator:
        with pytest.raises(PlannerMisconfigured, match="price of this model is not known"):
            await orchestrator.ask("Do it", model=server.model, options=AskOptions(budget=Budget(usd=Decimal(1))))
        assert server.requests == []


async def test_what_was_used_is_in_the_runs_account() -> None:
    with ScriptedModel(
        [said(star("a"), FINISH, prompt=1000, completion=50), Reply("Done.", usage=Used(300, 4))]
    ) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model) as asked:
                events = await followed(asked)
                answer = await asked.answer()
    planned = next(event for event in events if isinstance(event, PlannerNoted))
    assert (planned.calls, planned.input_tokens, planned.output_tokens) == (1, 1000, 50)
    assert (answer.spent.calls, answer.spent.input_tokens, answer.spent.output_tokens) == (2, 1300, 54)


async def test_an_answer_without_a_word_is_none() -> None:
    with ScriptedModel([said(star("a"), FINISH), Reply("  \n")]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            answer = await orchestrator.ask("Do it", model=model)
    assert (answer.text, answer.problem) == (None, "the model's answer has no text (it ended with 'stop')")
    assert answer.report.state == "succeeded"


async def test_a_model_that_fails_while_a_run_goes_on_changes_nothing() -> None:
    plan = said(star("a", "fail"), star("b", "work", "a"), FINISH)
    with ScriptedModel([plan, RateLimited("slow down"), "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model, options=AskOptions()) as asked:
                events = await followed(asked)
                answer = await asked.answer()
    assert [event.text for event in events if isinstance(event, PlannerNoted) and event.about == "gave_up"] == [
        "slow down"
    ]
    assert (answer.report.state, answer.text) == ("failed", "Done.")


async def test_without_a_device_nothing_is_asked() -> None:
    with ScriptedModel([]) as model:
        async with Orchestrator.local(0) as orchestrator:
            with pytest.raises(DevicesMissing, match="no device is connected"):
                await orchestrator.ask("Do it", model=model)


# --- people ---


async def test_a_plan_is_carried_out_when_a_person_says_so() -> None:
    options = AskOptions(approve=frozenset({"plan"}), edits=EditPolicy("never"))
    with ScriptedModel([said(star("a"), star("b", "work", "a"), FINISH), "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model, options=options) as asked:
                events = await followed(asked, approve=True)
                answer = await asked.answer()
    (asked_for,) = [event for event in events if isinstance(event, ApprovalRequested)]
    assert asked_for.question == "Shall this plan be carried out?"
    assert asked_for.arguments["plan"] == {"a": 'work {"name": "a"}', "b": 'work {"name": "b"}, after a'}
    assert answer.report.state == "succeeded"
    assert DONE == ["a", "b"]


async def test_a_plan_that_a_person_refuses_is_not_carried_out() -> None:
    options = AskOptions(approve=frozenset({"plan"}))
    with ScriptedModel([said(star("a"), FINISH)]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model, options=options) as asked:
                await followed(asked, approve=False)
                answer = await asked.answer()
    assert (answer.report.state, answer.text, answer.problem) == ("failed", None, "the plan was not approved")
    assert DONE == []


@pytest.mark.parametrize("approved", [True, False])
async def test_edits_are_made_when_a_person_says_so(approved: bool) -> None:
    plan = said(star("a", "fail"), star("b", "work", "a"), FINISH)
    options = AskOptions(approve=frozenset({"edits"}), edits=EditPolicy(gather_s=0))
    rest = [] if approved else [said(call("leave", reason="then not"))]
    with ScriptedModel([plan, said(call("retry", star="a"), FINISH), *rest, "Done."]) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model, options=options) as asked:
                events = await followed(asked, approve=approved)
                answer = await asked.answer()
    (question,) = [event for event in events if isinstance(event, ApprovalRequested)]
    assert question.arguments["reason"] == "so"
    assert "add star 'a-again': fail" in question.arguments["changes"][0]
    assert any(isinstance(event, GraphEdited) for event in events) is approved
    assert answer.report.state == ("succeeded" if approved else "failed")
    settled = [event.state for event in events if isinstance(event, StarSettled) and event.star == question.star]
    assert settled == ["succeeded" if approved else "failed"]


async def test_an_edit_that_nobody_answers_about_is_not_made() -> None:
    plan = said(star("a", "fail"), star("b", "work", "a"), FINISH)
    options = AskOptions(approve=frozenset({"edits"}), edits=EditPolicy(gather_s=0), limits=Limits(question_s=0.05))
    steps = [plan, said(call("retry", star="a"), FINISH), said(call("leave", reason="then not")), "Done."]
    with ScriptedModel(steps) as model:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=model, options=options) as asked:
                events = await followed(asked)
                await asked.answer()
    refused = [event.text for event in events if isinstance(event, PlannerNoted) and event.about == "refused"]
    assert refused == ["a person has said no: nobody has answered"]
    assert "nobody answered within 0.05 s" in str([event for event in events if isinstance(event, StarSettled)])


async def test_leaving_early_cancels_the_run() -> None:
    gate = Gate()
    async with ModelServer([said(star("a", "fail"), star("b", "work", "a"), FINISH), Reply("x", gate=gate)]) as server:
        async with Orchestrator.local(1, tools=TOOLS) as orchestrator:
            async with orchestrator.asking("Do it", model=server.model, options=AskOptions()) as asked:
                with anyio.fail_after(30):
                    await gate.reached.wait()
            report = await asked.run.wait()
            assert report.state == "cancelled"
            with anyio.fail_after(30):
                await server.requests[1].left.wait()
