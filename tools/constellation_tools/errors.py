"""Errors of the tools package.

    ToolsError
    ├── ToolDefinitionError         a function can't be made into a tool, or two tools share a name
    │   └── UnresolvedAnnotation    an annotation names something that does not exist (yet)
    ├── ToolLoadError               a reference such as `module:attr` leads to no tool
    ├── UnknownTool                 a toolset has no tool of this name
    ├── InvalidArguments            a call's arguments don't fit the tool's schema
    ├── InvalidOutput               what a tool returned can't be written as JSON
    ├── ToolTimeout                 a call took longer than its tool allows
    ├── ToolCancelled               a tool stopped because its call was cancelled
    ├── ToolFailed                  a tool says that it could not do what was asked
    │   └── ToolUnavailable         nothing was done, and trying again later may help
    ├── CallRefused                 a policy, a person or a hook does not let a call run
    ├── ApprovalMismatch            an answer to a request for approval does not belong to it
    ├── ApprovalsPending            results are asked for while a call still waits for approval
    ├── UnknownHandle               no background call has this handle
    ├── InvalidDocument             a policy, an approval or a batch can't be read from its JSON form
    ├── Confined                    a call asked for something outside of what its tool may touch
    └── ArtifactUnavailable         an artifact's file is not on this machine

ToolSkipped is a warning: a provider can't take a tool, which is left out of a request.

Every error carries its own arguments as `args`, so it survives pickling between worker processes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


class ToolsError(Exception):
    """Base of all errors of this package."""


class ToolDefinitionError(ToolsError):
    """Raised when a function can't be described as a tool, or a toolset would hold two tools of one name."""


class UnresolvedAnnotation(ToolDefinitionError):
    """Raised when a tool is used whose annotations name something that is still not defined."""


class ToolLoadError(ToolsError):
    """Raised when a tool reference can't be imported or leads to something that is not a tool."""


class UnknownTool(ToolsError):
    """Raised when a tool is asked for by a name that its toolset does not have."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        self.name = name
        self.known = tuple(known)
        super().__init__(name, self.known)

    @property
    def close_matches(self) -> tuple[str, ...]:
        """Names that the caller may have meant, best first."""
        return tuple(get_close_matches(self.name, self.known))

    def __str__(self) -> str:
        hint = ""
        if self.close_matches:
            hint = "; did you mean " + " or ".join(repr(name) for name in self.close_matches) + "?"
        elif self.known:
            hint = f"; there are {', '.join(self.known)}"
        return f"no tool is named {self.name!r}{hint}"


class ToolSkipped(UserWarning):
    """Warned of when a tool is left out of a request because the provider can't take it; names the tool and why."""


@dataclass(frozen=True, slots=True)
class ArgumentProblem:
    """What is wrong with one argument.

    Attributes:
        path: Where it is, such as `items[2].name`.
        expected: What the tool takes there.
        got: What came instead, shortened.
    """

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.got}"


class InvalidArguments(ToolsError):
    """Raised before a tool runs when its arguments don't fit; its text is written for a model to repair the call."""

    def __init__(self, tool: str, problems: Iterable[ArgumentProblem]) -> None:
        self.tool = tool
        self.problems = tuple(problems)
        super().__init__(tool, self.problems)

    def __str__(self) -> str:
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        return f"the arguments do not fit the tool {self.tool!r}:{lines}"


class InvalidOutput(ToolsError):
    """Raised when a tool's result has no JSON form."""

    def __init__(self, tool: str, reason: str) -> None:
        self.tool = tool
        self.reason = reason
        super().__init__(tool, reason)

    def __str__(self) -> str:
        return (
            f"the result of {self.tool!r} can't be written as JSON ({self.reason}); "
            "return JSON types, dataclasses, models or artifacts"
        )


class ToolTimeout(ToolsError):
    """Raised when a call has been stopped after its time limit; `output` is what a subprocess had written by then."""

    def __init__(self, tool: str, timeout_s: float, output: str = "") -> None:
        self.tool = tool
        self.timeout_s = timeout_s
        self.output = output
        super().__init__(tool, timeout_s, output)

    def __str__(self) -> str:
        tail = f"; its output ended with:\n{self.output}" if self.output else ""
        return f"{self.tool!r} did not finish within {self.timeout_s:g} s{tail}"


class ToolCancelled(ToolsError):
    """Raised inside a tool by `ToolContext.check_cancelled` once its call has been cancelled or has timed out."""


class ToolFailed(ToolsError):
    """Raised by tools themselves for failures that belong to their work: a missing file, a refused connection."""


class ToolUnavailable(ToolFailed):
    """Raised by tools when what they need is not there at the moment and nothing was done: a try later may work."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, retry_after_s)

    def __str__(self) -> str:
        return str(self.args[0])


class CallRefused(ToolsError):
    """Raised by hooks to keep a call from running; and where a tool calls another one that it may not call."""


class ApprovalMismatch(ToolsError):
    """Raised when an answer is given to another request for approval than it was made for, or a second time."""


class ApprovalsPending(ToolsError):
    """Raised when all results of a batch are asked for while some of its calls wait for approval."""

    def __init__(self, tools: Iterable[str]) -> None:
        self.tools = tuple(tools)
        super().__init__(self.tools)

    def __str__(self) -> str:
        return f"calls of {', '.join(self.tools)} wait for approval; answer, and run the batch again"


class UnknownHandle(ToolsError):
    """Raised when a background call is waited for that does not exist, or whose result has been handed out."""

    def __init__(self, handle: str, known: Iterable[str] = ()) -> None:
        self.handle = handle
        self.known = tuple(known)
        super().__init__(handle, self.known)

    def __str__(self) -> str:
        there = ", ".join(self.known) or "none"
        return f"no background call has the handle {self.handle!r}, or its result was told already; there are: {there}"


class InvalidDocument(ToolsError):
    """Raised when JSON that should be a policy, a request for approval, an answer or a batch is none."""


class Confined(ToolsError):
    """Raised when a call asks for a path or an address outside of what its tool has been allowed to touch."""


class ArtifactUnavailable(ToolsError):
    """Raised when the local file of an artifact is asked for on a machine that does not have it."""
