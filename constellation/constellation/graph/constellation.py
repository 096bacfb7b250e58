"""A TaskConstellation: a mutable directed acyclic graph of stars and lines, with the state of each star.

Theory of operation. Each star counts the lines into it that are still open (`unresolved`) and those that can no
longer be met (`unmet`). When a star settles, its outgoing lines are resolved and only the stars behind them are
looked at: a star with an unmet line is skipped, one with nothing left open is ready. So a transition costs what its
star's lines cost, never a walk over the graph. Structure changes only through edit batches (`batches.py`), states
only through the methods here, which the scheduler drives; until `activate` is called, every star is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .applied import Applied, Changes
from .authoring import Authoring
from .batches import apply_batch
from .collector import no_collections
from .conditions import evaluate_condition
from .copies import copy_into, order_nodes
from .edits import EditBatch, Operation
from .errors import ConditionError, IllegalTransition, UnknownStar, close_names
from .line import TaskStarLine, Trigger
from .node import Edge, LineStatus, Node
from .order import Order
from .star import StarId, TaskStar
from .states import SETTLED, TRANSITIONS, Outcome, StarError, StarState
from .walks import stars_in_order

if TYPE_CHECKING:
    from .authoring import EditBuilder

_PENDING, _READY, _SUCCEEDED = StarState.PENDING, StarState.READY, StarState.SUCCEEDED
_OPEN, _MET, _UNMET = LineStatus.OPEN, LineStatus.MET, LineStatus.UNMET
_SUCCESS, _COMPLETION = Trigger.SUCCESS, Trigger.COMPLETION
# Names of their own for what each transition needs: Python 3.11 looks members of enumerations up slowly.

ConditionEvaluator = Callable[[TaskStarLine, Any], bool]
"""Evaluates a line's condition over its source's output; raises ConditionError when that fails."""


def _evaluate(line: TaskStarLine, output: Any) -> bool:
    assert line.when is not None
    return evaluate_condition(line.when, output)


class TaskConstellation(Authoring):
    """A workflow as a graph that can be changed while it runs.

    Attributes:
        name: What it is called.
        description: For people and planners.
        version: How many batches have been applied.
        tools: References to the modules that hold the tools it uses, for devices started on its behalf.
        counts: How many stars are in each state.
        evaluate: How conditions of lines are evaluated; the scheduler puts the journal in between.
    """

    def __init__(self, name: str, *, description: str = "", tools: tuple[str, ...] = ()) -> None:
        super().__init__()
        if not isinstance(name, str) or not isinstance(description, str):
            raise TypeError(f"a constellation's name and description are text, not {name!r} and {description!r}")
        if not all(isinstance(tool, str) for tool in tools):
            raise TypeError(f"a constellation's tools are a tuple of references, not {tools!r}")
        self.name = name
        self.description = description
        self.tools = tuple(tools)
        self.version = 0
        self.active = False
        self.counts: dict[StarState, int] = dict.fromkeys(StarState, 0)
        self.evaluate: ConditionEvaluator = _evaluate
        self._nodes: dict[StarId, Node] = {}
        self._order = Order()
        self._next_serial = 0
        self._held = 0
        self._kept: dict[Node, None] = {}
        """Stars that would have moved but for a hold somewhere before them."""

    # --- looking -------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, star: object) -> bool:
        return star in self._nodes

    def __iter__(self) -> Iterator[StarId]:
        """The ids of all stars, in the order in which they were added."""
        return iter(self._nodes)

    def __getitem__(self, star: str) -> TaskStar:
        """The spec of a star; raises UnknownStar."""
        return self._node(star).star

    def state(self, star: str) -> StarState:
        """The state of a star; raises UnknownStar."""
        return self._node(star).state

    def outcome(self, star: str) -> Outcome | None:
        """How a star ended, or None while it has not; raises UnknownStar."""
        return self._node(star).outcome

    @property
    def lines(self) -> list[TaskStarLine]:
        """All lines."""
        return [edge.line for node in self._nodes.values() for edge in node.outbound.values()]

    @property
    def line_count(self) -> int:
        """How many lines there are; cheaper than the length of `lines`, which makes them all."""
        return sum([len(node.outbound) for node in self._nodes.values()])

    def lines_into(self, star: str) -> list[TaskStarLine]:
        """The lines that a star waits for; raises UnknownStar."""
        return [edge.line for edge in self._node(star).inbound.values()]

    def lines_from(self, star: str) -> list[TaskStarLine]:
        """The lines that wait for a star; raises UnknownStar."""
        return [edge.line for edge in self._node(star).outbound.values()]

    def in_order(self) -> list[StarId]:
        """All stars, each after those that it waits for and else in the order in which they were added.

        It follows from the stars and lines alone: whatever edits led to them, a copy has the same order.
        """
        return stars_in_order(self._nodes)

    def waiting_for(self, star: str) -> list[StarId]:
        """The stars whose lines into this one are still open; raises UnknownStar."""
        return [source for source, edge in self._node(star).inbound.items() if edge.status is _OPEN]

    def descendants(self, star: str) -> set[StarId]:
        """All stars that wait for this one, directly or through others; raises UnknownStar."""
        found: set[StarId] = set()
        stack = [self._node(star)]
        while stack:
            for target, edge in stack.pop().outbound.items():
                if target not in found:
                    found.add(target)
                    stack.append(edge.target)
        return found

    @property
    def settled(self) -> bool:
        """Whether every star has ended."""
        counts = self.counts
        return not (
            counts[StarState.PENDING]
            or counts[StarState.READY]
            or counts[StarState.ASSIGNED]
            or counts[StarState.RUNNING]
        )

    def copy(self) -> TaskConstellation:
        """A graph of its own that starts where this one is: what `load(dump(graph))` makes, without the way there.

        Specs, outcomes and functions are shared, structure and states are not. Holds and `evaluate` belong to whoever
        runs the original and stay with it. Batches made against older versions of the original don't fit the copy. As
        in a document, lines stand in the order of their sources: `lines_into` may list them in another one.
        """
        made = TaskConstellation(self.name, description=self.description, tools=self.tools)
        made.functions.update(self.functions)
        with no_collections():
            copy_into(made, self)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_order"}  # it may be one in C

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._order = order_nodes(self._nodes)

    # --- editing -------------------------------------------------------------------------------------------------

    def apply(self, batch: EditBatch, *, at: float = 0.0) -> Applied:
        """Apply a batch, whole or not at all.

        Args:
            batch: The operations.
            at: The time, for stars that settle because of it.

        Raises:
            EditRejected: an operation can't be done; the error names it, and the graph is as it was.
        """
        return apply_batch(self, batch, at)

    def edit(self, *, author: str = "", reason: str = "") -> EditBuilder:
        """Begin a batch against the present version; pass what it builds to `apply`, or to a run."""
        from .authoring import EditBuilder

        return EditBuilder(self, author=author, reason=reason)

    def _take(self, operations: tuple[Operation, ...]) -> None:
        self.apply(EditBatch(operations))

    def _star_exists(self, star: str) -> bool:
        return star in self._nodes

    # --- running: for the scheduler -------------------------------------------------------------------------------

    def activate(self, *, at: float = 0.0) -> Changes:
        """Let states follow from the lines from now on: stars that wait for nothing become ready."""
        self.active = True
        changes = Changes()
        self._advance_all(list(reversed(self._nodes.values())), changes, at)
        return changes

    def enter(self, star: StarId, state: StarState) -> None:
        """Put a star into a state that is not an end.

        Raises:
            IllegalTransition: the life cycle does not lead there.
        """
        self._enter(self._node(star), state)

    def settle(self, star: StarId, state: StarState, outcome: Outcome, *, at: float = 0.0) -> Changes:
        """End a star and see to the stars that wait for it, unless it is held.

        Raises:
            IllegalTransition: it has ended before.
        """
        node = self._node(star)
        self._enter(node, state)
        node.outcome = outcome
        changes = Changes()
        if not node.holds:
            self._advance_all(self._resolve_lines(node), changes, at)
        return changes

    def hold(self, star: StarId) -> None:
        """Keep everything that waits for a star where it is until `release`; holds add up."""
        self._node(star).holds += 1
        self._held += 1

    def release(self, star: StarId, *, at: float = 0.0) -> Changes:
        """Take back one hold; with the last one, what waits for the star moves on."""
        node = self._node(star)
        if not node.holds:
            raise IllegalTransition(star, "not held", "released")
        node.holds -= 1
        self._held -= 1
        changes = Changes()
        if not node.holds:
            if node.state in SETTLED:
                self._resolve_lines(node)
            targets = [edge.target for edge in reversed(node.outbound.values())]
            self._advance_all([*self._no_longer_kept(), *targets], changes, at)
        return changes

    def is_held(self, star: StarId) -> bool:
        """Whether a review of this star is going on."""
        return self._node(star).holds > 0

    # --- inside ----------------------------------------------------------------------------------------------------

    def _node(self, star: str) -> Node:
        node: Node | None = self._nodes.get(star)  # type: ignore[call-overload]  # any text may be asked for
        if node is None:
            raise UnknownStar(star, close=close_names(star, self._nodes, count=3))
        return node

    def _enter(self, node: Node, state: StarState) -> None:
        before = node.state
        if state not in TRANSITIONS[before]:
            raise IllegalTransition(node.id, before, state)
        counts = self.counts
        counts[before] -= 1
        counts[state] += 1
        node.state = state

    def _resolve_lines(self, node: Node) -> list[Node]:
        """Settle the open lines out of a star that has ended; returns the stars behind them that may move by it.

        The last one comes first: they are taken from the end, so that those that were added first move first.
        """
        targets = []
        succeeded = node.state is _SUCCEEDED
        for edge in reversed(node.outbound.values()):
            if edge.status is _OPEN:
                target = edge.target
                if succeeded and edge.trigger is _SUCCESS:  # what becomes of nearly all lines, without a call for each
                    edge.status = _MET
                    target.unresolved -= 1
                else:
                    self._resolve(edge)
                if target.unmet or not target.unresolved:
                    targets.append(target)
        return targets

    def _resolve(self, edge: Edge) -> None:
        trigger, target = edge.trigger, edge.target
        if trigger is _COMPLETION or (trigger is _SUCCESS and edge.source.state is _SUCCEEDED):
            edge.status = _MET
        else:
            edge.status = status = self._verdict(edge)
            if status is not _MET:
                target.unmet += 1
        target.unresolved -= 1

    def _verdict(self, edge: Edge) -> LineStatus:
        """What has become of a line that is met by failure, by a condition, or not at all."""
        trigger, source = edge.trigger, edge.source
        if trigger is Trigger.WHEN and source.state is _SUCCEEDED:
            outcome = source.outcome
            try:
                met = self.evaluate(edge.line, outcome.output if outcome else None)
            except ConditionError as error:
                edge.problem = str(error)
                return LineStatus.BROKEN
        else:
            met = trigger is Trigger.FAILURE and source.state is StarState.FAILED
        return _MET if met else _UNMET

    def _advance_all(self, nodes: list[Node], changes: Changes, at: float) -> None:
        """Move stars to where their lines put them, and on through the stars that settle by it."""
        if not self.active:
            return
        while nodes:
            node = nodes.pop()
            if node.state is _READY and (node.unresolved or node.unmet):
                self._enter(node, _PENDING)
                changes.unready.append(node.id)
            if node.state is not _PENDING or (node.unresolved and not node.unmet):
                continue
            if self._held and is_kept(node):
                self._kept[node] = None
                continue
            if node.unmet:
                self._end_unreachable(node, at)
                changes.settled.append(node.id)
                if not node.holds:
                    nodes.extend(self._resolve_lines(node))
            else:
                self._enter(node, _READY)
                changes.ready.append(node.id)

    def _no_longer_kept(self) -> list[Node]:
        """The stars that were kept, to look at again: some hold or line has gone."""
        kept = [node for node in self._kept if self._nodes.get(node.id) is node]
        self._kept.clear()
        return kept

    def _end_unreachable(self, node: Node, at: float) -> None:
        """End a star that can't run: failed when a condition broke, else skipped."""
        edges = node.inbound.values()
        broken = next((edge for edge in edges if edge.status is LineStatus.BROKEN), None)
        if broken is not None:
            error = StarError("ConditionError", f"{broken.line}: {broken.problem}")
            state = StarState.FAILED
        else:
            edge = next(edge for edge in edges if edge.status is LineStatus.UNMET)
            error = StarError("Skipped", _why_unmet(edge), {"star": edge.source.id})
            state = StarState.SKIPPED
        self._enter(node, state)
        node.outcome = Outcome(error=error, ended_at=at)


