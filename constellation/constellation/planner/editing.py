"""An edit on its way: what a model changes of a graph that is running, call by call, until it is one batch.

Every call is tried together with those before it on a copy of the graph, so what is told to be done will also apply,
unless the graph moves in the meantime.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, Field

from constellation_tools import ToolFailed, Toolset, tool

from ..graph import (
    AddLine,
    AddStar,
    EditBatch,
    EditRejected,
    GraphError,
    Operation,
    Prompt,
    RemoveLine,
    RemoveStar,
    RetryPolicy,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    Trigger,
    UpdateStar,
)
from ..graph.references import Reference, find_references
from ..graph.states import OPEN
from .composing import MOST_TRIES, Composer, Requires, TriggerName, rejection
from .fencing import Fence
from .settings import Limits
from .surroundings import Surroundings
from .view import View

AUTHOR = "planner"

_AGAIN = re.compile(r"-again(-\d+)?$")

LOOKED_AT = 20
"""How many stars a model may look at in one call."""


class WaitsFor(BaseModel, extra="forbid"):
    """One line into a star."""

    source: str
    trigger: TriggerName = "success"
    when: str = ""


class Edit(Composer):
    """An edit on its way.

    Attributes:
        before: The graph that it is made on.
        operations: What is to be done so far.
        left: Whether the model has decided to leave things as they are.
    """

    ends: ClassVar[frozenset[str]] = frozenset({"finish", "leave"})

    def __init__(
        self, graph: TaskConstellation, surroundings: Surroundings, limits: Limits, fence: Fence, view: View
    ) -> None:
        super().__init__(surroundings, limits, fence)
        self.before = graph
        self._after = graph
        self._view = view
        self.operations: tuple[Operation, ...] = ()
        self.left = False

    @property
    def graph(self) -> TaskConstellation:
        """See `Composer.graph`."""
        return self._after

    @property
    def tools(self) -> Toolset:
        """See `Composer.tools`."""
        add = (self.add_star, self.add_line)
        change = (self.retry, self.rewire, self.update, self.drop)
        return Toolset((*add, *change, self.look, self.leave, self.finish))

    @property
    def batch(self) -> EditBatch:
        """What the model wants."""
        return EditBatch(self.operations, self.before.version, AUTHOR, self.reason or "")

    def begin_again(self, graph: TaskConstellation) -> None:
        """Begin again on the graph as it is now."""
        self.before = self._after = graph
        self.operations, self.reason, self.left = (), None, False

    def take(self, *operations: Operation) -> None:
        """See `Composer.take`."""
        wanted = (*self.operations, *operations)
        added = sum(isinstance(operation, AddStar) for operation in wanted)
        if added > self.limits.new_stars:
            raise ToolFailed(f"an edit may add {self.limits.new_stars} stars at most, and this would be {added}")
        trial = self.before.copy()
        trial.active = False  # what would follow from the edit is not what it is made on
        try:
            trial.apply(EditBatch(wanted))
        except EditRejected as error:
            raise rejection(error, self.fence) from error
        self.operations, self._after = wanted, trial

    # --- tools -------------------------------------------------------------------------------------------------------

    @tool(blocking=False)
    def retry(
        self,
        star: Annotated[str, Field(description="The star that has failed or was cancelled")],
        device: Annotated[str, Field(description="Where to try; another one than before is chosen if left out")] = "",
        tries: Annotated[int, Field(description="How often it may be tried in all", ge=1, le=MOST_TRIES)] = 1,
    ) -> str:
        """Do the work of a failed star again, on another device, as a new star, for which waits what waited for it."""
        self.check_known((star,))
        graph = self._after
        state = graph.state(star)
        if state not in (StarState.FAILED, StarState.CANCELLED):
            raise ToolFailed(f"{star} has not failed, it is {state.value}: only what has failed can be tried again")
        again = self._again(graph[star], device, tries)
        self.check(again)
        trigger = Trigger.FAILURE if state is StarState.FAILED else Trigger.COMPLETION
        operations: list[Operation] = [AddStar(again), AddLine(TaskStarLine(StarId(star), again.id, trigger))]
        for line in graph.lines_from(star):
            if graph.state(line.target) in OPEN and line.target != again.id:
                operations += self._moved(line, again.id)
        self.take(*operations)
        return f"{again.id} does the work of {star} on {again.device or 'any device'}"

    @tool(blocking=False)
    def rewire(
        self,
        star: Annotated[str, Field(description="A star that has not begun")],
        waits_for: Annotated[list[WaitsFor], Field(description="All that it is to wait for, instead of what it does")],
    ) -> str:
        """Change what a star waits for. To do without the output of a star, update its arguments as well."""
        self.check_known((star, *(line.source for line in waits_for)))
        wanted = {line.source: self.line(line.source, star, line.trigger, line.when) for line in waits_for}
        operations: list[Operation] = []
        for line in self._after.lines_into(star):
            if wanted.get(line.source) == line:
                del wanted[line.source]
            else:
                operations.append(RemoveLine(line.source, line.target))
        self.take(*operations, *map(AddLine, wanted.values()))
        return f"{star} waits for {', '.join(line.source for line in waits_for) or 'nothing'}"

    @tool(blocking=False)
    def update(
        self,
        star: Annotated[str, Field(description="A star that has not begun")],
        arguments: Annotated[
            dict[str, Any] | None, Field(description="All its arguments, instead of those it has")
        ] = None,
        instruction: Annotated[str, Field(description="For a star with an instruction: the new one")] = "",
        device: Annotated[str, Field(description="The one device to run on; `any` for no particular one")] = "",
        requires: Annotated[Requires | None, Field(description="What its device must have, instead of before")] = None,
        timeout_s: Annotated[float | None, Field(description="Seconds that it may take", gt=0)] = None,
        tries: Annotated[int | None, Field(description="How often it may be tried in all", ge=1, le=MOST_TRIES)] = None,
    ) -> str:
        """Change a star that has not begun; what is left out stays as it is."""
        self.check_known((star,))
        spec = self._after[star]
        work: Any = spec.work
        if instruction and not isinstance(work, Prompt):
            raise ToolFailed(f"{star} has no instruction to change; add a new star, and drop this one")
        if arguments is not None:
            self.check_parts(self._used(arguments))
            work = replace(work, arguments=arguments)
        if instruction:
            work = replace(work, instruction=instruction)
        try:
            changed = replace(
                spec,
                work=work,
                device=spec.device if not device else None if device == "any" else device,
                requires=spec.requires if requires is None else dict(requires),
                timeout_s=spec.timeout_s if timeout_s is None else timeout_s,
                retry=spec.retry if tries is None else RetryPolicy(max_attempts=tries),
            )
        except GraphError as error:
            raise ToolFailed(str(error)) from error
        self.check(changed)
        self.take(UpdateStar(changed))
        return f"{star} is changed"

    @tool(blocking=False)
    def drop(self, stars: Annotated[list[str], Field(description="Stars that have not begun", min_length=1)]) -> str:
        """Take stars out of the graph, with their lines. What uses their outputs has to be changed, or dropped too."""
        self.check_known(stars)
        begun = {star: self._after.state(star) for star in stars if self._after.state(star) not in OPEN}
        if begun:
            shown = ", ".join(f"{star} is {state.value}" for star, state in begun.items())
            raise ToolFailed(f"only what has not begun can be dropped: {shown}")
        self.take(*(RemoveStar(StarId(star)) for star in dict.fromkeys(stars)))
        return f"dropped {', '.join(stars)}"

    @tool(blocking=False)
    def look(self, stars: Annotated[list[str], Field(min_length=1, max_length=LOOKED_AT)]) -> str:
        """Look at stars more closely: work, state, what they wait for, output or error."""
        self.check_known(stars)
        return self._view.details(self._after, stars)

    @tool(blocking=False)
    def leave(self, reason: Annotated[str, Field(description="Why nothing is to be changed", min_length=1)]) -> str:
        """Leave the graph as it is."""
        self.operations, self._after = (), self.before
        self.reason, self.left = reason, True
        return "nothing is changed"

    @tool(blocking=False)
    def finish(
        self, reason: Annotated[str, Field(description="Why it is changed so, in a sentence or two", min_length=1)]
    ) -> str:
        """Apply the changes, all at once."""
        if not self.operations:
            raise ToolFailed("there is no change yet: make one, or leave things as they are with leave")
        self.reason = reason
        return "the changes are made"

    # --- inside ------------------------------------------------------------------------------------------------------

    def _used(self, arguments: dict[str, Any]) -> list[Reference]:
        """What arguments use of stars that are there; raises ToolFailed."""
        try:
            return [reference for reference in find_references(arguments) if reference.star in self._after]
        except GraphError as error:
            raise ToolFailed(str(error)) from error

    def _again(self, spec: TaskStar, device: str, tries: int) -> TaskStar:
        retry = spec.retry if tries == 1 else RetryPolicy(max_attempts=tries)
        base = _AGAIN.sub("", spec.id)
        names = (f"{base}-again" if number == 1 else f"{base}-again-{number}" for number in count(1))
        id = next(StarId(name) for name in names if name not in self._after)
        again = replace(spec, id=id, name=id, retry=retry, device=device or None)
        outcome = self._after.outcome(spec.id)
        failed_on = outcome.device if outcome is not None else None
        if device or failed_on is None:
            return again
        for other in self.surroundings.device_names:
            elsewhere = replace(again, device=other)
            if other != failed_on and not self.surroundings.check([elsewhere]):
                return elsewhere
        return replace(again, device=spec.device)

    def _moved(self, line: TaskStarLine, to: StarId) -> Sequence[Operation]:
        """Let a star wait for another one than before, and use its output."""
        target = self._after[line.target]
        moved: list[Operation] = [RemoveLine(line.source, line.target)]
        work: Any = target.work
        arguments = redirected(work.arguments, line.source, to)
        if arguments != work.arguments:
            moved.append(UpdateStar(replace(target, work=replace(work, arguments=arguments))))
        moved.append(AddLine(TaskStarLine(to, line.target, line.trigger, line.when)))
        return moved


def redirected(value: Any, old: str, new: str) -> Any:
    """Arguments with references to one star's output made into references to another's."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and len(value) == 1:
            star, hash, pointer = reference.partition("#")
            return {"$ref": f"{new}{hash}{pointer}"} if star == old else value
        return {key: redirected(item, old, new) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [redirected(item, old, new) for item in value]
    return value
