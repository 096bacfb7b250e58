"""What edits may do by themselves: a policy that does not depend on the model.

An edit is made after a model has read what devices returned, and what devices return may have been written by someone
who wants it to say something else. So an edit is held against the plan, which was made before anything was read. What
can't hurt is allowed: to do failed work again elsewhere, to drop what can't run any more, and to use tools that the
user has allowed for edits. All else is a violation, for a person to decide about. No violation depends on what the
model says, or on text that anything returned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from ..graph import (
    AddLine,
    AddStar,
    Approval,
    EditBatch,
    Nested,
    Prompt,
    RemoveLine,
    RemoveStar,
    StarId,
    StarState,
    TaskConstellation,
    TaskStar,
    TaskStarLine,
    ToolCall,
    Trigger,
    UpdateLine,
    UpdateStar,
)
from .editing import redirected

MOST_TIMEOUT_S = 3_600.0
"""How long an edit may let a star take by itself, where the plan says nothing."""

LEAST_TIMEOUT_S = 60.0
"""How long an edit has to let a star of the plan take, where the plan says nothing: less would be a way to drop it."""

OUTCOME_UNKNOWN = "AttemptOutcomeUnknown"
"""The error of work that may or may not have had its effect, and must not be done twice unseen."""

_NOT_DONE = frozenset({StarState.FAILED, StarState.CANCELLED, StarState.SKIPPED})


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What edits may do beyond what they always may.

    Attributes:
        tools: Tools that edits may call with whatever arguments, as names or patterns such as `files_read*`.
        devices: Devices that edits may name, besides those that were there when the plan was made; names or patterns.
        prompts: Whether edits may give instructions to devices' LLM agents.
        retries: How often one piece of work may be tried again.
    """

    tools: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    prompts: bool = False
    retries: int = 3

    def allows_tool(self, tool: str) -> bool:
        """Whether edits may call a tool with whatever arguments."""
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the plan was, before any output was read.

    Attributes:
        approvals: The questions of the plan.
        gated: Tools that the plan calls only behind one of them.
        devices: The devices that were connected.
    """

    approvals: frozenset[StarId] = frozenset()
    gated: frozenset[str] = frozenset()
    devices: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def of(cls, plan: TaskConstellation, devices: Iterable[str]) -> Baseline:
        """Take down what a plan was."""
        approvals = frozenset(star for star in plan if isinstance(plan[star].work, Approval))
        behind = _behind(approvals, plan)
        calls = [(star, plan[star].work) for star in plan]
        free = {work.tool for star, work in calls if isinstance(work, ToolCall) and star not in behind}
        gated = {work.tool for star, work in calls if isinstance(work, ToolCall) and star in behind}
        return cls(approvals, frozenset(gated - free), frozenset(devices))


def violations(graph: TaskConstellation, batch: EditBatch, baseline: Baseline, capabilities: Capabilities) -> list[str]:
    """What an edit would do that edits may not do by themselves; empty when it may be applied.

    Args:
        graph: The graph that the batch was made against.
        batch: The edit, which applies to it.
        baseline: What the plan was.
        capabilities: What edits may do besides.
    """
    after = graph.copy()
    after.active = False
    after.apply(replace(batch, base_version=None))
    judge = _Judge(graph, after, batch, baseline, capabilities)
    found = [problem for operation in batch.operations for problem in judge.of(operation)]
    return list(dict.fromkeys(found))


class _Judge:
    """Judges the operations of one batch."""

    def __init__(
        self,
        before: TaskConstellation,
        after: TaskConstellation,
        batch: EditBatch,
        baseline: Baseline,
        capabilities: Capabilities,
    ) -> None:
        self._before = before
        self._after = after
        self._baseline = baseline
        self._may = capabilities
        self._behind = _behind(baseline.approvals, after)
        self._dropped = {operation.star for operation in batch.operations if isinstance(operation, RemoveStar)}
        added = {operation.star.id for operation in batch.operations if isinstance(operation, AddStar)}
        self._retry_of: dict[StarId, StarId] = {}
        for star in added & set(after):
            source = self._source_of_retry(after[star])
            if source is not None:
                self._retry_of[star] = source
        self._doomed = _doomed(before)

    def of(self, operation: Any) -> list[str]:
        """What one operation would do that it may not."""
        match operation:
            case AddStar(star):
                return self._of_added(star)
            case UpdateStar(star):
                return self._of_updated(star)
            case RemoveStar(star):
                return self._of_dropped(star)
            case AddLine(line):
                return self._of_new_line(line)
            case RemoveLine(source, target):
                return self._of_lost_line(source, target)
            case UpdateLine(line):
                return self._of_changed_line(line)
        return [f"{operation} is nothing that edits do"]

    # --- stars -------------------------------------------------------------------------------------------------------

    def _source_of_retry(self, star: TaskStar) -> StarId | None:
        """The star whose failed work another one does again, in all respects but where and how often.

        What was skipped or cancelled is not done again: it was not to be done, and may have needed an approval.
        """
        if not isinstance(star.work, (ToolCall, Prompt)):
            return None
        for line in self._after.lines_into(star.id):
            source = line.source
            if source not in self._before or self._before.state(source) is not StarState.FAILED:
                continue
            old, outcome = self._before[source], self._before.outcome(source)
            same = (star.work, star.requires, star.idempotent) == (old.work, old.requires, old.idempotent)
            if same and outcome is not None and outcome.attempts:
                return source
        return None

    def _of_added(self, star: TaskStar) -> list[str]:
        if star.id not in self._after:
            return []
        star = self._after[star.id]  # as it is in the end, whatever the batch changes of it on the way
        problems = self._of_device(star, None)
        source = self._retry_of.get(star.id)
        if source is not None:
            outcome = self._before.outcome(source)
            if outcome is not None and outcome.error is not None and outcome.error.type == OUTCOME_UNKNOWN:
                problems.append(f"{source!r} may have had its effect already, and would be done again")
            tries = self._tries_again(source)
            if tries > self._may.retries:
                problems.append(
                    f"{star.id!r} would be try {tries + 1} of the same work, and {self._may.retries} more may be made"
                )
            return problems + self._of_bounds(star, self._before[source])
        work = star.work
        if isinstance(work, ToolCall) and self._may.allows_tool(work.tool):
            if work.tool in self._baseline.gated and star.id not in self._behind:
                problems.append(f"{star.id!r} calls {work.tool!r}, which the plan has behind an approval, without one")
            return problems + self._of_bounds(star, None)
        if isinstance(work, Prompt) and self._may.prompts:
            return problems + self._of_bounds(star, None)
        return [*problems, f"{star.id!r} is new work ({_named(star)}), not failed work done again"]

    def _of_updated(self, star: TaskStar) -> list[str]:
        if star.id not in self._before:
            return self._of_added(star)
        old = self._before[star.id]
        if isinstance(star.work, (Approval, Nested)) or isinstance(old.work, (Approval, Nested)):
            return [f"{star.id!r} is {_named(old)}, and would be changed"] if star != old else []
        problems = self._of_device(star, old) + self._of_bounds(star, old)
        if star.requires != old.requires:
            problems.append(f"{star.id!r} would ask something else of its device than the plan does")
        if star.idempotent != old.idempotent:
            problems.append(f"{star.id!r} would count as repeatable otherwise than in the plan")
        if star.work != old.work and not self._is_redirected(star, old):
            free = isinstance(star.work, ToolCall) and isinstance(old.work, ToolCall)
            if not (free and self._may.allows_tool(star.work.tool) and star.work.tool == old.work.tool):
                problems.append(f"{star.id!r} would do something else than in the plan ({_named(star)})")
        return problems

    def _is_redirected(self, star: TaskStar, old: TaskStar) -> bool:
        """Whether all that is new in a star's arguments is that it uses work that was done again."""
        arguments: Any = old.work.arguments
        for again, source in self._retry_of.items():
            arguments = redirected(arguments, source, again)
        new: Any = star.work
        return bool(new == replace(old.work, arguments=arguments))

    def _of_dropped(self, star: StarId) -> list[str]:
        before = self._before
        if star not in before:
            return []
        if isinstance(before[star].work, Approval):
            return [f"{star!r} is an approval, and would be dropped"]
        problems = [] if star in self._doomed else [f"{star!r} can still run, and would be dropped"]
        for line in (*before.lines_into(star), *before.lines_from(star)):
            other = line.source if line.target == star else line.target
            if isinstance(before[other].work, Approval):
                problems.append(f"{star!r} hangs together with the approval {other!r}, and would be dropped")
        left = [line.target for line in before.lines_from(star) if line.target not in self._dropped]
        problems += [f"{target!r} would not wait for {star!r} any more" for target in left]
        return problems

    def _of_device(self, star: TaskStar, old: TaskStar | None) -> list[str]:
        device = star.device
        if device is None or (old is not None and old.device == device):
            return []
        known = device in self._baseline.devices or any(fnmatchcase(device, each) for each in self._may.devices)
        return [] if known else [f"{star.id!r} would run on {device!r}, which was not there when the plan was made"]

    def _of_bounds(self, star: TaskStar, old: TaskStar | None) -> list[str]:
        problems = []
        given = old.timeout_s if old is not None else None
        most = max(MOST_TIMEOUT_S, given or 0.0)
        least = LEAST_TIMEOUT_S if given is None else given
        if old is not None and star.timeout_s is not None and star.timeout_s < least:
            problems.append(f"{star.id!r} would have {star.timeout_s:g} s, and needs {least:g} s at least")
        if star.timeout_s is not None and star.timeout_s > most:
            problems.append(f"{star.id!r} could take {star.timeout_s:g} s, and edits may allow {most:g} s")
        if star.priority > (old.priority if old is not None else 0):
            problems.append(f"{star.id!r} would go before others")
        return problems

    def _tries_again(self, star: StarId) -> int:
        """How often the work of a star is tried again with this edit, one after the other and side by side."""
        work = self._before[star].work
        found = {star}
        ring = [star]
        while ring:  # all that is tied to it by lines other than of success and does the same
            near = [line.source for each in ring for line in self._after.lines_into(each) if _is_second(line)]
            near += [line.target for each in ring for line in self._after.lines_from(each) if _is_second(line)]
            ring = [other for other in dict.fromkeys(near) if other not in found and self._after[other].work == work]
            found.update(ring)
        return len(found) - 1

    # --- lines -------------------------------------------------------------------------------------------------------

    def _of_new_line(self, line: TaskStarLine) -> list[str]:
        before = self._before
        if line.target not in before:
            return []  # what is new may wait for what it likes: its work is judged
        if isinstance(before[line.target].work, Approval):
            return [f"the approval {line.target!r} would wait for something else"]
        if self._replaces(line):
            return []
        if line.source in before or line.trigger not in (Trigger.SUCCESS, Trigger.COMPLETION):
            return [f"{line.target!r} would wait for {line.source!r} ({line.trigger.value}) as well"]
        return []

    def _replaces(self, line: TaskStarLine) -> bool:
        """Whether a line stands for one from the star whose work its source does again."""
        source = self._retry_of.get(line.source)
        if source is None:
            return False
        old = next((each for each in self._before.lines_into(line.target) if each.source == source), None)
        return old is not None and (old.trigger, old.when) == (line.trigger, line.when)

    def _of_lost_line(self, source: StarId, target: StarId) -> list[str]:
        before = self._before
        if target not in before or target in self._dropped:
            return []
        old = next((line for line in before.lines_into(target) if line.source == source), None)
        if old is None:
            return []
        kept = next((line for line in self._after.lines_into(target) if line.source == source), None)
        if kept == old:
            return []
        if isinstance(before[source].work, Approval) or isinstance(before[target].work, Approval):
            return [f"{target!r} would not wait for {source!r} any more, and one of them is an approval"]
        instead = [line for line in self._after.lines_into(target) if self._replaces(line)]
        if any(self._retry_of[line.source] == source for line in instead):
            return []
        return [f"{target!r} would not wait for {source!r} any more"]

    def _of_changed_line(self, line: TaskStarLine) -> list[str]:
        return (
            [f"{line.target!r} would wait for something else of {line.source!r}"] if line.target in self._before else []
        )


