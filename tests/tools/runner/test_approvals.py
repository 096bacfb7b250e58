"""Calls that somebody has to approve: they wait alone, are bound to their exact arguments, and run once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_tools import ApprovalMismatch, ApprovalsPending, InvalidDocument, Tool, ToolContext, tool
from constellation_tools.runner import (
    Answer,
    Approval,
    CallBatch,
    CallChanged,
    CallProgress,
    CallState,
    DirectoryLedger,
    Policy,
    Rule,
    ToolHook,
    ToolRunner,
    Verdict,
)

from .conftest import call

pytestmark = pytest.mark.anyio


class Bank:
    """Moves money, and remembers it."""

    def __init__(self) -> None:
        self.moved: list[int] = []

    @tool(requires_approval=True)
    async def pay(self, amount: int) -> str:
        """Pay somebody."""
        self.moved.append(amount)
        return f"paid {amount}"

    @tool
    async def balance(self) -> int:
        """What is left."""
        return 100 - sum(self.moved)


def tools_of(bank: Bank) -> list[Tool[..., Any]]:
    return [bank.pay, bank.balance]


async def paused(bank: Bank) -> CallBatch:
    async with ToolRunner(tools_of(bank)) as runner:
        return await runner.run([call("a", "balance"), call("b", "pay", amount=5), call("c", "balance")])


async def test_a_call_waits_alone_and_its_siblings_have_their_results() -> None:
    bank = Bank()
    batch = await paused(bank)
    assert not batch.done
    assert [entry.result.value if entry.result else None for entry in batch.entries] == [100, None, 100]
    with pytest.raises(ApprovalsPending, match=r"calls of pay wait for approval"):
        _ = batch.results
    (approval,) = batch.approvals
    assert (approval.tool, approval.arguments, approval.call) == ("pay", {"amount": 5}, "b")
    assert (approval.reason, approval.description) == ("pay asks before each call", "Pay somebody.")
    batch.answer(approval.grant(by="ada"))
    async with ToolRunner(tools_of(bank)) as runner:
        assert await runner.run(batch) is batch
    assert [result.value for result in batch.results] == [100, "paid 5", 100]
    assert bank.moved == [5]


async def test_a_refusal_is_told_with_its_reason() -> None:
    bank = Bank()
    batch = await paused(bank)
    batch.answer(batch.approvals[0].refuse("too much", by="ada"))
    async with ToolRunner(tools_of(bank)) as runner:
        await runner.run(batch)
    assert batch.results[1].value == "this call of pay was refused by ada: too much"
    assert bank.moved == []


async def test_an_approver_is_asked_while_siblings_run() -> None:
    bank = Bank()
    asked: list[Approval] = []
    states: list[CallState] = []

    async def approver(approval: Approval) -> Answer | None:
        asked.append(approval)
        return approval.grant() if approval.arguments["amount"] < 10 else None

    def on_event(event: CallChanged | CallProgress) -> None:
        if isinstance(event, CallChanged) and event.call.id == "a":
            states.append(event.state)

    async with ToolRunner(tools_of(bank), approver=approver, on_event=on_event) as runner:
        batch = await runner.run([call("a", "pay", amount=5), call("b", "pay", amount=50)])
    assert bank.moved == [5]
    assert [approval.arguments for approval in batch.approvals] == [{"amount": 50}]
    assert len(asked) == 2
    assert states == [
        CallState.AWAITING_APPROVAL,
        CallState.RECEIVED,
        CallState.QUEUED,
        CallState.RUNNING,
        CallState.COMPLETED,
    ]


async def test_what_does_not_fit_is_not_asked_for() -> None:
    async with ToolRunner(tools_of(Bank())) as runner:
        batch = await runner.run([call("a", "pay", amount="much")])
    assert "amount: expected" in batch.results[0].value


async def test_a_grant_for_other_arguments_is_refused() -> None:
    bank = Bank()
    batch = await paused(bank)
    approval = batch.approvals[0]
    document = json.loads(batch.to_json())
    batch.answer(approval.grant())
    changed = CallBatch.from_json(batch.to_json().replace('{"amount":5}', '{"amount":5000}'))
    async with ToolRunner(tools_of(bank)) as runner:
        await runner.run(changed)
    assert changed.results[1].value.startswith("the approval of pay was given for another call")
    # Whoever changes the digest as well has an answer that does not fit it any more.
    document["entries"][1]["call"]["arguments"] = {"amount": 5000}
    document["entries"][1]["approval"]["digest"] = "0" * 64
    with pytest.raises(ApprovalMismatch, match="given for another call"):
        CallBatch.from_json(document).answer(approval.grant())
    assert bank.moved == []


async def test_a_grant_for_another_tool_or_another_schema_is_refused() -> None:
    bank = Bank()
    batch = await paused(bank)
    batch.answer(batch.approvals[0].grant())
    saved = batch.to_json()

    @tool
    async def pay(amount: int, twice: bool = True) -> str:
        """Pay somebody."""
        bank.moved.append(amount)
        return "paid"

    renamed = CallBatch.from_json(saved.replace('"name":"pay"', '"name":"donate"'))
    async with ToolRunner([bank.pay.renamed("donate"), pay.renamed("pay")]) as runner:
        await runner.run(renamed)
        await runner.run(changed := CallBatch.from_json(saved))
    assert renamed.results[1].value.startswith("the approval of pay was given for another call")
    assert changed.results[1].value.startswith("the approval of pay was given for another call")
    assert bank.moved == []


async def test_a_grant_for_one_device_is_none_for_another() -> None:
    bank = Bank()
    batch = await paused(bank)
    batch.answer(batch.approvals[0].grant())
    async with ToolRunner(tools_of(bank), device="elsewhere") as runner:
        await runner.run(batch)
    assert batch.results[1].value.startswith("the approval of pay was given for another call")
    assert bank.moved == []


async def test_nobody_waits_behind_a_person() -> None:
    bank = Bank()
    counted = anyio.Event()

    @tool(exclusive=True)
    async def count() -> int:
        counted.set()
        return 1

    async def approver(approval: Approval) -> Answer | None:
        await counted.wait()
        return approval.grant()

    async with ToolRunner([bank.pay, count], approver=approver) as runner:
        with anyio.fail_after(30):
            batch = await runner.run([call("a", "pay", amount=5), call("b", "count")])
    assert [result.value for result in batch.results] == ["paid 5", 1]


async def test_a_grant_is_used_once() -> None:
    bank = Bank()
    batch = await paused(bank)
    batch.answer(batch.approvals[0].grant())
    saved = batch.to_json()
    first, second = CallBatch.from_json(saved), CallBatch.from_json(saved)
    async with ToolRunner(tools_of(bank)) as runner:
        await runner.run(first)
        await runner.run(second)
    assert first.results[1].value == "paid 5"
    assert second.results[1].value == "the approval of this call of pay has been used already; ask again"
    assert bank.moved == [5]


async def test_a_ledger_on_disk_remembers_over_restarts(tmp_path: Path) -> None:
    bank = Bank()
    batch = await paused(bank)
    batch.answer(batch.approvals[0].grant())
    saved = batch.to_json()
    for _ in range(2):
        async with ToolRunner(tools_of(bank), ledger=DirectoryLedger(tmp_path / "spent")) as runner:
            await runner.run(CallBatch.from_json(saved))
    assert bank.moved == [5]
    assert (tmp_path / "spent").stat().st_mode & 0o077 == 0


async def test_a_policy_that_denies_meanwhile_has_the_last_word_and_one_that_allows_does_not_undo_a_refusal() -> None:
    bank = Bank()
    granted, refused = await paused(bank), await paused(bank)
    granted.answer(granted.approvals[0].grant())
    refused.answer(refused.approvals[0].refuse())
    async with ToolRunner(tools_of(bank), policy=Policy([Rule(Verdict.DENY, "pay")])) as runner:
        await runner.run(granted)
    async with ToolRunner(tools_of(bank), policy=Policy([Rule(Verdict.ALLOW, "pay")])) as runner:
        await runner.run(refused)
    assert granted.results[1].value.startswith("pay is not allowed here: rule 1 (deny pay)")
    assert refused.results[1].value == "this call of pay was refused"
    assert bank.moved == []


async def test_hooks_have_their_say_once_and_what_is_approved_is_what_they_want() -> None:
    class Double(ToolHook):
        async def before(self, call: Any, tool: Any) -> Any:
            return {"amount": call.arguments["amount"] * 2}

    bank = Bank()
    async with ToolRunner([bank.pay], hooks=[Double()]) as runner:
        batch = await runner.run([call("a", "pay", amount=5)])
        assert batch.approvals[0].arguments == {"amount": 10}
        batch.answer(batch.approvals[0].grant())
        await runner.run(batch)
    assert bank.moved == [10]


async def test_a_call_that_a_tool_makes_is_not_put_aside() -> None:
    bank = Bank()

    @tool
    async def spend(context: ToolContext) -> Any:
        return await context.call("pay", {"amount": 1})

    async with ToolRunner([spend, bank.pay]) as runner:
        batch = await runner.run([call("a", "spend")])
    assert batch.results[0].value == "pay needs approval, and nobody has decided about this call of it"


async def test_answers_that_belong_nowhere_are_refused() -> None:
    batch = await paused(Bank())
    (approval,) = batch.approvals
    with pytest.raises(ApprovalMismatch, match="no call of this batch waits"):
        batch.answer(replace(approval, id="0" * 32).grant())
    batch.answer(approval.grant())
    with pytest.raises(ApprovalMismatch, match="has been answered already"):
        batch.answer(approval.refuse())


async def test_an_approver_that_answers_another_request_is_refused() -> None:
    bank = Bank()
    (other,) = (await paused(bank)).approvals

    async def approver(approval: Approval) -> Answer | None:
        return other.grant()

    async with ToolRunner([bank.pay], approver=approver) as runner:
        batch = await runner.run([call("a", "pay", amount=5)])
    assert batch.results[0].value.startswith(f"the answer is to request {other.id}")
    assert bank.moved == []


async def test_requests_and_answers_survive_json_and_what_is_none_is_refused() -> None:
    batch = await paused(Bank())
    (approval,) = batch.approvals
    assert Approval.from_json(approval.to_json()) == approval
    assert Answer.from_json(approval.grant(by="ada").to_json()) == approval.grant(by="ada")
    again = CallBatch.from_json(batch.to_json())
    assert again.entries == batch.entries
    with pytest.raises(InvalidDocument, match="this is no request for approval: id"):
        Approval.from_json(approval.to_json().replace(approval.id, "../../etc"))
    with pytest.raises(InvalidDocument, match="this is no batch of calls: version"):
        CallBatch.from_json('{"version": 2, "entries": []}')
    batch.cancel("the conversation is over")
    assert batch.results[1].value == "cancelled: the conversation is over"
