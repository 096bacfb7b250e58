"""Requests for approval, and answers to them: values that can be written down and taken up in another process.

A request is bound to a tool, its schema and exactly these arguments by a digest over them. An answer carries the digest
that it was made for, so that it fits no other request, nor one that was changed since. A `Ledger` sees to it, before
the call runs, that a grant is used only once.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import ConfigDict, Field

from ..errors import ApprovalMismatch
from .documents import read, write

Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody has decided about one request.

    Attributes:
        approval: The request's id.
        digest: What the request was bound to when it was answered.
        granted: Whether the call may run.
        by: Who has decided, as they are to be named.
        reason: Why; the model is told it after a refusal.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    approval: Id
    digest: Digest
    granted: bool
    by: str = ""
    reason: str = ""

    def to_json(self) -> str:
        """The JSON form."""
        return write(self)

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, Any]) -> Answer:
        """Read the JSON form.

        Raises:
            InvalidDocument: it is none.
        """
        return read(cls, document, "answer to a request for approval")


@dataclass(frozen=True, slots=True)
class Approval:
    """A request: may this call run?

    Attributes:
        id: Its own, never used again.
        call: The id of the call.
        tool: The tool's name.
        arguments: Exactly what the tool would be called with.
        digest: Binds the request to tool, schema and arguments.
        reason: Why it has to be asked.
        description: What the tool does, by its own words.
        device: Where it would run.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    id: Id
    call: str
    tool: str
    arguments: Mapping[str, Any] = field(hash=False)
    digest: Digest
    reason: str = ""
    description: str = ""
    device: str = ""

    def grant(self, *, by: str = "", reason: str = "") -> Answer:
        """The answer that lets the call run, once."""
        return Answer(self.id, self.digest, True, by, reason)

    def refuse(self, reason: str = "", *, by: str = "") -> Answer:
        """The answer that keeps the call from running."""
        return Answer(self.id, self.digest, False, by, reason)

    def to_json(self) -> str:
        """The JSON form."""
        return write(self)

    @classmethod
    def from_json(cls, document: str | bytes | Mapping[str, Any]) -> Approval:
        """Read the JSON form.

        Raises:
            InvalidDocument: it is none.
        """
        return read(cls, document, "request for approval")


def new_id() -> str:
    """An id for a request, that nobody can guess."""
    return secrets.token_hex(16)


def digest_of(tool: str, schema: Mapping[str, Any], arguments: Mapping[str, Any], device: str = "") -> str:
    """What a request is bound to: SHA-256 over the canonical JSON of a tool's name, schema, arguments and device.

    Raises:
        ValueError: the arguments are not JSON.
        TypeError: the same.
    """
    bound = {"tool": tool, "schema": schema, "arguments": arguments, "device": device}
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def check(answer: Answer, approval: Approval, digest: str) -> None:
    """See that an answer belongs to a request, and the request to the call that is about to run.

    Args:
        answer: The answer.
        approval: The request.
        digest: Of the call as it would be made now.

    Raises:
        ApprovalMismatch: it does not.
    """
    if answer.approval != approval.id:
        raise ApprovalMismatch(f"the answer is to request {answer.approval}, and this is {approval.id}")
    if not answer.digest == approval.digest == digest:
        raise ApprovalMismatch(
            f"the approval of {approval.tool} was given for another call: "
            "the tool, its schema, the arguments or the device have changed; ask again"
        )


class Ledger(Protocol):
    """Remembers which grants have been used. Called from a worker thread, one call at a time."""

    def spend(self, approval: str) -> bool:
        """Note that the grant of a request is used now; False where that was noted before."""
        ...


class MemoryLedger:
    """Remembers for as long as it lives."""

    def __init__(self) -> None:
        self._spent: set[str] = set()

    def spend(self, approval: str) -> bool:
        """Note that a grant is used."""
        if approval in self._spent:
            return False
        self._spent.add(approval)
        return True


class DirectoryLedger:
    """Remembers in a directory, for all processes that use it, and over restarts.

    A file of the request's id is made by whoever comes first; that it is on disk is made sure of before the call runs.
    """

    def __init__(self, path: Path) -> None:
        """Use a directory, which is made if need be, for this user alone.

        Raises:
            OSError: it can't be made.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path

    def spend(self, approval: str) -> bool:
        """Note that a grant is used.

        Raises:
            OSError: it can't be noted.
        """
        name = hashlib.sha256(approval.encode()).hexdigest()  # ids come from outside, and are not made into paths
        try:
            descriptor = os.open(self._path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return False
        os.fsync(descriptor)
        os.close(descriptor)
        directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return True
