"""The tools by which a model adds to a graph, in a plan as in an edit; each call is checked when it comes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from constellation_tools import ToolFailed, Toolset, tool

from ..graph import (
    AddLine,
    AddStar,
    Approval,
    EditRejected,
    GraphError,
    Operation,
    Prompt,
    RetryPolicy,
    StarId,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    Work,
)
from ..graph.references import Reference, find_references
from ..graph.star import NO_RETRY
from .fencing import Fence
from .settings import Limits
from .surroundings import Surroundings

MOST_TRIES = 5

Requires = dict[str, str | float]
TriggerName = Literal["success", "failure", "completion", "when"]


class UnknownYet(ToolFailed):
    """Raised when a call names a star that is not there; a later call of the same answer may add it."""


class Composer(ABC):
    """A graph on its way, with the tools that build it.

    Attributes:
        surroundings: The devices that it is made for.
        limits: How large it may become.
        fence: Makes text of names that came from outside.
        reason: Why it is as it is, once the model has finished.
        ends: The tools by which the model says that it has.
    """

    ends: ClassVar[frozenset[str]] = frozenset({"finish"})

    def __init__(self, surroundings: Surroundings, limits: Limits, fence: Fence) -> None:
        self.surroundings = surroundings
        self.limits = limits
        self.fence = fence
        self.reason: str | None = None

    @property
    @abstractmethod
    def graph(self) -> TaskConstellation:
        """The graph with what has been done so far."""

    @abstractmethod
    def take(self, *operations: Operation) -> None:
        """Take operations that belong together; raises ToolFailed when they don't fit."""

    @property
    @abstractmethod
    def tools(self) -> Toolset:
        """What the model may call."""

    @property
    def finished(self) -> bool:
        """Whether the model has come to an end."""
        return self.reason is not None

    @tool(blocking=False)
    def add_star(
        self,
        id: Annotated[str, Field(description="A short name for it, unique: letters, digits, - and _")],
        tool: Annotated[str, Field(description="The tool to call")] = "",
        arguments: Annotated[
            dict[str, Any] | None,
            Field(description='The arguments; {"$ref": "star#/key"} stands for (part of) another star\'s output'),
        ] = None,
        instruction: Annotated[str, Field(description="Instead of a tool: what a device's LLM agent is to do")] = "",
        output: Annotated[
            dict[str, Any] | None,
            Field(description="For an instruction: JSON Schema of its output, where others use parts of it; else text"),
        ] = None,
        question: Annotated[str, Field(description="Instead of a tool: what a person is asked to approve")] = "",
        after: Annotated[
            list[str] | None,
            Field(description="Stars that must have succeeded first; those whose output is used need not be named"),
        ] = None,
        device: Annotated[str, Field(description="The one device to run on; leave it out where any will do")] = "",
        requires: Annotated[
            Requires | None, Field(description="Labels (text) and resources (numbers) that its device must have")
        ] = None,
        description: Annotated[str, Field(description="What it is for, in a few words")] = "",
        timeout_s: Annotated[float | None, Field(description="Seconds that it may take", gt=0)] = None,
        tries: Annotated[int, Field(description="How often it may be tried in all", ge=1, le=MOST_TRIES)] = 1,
    ) -> str:
        """Add a star: one piece of work. Stars that do not wait for one another run at the same time."""
        if id in self.graph:
            raise ToolFailed(f"there is a star {self.fence.name(id)} already; give this one another id")
        if len(self.graph) >= self.limits.stars:
            raise ToolFailed(f"a graph may have {self.limits.stars} stars, and has them: do more in each of them")
        try:
            star = TaskStar(
                id=StarId(id),
                work=self.work(tool, instruction, question, arguments or {}, output),
                name=id,
                description=description,
                requires=dict(requires or {}),
                device=device or None,
                timeout_s=timeout_s,
                retry=NO_RETRY if tries == 1 else RetryPolicy(max_attempts=tries),
            )
            used = [reference for reference in find_references(star.work.arguments) if reference.star != id]
            self.check_known((*(after or ()), *(reference.star for reference in used)))
            self.check_parts(used)
            lines = [AddLine(TaskStarLine(StarId(source), star.id)) for source in dict.fromkeys(after or ())]
        except GraphError as error:
            raise ToolFailed(str(error)) from error
        self.check(star)
        self.take(AddStar(star), *lines)
        return f"added {id}; the graph has {len(self.graph)} stars"

    @tool(blocking=False)
    def add_line(
        self,
        source: Annotated[str, Field(description="The star that is waited for")],
        target: Annotated[str, Field(description="The star that waits")],
        trigger: Annotated[TriggerName, Field(description="What it waits for of the source")] = "success",
        when: Annotated[str, Field(description="For the trigger when: a CEL expression over `output`")] = "",
    ) -> str:
        """Let a star wait for another one. A reference to an output makes its line by itself."""
        self.check_known((source, target))
        self.take(AddLine(self.line(source, target, trigger, when)))
        return f"{target} waits for the {trigger} of {source}"

    # --- checks ------------------------------------------------------------------------------------------------------

    def work(
        self,
        tool: str,
        instruction: str,
        question: str,
        arguments: Mapping[str, Any],
        output: Mapping[str, Any] | None = None,
    ) -> Work:
        """The work that a call describes; raises ToolFailed when it is none, or more than one."""
        given = [name for name, text in (("tool", tool), ("instruction", instruction), ("question", question)) if text]
        if len(given) != 1:
            raise ToolFailed(
                f"a star has one of tool, instruction and question; this has {' and '.join(given) or 'none'}"
            )
        if instruction:
            return Prompt(instruction, arguments, output)
        if output is not None:
            raise ToolFailed("output is for an instruction; what a tool returns is told of the tool")
        return Approval(question, arguments) if question else ToolCall(tool, arguments)

    def check(self, star: TaskStar) -> None:
        """Hold a star against the devices; raises ToolFailed, with what there is instead."""
        work = star.work
        if isinstance(work, ToolCall) and self.surroundings.tool(work.tool) is None:
            raise ToolFailed(self.surroundings.unknown_tool(work.tool, self.fence))
        if isinstance(work, (ToolCall, Prompt)) and star.device is not None:
            named = work.tool if isinstance(work, ToolCall) else None
            problem = self.surroundings.device_problem(star.device, named, self.fence)
            if problem is not None:
                raise ToolFailed(problem)
        problems = self.surroundings.check([star])
        if problems:
            raise ToolFailed(self.fence.text("; ".join(problems), tokens=400))

    def check_parts(self, used: Iterable[Reference]) -> None:
        """See that nothing is wanted of a part of what is plain text; raises ToolFailed."""
        for reference in used:
            work = self.graph[reference.star].work
            if reference.pointer and isinstance(work, Prompt) and work.output is None:
                raise ToolFailed(
                    f"the output of {self.fence.name(reference.star)} is text, which has no {reference.pointer!r}: "
                    "give that star an output schema, or use all of its output"
                )

    def check_known(self, stars: Iterable[str]) -> None:
        """See that stars are there; raises UnknownYet."""
        graph = self.graph
        for star in stars:
            if star not in graph:
                raise UnknownYet(f"there is no star {self.fence.name(star)}; the stars are {self.fence.names(graph)}")

    def line(self, source: str, target: str, trigger: str, when: str) -> TaskStarLine:
        """A line that a call describes; raises ToolFailed when it makes no sense."""
        try:
            return TaskStarLine(StarId(source), StarId(target), Trigger(trigger), when or None)
        except GraphError as error:
            raise ToolFailed(str(error)) from error


def rejection(error: EditRejected, fence: Fence) -> ToolFailed:
    """A refused operation in words for the model."""
    return ToolFailed(fence.text(error.reason, tokens=400))
