"""Writing a graph in Python: `star` and `line`, shared by a constellation and by the builder of an edit batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .edits import AddLine, AddStar, EditBatch, Operation, RemoveLine, RemoveStar, UpdateLine, UpdateStar
from .errors import InvalidStar
from .line import TaskStarLine, Trigger
from .references import Output, write_outputs
from .star import NO_REQUIREMENTS, NO_RETRY, RetryPolicy, StarId, TaskStar, slug
from .work import NO_ARGUMENTS, Approval, Nested, Prompt, ToolCall, Work

if TYPE_CHECKING:
    from .constellation import TaskConstellation


@dataclass(frozen=True, slots=True)
class StarHandle:
    """A star that has been written down: pass it, or its output, to the stars that come after it."""

    id: StarId

    @property
    def output(self) -> Output:
        """The star's output, to use as an argument of other stars; `handle.output["key"][0]` reaches into it."""
        return Output(self.id)


AnyStar = StarHandle | str
"""A star by its handle or its id."""


def _id(star: AnyStar) -> StarId:
    return star.id if isinstance(star, StarHandle) else StarId(star)


class Authoring(ABC):
    """What can be written to: it turns `star` and `line` into edit operations.

    Attributes:
        functions: The Python functions given as work, by tool name. They are named in the graph, not shipped with it;
            devices in the same process are offered them.
    """

    def __init__(self) -> None:
        self.functions: dict[str, Callable[..., Any]] = {}

    @abstractmethod
    def _take(self, operations: tuple[Operation, ...]) -> None:
        """Take operations that belong together."""

    @abstractmethod
    def _star_exists(self, star: str) -> bool:
        """Whether an id is in use."""

    def star(
        self,
        name: str,
        work: str | Callable[..., Any] | ToolCall | Prompt | Approval | Nested | TaskConstellation,
        /,
        *,
        id: str | None = None,
        description: str = "",
        requires: Mapping[str, str | float] | None = None,
        device: str | None = None,
        timeout_s: float | timedelta | None = None,
        retry: RetryPolicy | int | None = None,
        priority: int = 0,
        idempotent: bool | None = None,
        after: Iterable[AnyStar] = (),
        arguments: Mapping[str, Any] | None = None,
        **more_arguments: Any,
    ) -> StarHandle:
        """Add a star.

        Args:
            name: What it is called; its id is made from it.
            work: A tool by its name or as the function itself, any other work, or a constellation to nest.
            id: Its id, where the one made from the name won't do.
            description: For people and planners.
            requires: Labels (text) and resources (numbers) that its device must have.
            device: The one device that it may run on.
            timeout_s: Seconds that an attempt may take.
            retry: What to do when it fails; a number is the number of tries in all.
            priority: Higher goes first.
            idempotent: Whether running it twice is as good as once; None leaves that to the tool.
            after: Stars that must have succeeded first; those whose output is used need not be named.
            arguments: Arguments of the tool; for names that are also parameters here.
            **more_arguments: Arguments of the tool.

        Raises:
            InvalidStar: a field makes no sense.
            EditRejected: the star does not fit into the graph.
        """
        made = self._work(work, write_outputs({**arguments, **more_arguments} if arguments else more_arguments))
        star = TaskStar(
            id=StarId(id if id is not None else self._free_id(slug(name))),
            work=made,
            name=name,
            description=description,
            requires=dict(requires) if requires else NO_REQUIREMENTS,
            device=device,
            timeout_s=timeout_s.total_seconds() if isinstance(timeout_s, timedelta) else timeout_s,
            retry=NO_RETRY if retry is None else RetryPolicy(max_attempts=retry) if isinstance(retry, int) else retry,
            priority=priority,
            idempotent=idempotent,
        )
        lines = [AddLine(TaskStarLine(source, star.id)) for source in dict.fromkeys(map(_id, after))]
        self._take((AddStar(star), *lines))
        return StarHandle(star.id)

    def line(
        self, source: AnyStar, target: AnyStar, trigger: Trigger | str = Trigger.SUCCESS, *, when: str | None = None
    ) -> None:
        """Let `target` wait for `source`.

        Args:
            source: The star that is waited for.
            target: The star that waits.
            trigger: `success`, `failure` or `completion` of the source.
            when: A CEL expression over `output` that must be true of the source's output as well.

        Raises:
            InvalidLine: the trigger and the expression don't go together.
            EditRejected: the line does not fit into the graph.
        """
        self._take((AddLine(TaskStarLine(_id(source), _id(target), Trigger(trigger), when)),))

    def _work(self, work: Any, arguments: dict[str, Any]) -> Work:
        if isinstance(work, str):
            return ToolCall(work, arguments or NO_ARGUMENTS)
        from .constellation import TaskConstellation

        if isinstance(work, (ToolCall, Prompt, Approval, Nested)):
            return replace(work, arguments={**work.arguments, **arguments}) if arguments else work
        if isinstance(work, TaskConstellation):
            from .documents import dump

            self.functions.update(work.functions)
            return Nested(dump(work), arguments)
        if callable(work):
            tool = getattr(work, "name", None) or getattr(work, "__name__", None)
            if not isinstance(tool, str) or tool == "<lambda>":
                raise InvalidStar(f"{work!r} has no name to call it by; give a function made by `def`, or a tool")
            known = self.functions.setdefault(tool, work)
            if known is not work:
                raise InvalidStar(f"two different functions are called {tool!r}; name one of them with @tool(name=…)")
            return ToolCall(tool, arguments or NO_ARGUMENTS)
        raise InvalidStar(f"{work!r} is no work for a star: give a tool's name, a function, or a constellation")

    def _free_id(self, wanted: str) -> str:
        candidate, number = wanted, 2
        while self._star_exists(candidate):
            candidate, number = f"{wanted}-{number}", number + 1
        return candidate


