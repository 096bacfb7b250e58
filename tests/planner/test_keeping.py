"""What is told back to a model stays within its bound, however much it asks for; and what is counted of prompts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from constellation.llm import ToolResult, user
from constellation.orchestrator.events import StarProgress
from constellation.orchestrator.prompt_usage import PromptUsage
from constellation.planner import Budget, BudgetUsedUp, PlannerMisconfigured, Spent
from constellation.planner.budget import Ledger
from constellation.planner.fencing import tokens_in
from constellation.planner.keeping import CUT, OLD, kept, told_back
from constellation.scheduling.planner_events import PlannerNoted
from constellation.scheduling.planning_state import PlanningState

WIDE = "x" * 4_000


def text(result: Any) -> str:
    return str(result.content[0].text)


def test_the_longest_results_of_an_answer_are_left_out_until_the_others_fit() -> None:
    results = [ToolResult.of("a", "short"), *(ToolResult.of(f"b{n}", WIDE) for n in range(10))]
    told = told_back(results, tokens=3_100)
    assert sum(tokens_in(text(result)) for result in told) <= 3_100 + 10 * tokens_in(CUT)
    assert text(told[0]) == "short"
    assert [text(result) for result in told].count(WIDE) == 3
    assert [result.call for result in told] == [result.call for result in results], "each call has its result"


def test_a_conversation_keeps_its_newest_results_and_a_result_for_every_call() -> None:
    messages = [user("the request"), *(user(ToolResult.of(f"c{n}", WIDE)) for n in range(20))]
    for _ in range(2):  # doing it again changes nothing
        messages = kept(messages, tokens=3_000)
    texts = [text(part) for message in messages[1:] for part in message.parts]
    assert texts[-3:] == [WIDE] * 3
    assert set(texts[:-3]) == {OLD}
    assert messages[0] == user("the request")


def report(star: str = "a", attempt: int = 1, **told: Any) -> StarProgress:
    data = {"agent": "usage", "steps": 0, "input_tokens": 0, "output_tokens": 0, **told}
    return StarProgress(time=0.0, run="r", star=star, device="d", attempt=attempt, data=data)


def test_what_is_new_in_each_report_of_a_prompt_is_counted_once() -> None:
    usage = PromptUsage([("b", "try 1", Spent(2, 100, 10, Decimal("0.5")))])
    first = report(steps=1, input_tokens=100, output_tokens=5, cost_usd="0.10")
    assert usage.take(first) == ("a", 1, Spent(1, 100, 5, Decimal("0.10")))
    assert usage.take(first) is None
    assert usage.take(report(steps=3, input_tokens=150, output_tokens=9, cost_usd="0.15")) == (
        "a", 1, Spent(2, 50, 4, Decimal("0.05")),
    )  # fmt: skip
    assert usage.take(report(attempt=2, steps=1, input_tokens=7, cost_usd="0")) == ("a", 2, Spent(1, 7))
    assert usage.take(report("b", steps=3, input_tokens=130, output_tokens=10, cost_usd="0.6")) == (
        "b", 1, Spent(1, 30, 0, Decimal("0.1")),
    )  # fmt: skip


@pytest.mark.parametrize(
    "told",
    [
        {"steps": -1},
        {"steps": 10**13},
        {"steps": True},
        {"input_tokens": "7"},
        {"steps": 1, "cost_usd": "NaN"},
        {"steps": 1, "cost_usd": "-1"},
        {"steps": 1, "cost_usd": "much"},
        {"steps": 1, "agent": "text"},
    ],
)
def test_a_report_that_makes_no_sense_counts_nothing(told: dict[str, Any]) -> None:
    assert PromptUsage().take(report(**told)) is None


def test_nothing_that_a_device_says_takes_anything_back() -> None:
    usage = PromptUsage()
    usage.take(report(steps=5, input_tokens=500, cost_usd="1"))
    assert usage.take(report(steps=1, input_tokens=1, cost_usd="0")) is None
    assert usage.take(report(steps=5, input_tokens=500, cost_usd="1")) is None


def test_money_and_tokens_count_prompts_and_calls_do_not() -> None:
    ledger = Ledger(Budget(calls=3, tokens=1_000, usd=Decimal(1)), Spent(1, 400, 0, Decimal("0.1")))
    ledger.take_prompt(Spent(50, 100, 0, Decimal("0.1")))
    ledger.check()
    assert ledger.tokens_left == 500
    ledger.take_prompt(Spent(1, 500, 0, Decimal("0.1")))
    with pytest.raises(BudgetUsedUp, match=r"1000 tokens is used up .*devices' models: 51 calls"):
        ledger.check()
    ledger.take_prompt(Spent(1, 0, 0, None))
    with pytest.raises(PlannerMisconfigured, match="price of this model is not known"):
        ledger.check()


def noted(about: str, *stars: str, text: str = "", calls: int = 0) -> PlannerNoted:
    return PlannerNoted(0.0, "r", tuple(stars), about, text, calls)  # type: ignore[arg-type]


def test_an_edit_that_was_applied_is_a_decision_even_if_its_remark_never_came() -> None:
    from constellation.graph import EditBatch

    state = PlanningState()
    state.edited(EditBatch((), author="planner", reason="nobody was asked"))
    assert (list(state.reviewed), list(state.reasons)) == ([], [])
    state.take(noted("asked", "a", "b", calls=1))
    state.edited(EditBatch((), author="ann", reason="mine"))
    assert list(state.reviewed) == []
    state.edited(EditBatch((), author="planner", reason="elsewhere"))
    assert (list(state.reviewed), list(state.reasons)) == (["a", "b"], ["elsewhere"])
    state.take(noted("edited", "a", "b"))
    state.take(noted("asked", "c", calls=1))
    state.restarted()
    state.edited(EditBatch((), author="planner", reason="of the next planner"))
    assert list(state.reviewed) == ["a", "b"], "who comes next has asked about nothing yet"
    state.take(noted("prompted", "c", text="try 1", calls=7))
    assert (state.spent.calls, state.prompts["c", "try 1"].calls) == (2, 7)  # type: ignore[index]
