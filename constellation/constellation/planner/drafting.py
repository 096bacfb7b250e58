"""A plan on its way: the graph that a model makes of a request, call by call."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from constellation_tools import ToolFailed, Toolset, tool

from ..graph import EditBatch, EditRejected, Operation, RemoveLine, StarId, TaskConstellation
from .chains import idle_chain
from .composing import Composer, rejection
from .fencing import Fence
from .settings import Limits
from .surroundings import Surroundings


class Draft(Composer):
    """A plan on its way."""

    def __init__(self, name: str, request: str, surroundings: Surroundings, limits: Limits, fence: Fence) -> None:
        super().__init__(surroundings, limits, fence)
        self._graph = TaskConstellation(name, description=request)
        self._told_of_chain = False

    @property
    def graph(self) -> TaskConstellation:
        """See `Composer.graph`."""
        return self._graph

    @property
    def tools(self) -> Toolset:
        """See `Composer.tools`."""
        return Toolset((self.add_star, self.add_line, self.remove_line, self.finish))

    def take(self, *operations: Operation) -> None:
        """See `Composer.take`."""
        try:
            self._graph.apply(EditBatch(operations))
        except EditRejected as error:
            raise rejection(error, self.fence) from error

    @tool(blocking=False)
    def remove_line(
        self,
        source: Annotated[str, Field(description="The star that is waited for")],
        target: Annotated[str, Field(description="The star that waits")],
    ) -> str:
        """Take a line back: the target does not wait for the source any more."""
        self.check_known((source, target))
        self.take(RemoveLine(StarId(source), StarId(target)))
        return f"{target} does not wait for {source}"

    @tool(blocking=False)
    def finish(
        self,
        reason: Annotated[
            str, Field(description="Why this plan does what was asked, in a sentence or two", min_length=1)
        ],
    ) -> str:
        """Say that the plan is whole; it begins to run then."""
        if not len(self._graph):
            raise ToolFailed("the plan has no stars yet: add at least one, then finish")
        chain = idle_chain(self._graph)
        if chain and not self._told_of_chain:
            self._told_of_chain = True
            raise ToolFailed(
                f"these stars wait for one another without using one another's outputs: {' → '.join(chain)}. If they "
                "are independent, take the lines between them back with remove_line, so that they run at the same "
                "time. If their order matters, leave it. Then finish again"
            )
        self.reason = reason
        return "the plan is whole"