def is_kept(node: Node) -> bool:
    """Whether a star that waits must not move, because a star somewhere before it is held.

    One whose lines are all met or unmet can only be kept by a star right before it. One that is to be skipped early,
    while other lines are open, is also kept by stars behind which those lines stand.
    """
    if any(edge.source.holds for edge in node.inbound.values()):
        return True
    seen: set[Node] = {node}
    stack = [node] if node.unresolved else []
    while stack:
        for edge in stack.pop().inbound.values():
            source = edge.source
            if edge.status is _OPEN and source not in seen:
                if source.holds:
                    return True
                seen.add(source)
                stack.append(source)
    return False


_ENDED = {
    StarState.SUCCEEDED: "succeeded",
    StarState.FAILED: "failed",
    StarState.CANCELLED: "was cancelled",
    StarState.SKIPPED: "was skipped",
}


def _why_unmet(edge: Edge) -> str:
    source, state = edge.source.id, edge.source.state
    if edge.trigger is Trigger.WHEN and state is StarState.SUCCEEDED:
        return f"{source!r} succeeded, but its output does not meet the condition {edge.when}"
    wanted = "failure" if edge.trigger is Trigger.FAILURE else "success"
    return f"waits for the {wanted} of {source!r}, which {_ENDED[state]}"


def stars_by_state(constellation: TaskConstellation) -> Mapping[str, int]:
    """How many stars are in each state, without the states that none is in."""
    return {state.value: count for state, count in constellation.counts.items() if count}
