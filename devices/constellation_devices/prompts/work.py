"""What a device is asked for when it is given a `Prompt`, and what carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from constellation_protocol.messages import Assign
from constellation_tools import Tool, ToolContext

PROMPT_TOOL = "prompt"
"""The name of the tool that a device offers when something can carry out prompts on it."""


@dataclass(frozen=True, slots=True)
class PromptWork:
    """An instruction, and whose it is.

    Attributes:
        instruction: What to do.
        arguments: What was given along: JSON, often other stars' outputs. Data, never instructions.
        output: JSON Schema that the output has to fit; None for text.
        priority: Higher is more important; 0 is usual.
        run: The run that it belongs to.
        star: The star that it is.
        attempt: Which try of it.
        name: What people call it.
        timeout_s: How long it may take, in seconds; None for no limit.
    """

    instruction: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] | None = None
    priority: int = 0
    run: str = ""
    star: str = ""
    attempt: str = ""
    name: str = ""
    timeout_s: float | None = None

    @classmethod
    def of(cls, assign: Assign, tool: Tool[..., Any]) -> PromptWork:
        """The work of an assignment.

        Raises:
            InvalidArguments: it is not asked as the tool says.
        """
        asked = tool.validate(assign.work.arguments)
        return cls(
            **{name: value for name, value in asked.items() if value is not None},
            run=assign.run,
            star=assign.star,
            attempt=assign.attempt,
            name=assign.name,
            timeout_s=assign.timeout_s,
        )


class Report(Protocol):
    """Tells the orchestrator how it goes: a line for people, a share of the work done, data for programs."""

    def __call__(self, text: str | None = None, *, fraction: float | None = None, data: Any = None) -> None:
        """Report; what comes faster than it can be sent is merged."""


class Invoke(Protocol):
    """Calls one of the device's tools, where it can be stopped best."""

    async def __call__(self, tool: Tool[..., Any], arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Validate, run and return the result as JSON types; raises whatever the tool raises."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """What work on a device may use.

    Attributes:
        tools: The device's tools by name, without `prompt`.
        context: What tools that are called for it are given: files, the working directory, progress.
        invoke: Calls one of them.
        report: Tells the orchestrator how it goes.
    """

    tools: Mapping[str, Tool[..., Any]]
    context: ToolContext
    invoke: Invoke
    report: Report


class Prompter(Protocol):
    """Carries out prompts on a device.

    Attributes:
        tool: What the device offers for it.
        labels: What is to be known of it when devices are chosen.
    """

    @property
    def tool(self) -> Tool[..., Any]:
        """What the device offers for it."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """What is to be known of it when devices are chosen."""
        ...

    async def run(self, work: PromptWork, place: Workplace) -> Any:
        """Carry out a prompt and return its output as JSON types. Cancelling it stops all that it has begun.

        Raises:
            WorkFailed: it could not be done; says why.
        """
        ...


def prompt_tool(description: str) -> Tool[..., Any]:
    """What a device offers when it can carry out prompts: checks how it is asked, and describes who will do it."""

    def prompt(
        instruction: str,
        arguments: dict[str, Any] | None = None,
        output: dict[str, Any] | None = None,
        priority: int = 0,
    ) -> Any:
        """Carry out an instruction.

        Args:
            instruction: What to do.
            arguments: Data that goes with it.
            output: JSON Schema that the output has to fit; text when left out.
            priority: Higher is more important.
        """
        return PromptWork(instruction, arguments or {}, output, priority)

    return Tool.from_function(prompt, name=PROMPT_TOOL, description=description)
