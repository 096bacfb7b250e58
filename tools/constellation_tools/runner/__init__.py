"""Running the tool calls of a model.

async with ToolRunner(tools, policy=Policy(rules)) as runner:
    batch = await runner.run(offer.calls(answer))   together where they may, each within its limits
    batch.results                                   one result for each call, in order
    batch.approvals                                 what somebody has to decide first

Calls and results are those of `constellation_tools.dialects`.
"""

from __future__ import annotations

from .approvals import Answer, Approval, DirectoryLedger, Ledger, MemoryLedger
from .background import Delivery, PendingCall
from .batch import CallBatch
from .events import CallChanged, CallProgress
from .hooks import ToolHook
from .life import CallState
from .policy import Decision, Policy, Rule, Verdict
from .runner import ToolRunner
from .settings import Approver, Invoke, Observer
from .tracing import Tracing
from .usage import ToolUsage

__all__ = [
    "Answer",
    "Approval",
    "Approver",
    "CallBatch",
    "CallChanged",
    "CallProgress",
    "CallState",
    "Decision",
    "Delivery",
    "DirectoryLedger",
    "Invoke",
    "Ledger",
    "MemoryLedger",
    "Observer",
    "PendingCall",
    "Policy",
    "Rule",
    "ToolHook",
    "ToolRunner",
    "ToolUsage",
    "Tracing",
    "Verdict",
]