class EditBuilder(Authoring):
    """Collects operations against the version of a graph that it was made from."""

    def __init__(self, graph: TaskConstellation, *, author: str = "", reason: str = "") -> None:
        super().__init__()
        self._graph = graph
        self._base = graph.version
        self._author = author
        self._reason = reason
        self._operations: list[Operation] = []
        self._new: set[StarId] = set()

    def _take(self, operations: tuple[Operation, ...]) -> None:
        self._operations.extend(operations)
        self._new.update(operation.star.id for operation in operations if isinstance(operation, AddStar))

    def _star_exists(self, star: str) -> bool:
        return star in self._new or star in self._graph

    def update(self, star: AnyStar, **fields: Any) -> None:
        """Replace fields of a star that has not been dispatched; raises UnknownStar, TypeError for an unknown field."""
        self._take((UpdateStar(replace(self._graph[_id(star)], **fields)),))

    def remove(self, star: AnyStar) -> None:
        """Remove a star; one that is running is cancelled."""
        self._take((RemoveStar(_id(star)),))

    def update_line(
        self, source: AnyStar, target: AnyStar, trigger: Trigger | str = Trigger.SUCCESS, *, when: str | None = None
    ) -> None:
        """Replace the trigger of a line."""
        self._take((UpdateLine(TaskStarLine(_id(source), _id(target), Trigger(trigger), when)),))

    def remove_line(self, source: AnyStar, target: AnyStar) -> None:
        """Remove a line."""
        self._take((RemoveLine(_id(source), _id(target)),))

    def __bool__(self) -> bool:
        return bool(self._operations)

    def build(self, *, reason: str | None = None) -> EditBatch:
        """The batch, for `TaskConstellation.apply`, for a run, or to return from a planner."""
        return EditBatch(
            tuple(self._operations),
            base_version=self._base,
            author=self._author,
            reason=self._reason if reason is None else reason,
        )
