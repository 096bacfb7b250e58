"""The calls of one answer of a model, and what has become of them so far. It can be written down and taken up again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict

from ..dialects import ToolCall, ToolResult
from ..errors import ApprovalMismatch, ApprovalsPending
from .approvals import Answer, Approval
from .documents import read, write
from .output import failed, told

CANCELLED = "cancelled: this call was not carried out"
"""What is said of a call that has been cancelled for no stated reason."""


@dataclass(slots=True)
class Entry:
    """One call of a batch.

    Attributes:
        call: What is called, by the model's words at first, and as hooks have changed it once it waits for approval.
        result: What has become of it; None until it has ended.
        approval: What has to be decided, or had to be; None where nothing has to.
        answer: What was decided.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    call: ToolCall
    result: ToolResult | None = None
    approval: Approval | None = None
    answer: Answer | None = None


class CallBatch:
    """Calls in the order that the model has made them, each with exactly one result in the end."""

    def __init__(self, calls: Iterable[ToolCall] = ()) -> None:
        self.entries = [Entry(call) for call in calls]

    @property
    def done(self) -> bool:
        """Whether every call has its result."""
        return all(entry.result is not None for entry in self.entries)

    @property
    def results(self) -> list[ToolResult]:
        """The results, one for each call, in order.

        Raises:
            ApprovalsPending: some calls wait for approval.
        """
        found = [entry.result for entry in self.entries]
        results = [result for result in found if result is not None]
        if len(results) < len(found):
            raise ApprovalsPending(entry.call.name for entry in self.entries if entry.result is None)
        return results

    @property
    def approvals(self) -> list[Approval]:
        """What is still to be decided."""
        return [
            entry.approval
            for entry in self.entries
            if entry.approval is not None and entry.answer is None and entry.result is None
        ]

    def answer(self, *answers: Answer) -> None:
        """Take answers to requests; running the batch again acts on them.

        Raises:
            ApprovalMismatch: an answer is to none of the requests that are still open, or to a call that was changed.
        """
        for answer in answers:
            entry = next((each for each in self.entries if each.approval and each.approval.id == answer.approval), None)
            if entry is None or entry.approval is None:
                raise ApprovalMismatch(f"no call of this batch waits for the answer to request {answer.approval}")
            if entry.result is not None or entry.answer is not None:
                raise ApprovalMismatch(f"request {answer.approval} of {entry.call.name} has been answered already")
            if answer.digest != entry.approval.digest:
                raise ApprovalMismatch(
                    f"the answer to request {answer.approval} was given for another call than this of {entry.call.name}"
                )
            entry.answer = answer

    def cancel(self, reason: str = "") -> None:
        """Give every call that has no result one that says that it was cancelled."""
        for entry in self.entries:
            if entry.result is None:
                entry.result = cancelled(entry.call, reason)

    def to_json(self) -> str:
        """The JSON form: a document with a version."""
        return write(_Saved(1, self.entries))

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, Any]) -> CallBatch:
        """Read the JSON form.

        Raises:
            InvalidDocument: it is none, or of a version that is not known here.
        """
        batch = cls()
        batch.entries = read(_Saved, document, "batch of calls").entries
        return batch


def cancelled(call: ToolCall, reason: str = "", error: Exception | None = None) -> ToolResult:
    """The result of a call that was cancelled, with what its tool has raised beside that."""
    text = f"cancelled: {reason}" if reason else CANCELLED
    return failed(call.id, call.name, text if error is None else f"{text}; while it was stopped: {told(error)}")


@dataclass(slots=True)
class _Saved:
    version: Literal[1]
    entries: list[Entry] = field(default_factory=list)