def _is_second(line: TaskStarLine) -> bool:
    return line.trigger is not Trigger.SUCCESS


def _named(star: TaskStar) -> str:
    work = star.work
    if isinstance(work, ToolCall):
        return f"tool {work.tool!r}"
    return "an instruction" if isinstance(work, Prompt) else "a question" if isinstance(work, Approval) else "nested"


def _behind(approvals: frozenset[StarId], graph: TaskConstellation) -> set[StarId]:
    """The stars that can't begin before a person has said yes to one of these questions."""
    behind: set[StarId] = set()
    for star in graph.in_order():
        for line in graph.lines_into(star):
            needed = line.trigger in (Trigger.SUCCESS, Trigger.WHEN)
            if needed and (line.source in approvals or line.source in behind):
                behind.add(star)
                break
    return behind


def _doomed(graph: TaskConstellation) -> set[StarId]:
    """The stars that can't run any more, for something that they need has not been done."""
    lost: set[StarId] = {star for star in graph if graph.state(star) in _NOT_DONE}
    doomed: set[StarId] = set()
    for star in graph.in_order():
        needs: Mapping[StarId, Trigger] = {line.source: line.trigger for line in graph.lines_into(star)}
        unmet = any(source in lost and trigger in (Trigger.SUCCESS, Trigger.WHEN) for source, trigger in needs.items())
        if star not in lost and unmet:
            doomed.add(star)
            lost.add(star)
    return doomed
