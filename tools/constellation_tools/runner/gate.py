"""Whether a call may run: hooks, then validation, then the policy, and then whoever has to approve it."""

from __future__ import annotations

from dataclasses import dataclass

import anyio.to_thread
from pydantic_core import to_jsonable_python

from ..dialects import ToolResult
from ..errors import CallRefused, ToolFailed
from . import hooks as hooking
from .approvals import Approval, check, digest_of, new_id
from .life import Step
from .policy import Verdict, effective
from .record import Record
from .seats import Seats
from .settings import Settings
from .telling import Teller


@dataclass(frozen=True, slots=True)
class Gate:
    """What every call has to pass."""

    settings: Settings
    seats: Seats
    teller: Teller

    async def check(self, record: Record) -> ToolResult | None:
        """Take a call through hooks, validation, policy and approval; returns a result where a hook knows it.

        Raises:
            CallRefused: it may not run.
            ApprovalMismatch: its approval was given for another call.
            Exception: whatever hooks, validation and approvers raise.
        """
        settings = self.settings
        tool = record.tool = settings.find(record.call.name)
        if record.call.problem is not None:
            raise ToolFailed(record.call.problem)
        if record.entry.approval is None:  # else hooks have had their say before it was put aside
            record.call, known = await hooking.before(settings.hooks, record.call, tool)
            if known is not None:
                return known
        call = record.call
        converted = tool.validate(call.arguments, resolve=settings.context.path)
        seen = to_jsonable_python(converted, fallback=str, bytes_mode="base64", serialize_unknown=True)
        decision = settings.policy.decide(
            tool.name,
            effective(tool.input_schema, seen),
            device=settings.device,
            requires_approval=tool.requires_approval,
            effects=tool.effects,
        )
        if decision.verdict is Verdict.DENY:
            raise CallRefused(f"{tool.name} is not allowed here: {decision.explanation}")
        if decision.verdict is Verdict.ASK or record.entry.approval is not None:
            if settings.approver is not None and record.in_background:
                record.explanation = decision.explanation  # the caller does not wait for a person, either
            else:
                await self.approve(record, decision.explanation)
        return None

    async def approve(self, record: Record, explanation: str) -> None:
        """Have a call approved, or put it aside.

        Raises:
            CallRefused: somebody refuses it, nobody can be asked, or the approval was used before.
            ApprovalMismatch: the approval was given for another call.
        """
        call, entry, tool, settings = record.call, record.entry, record.tool, self.settings
        assert tool is not None  # it was found when the call was checked
        try:
            digest = digest_of(tool.name, tool.input_schema, call.arguments, settings.device)
        except (TypeError, ValueError) as error:
            raise CallRefused(f"{tool.name} needs approval, which can't be asked for: {error}") from error
        if entry.approval is None:
            entry.call = call
            entry.approval = Approval(
                new_id(), call.id, tool.name, call.arguments, digest, explanation, tool.description, settings.device
            )
        self.seats.leave(record.key)  # nobody waits behind a person
        self.teller.take(record, Step.ASK)
        answer = entry.answer
        if answer is None and settings.approver is not None:
            answer = await settings.approver(entry.approval)
        if answer is None:
            if record.parent is not None or record.handle:
                raise CallRefused(f"{tool.name} needs approval, and nobody has decided about this call of it")
            record.paused = True
            return
        check(answer, entry.approval, digest)
        entry.answer = answer
        if not answer.granted:
            by, why = (f" by {answer.by}" if answer.by else ""), (f": {answer.reason}" if answer.reason else "")
            raise CallRefused(f"this call of {tool.name} was refused{by}{why}")
        if not await anyio.to_thread.run_sync(settings.ledger.spend, answer.approval):
            raise CallRefused(f"the approval of this call of {tool.name} has been used already; ask again")
        self.teller.take(record, Step.GRANT)
