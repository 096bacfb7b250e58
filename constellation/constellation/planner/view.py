"""A graph as a model is shown it: what it is asked about in detail, the rest in summary, all within a bound.

However many stars have ended, they are told of in groups: by their work and how they ended. So what a consultation
costs depends on what it is about, not on how large the run has become.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from ..graph import SETTLED, Approval, Prompt, StarId, StarState, TaskConstellation, TaskStar, ToolCall, Trigger
from .fencing import Fence, tokens_in

_SPEC_TOKENS = 150
_OUTCOME_TOKENS = 600
_GROUPS = 40


class View:
    """Shows graphs.

    Attributes:
        fence: Makes text of what came from outside.
        tokens: About how long a view may be.
    """

    def __init__(self, fence: Fence, *, tokens: int) -> None:
        self.fence = fence
        self.tokens = tokens

    def results(self, graph: TaskConstellation, stars: Sequence[str]) -> str:
        """Stars that have ended, what waits for them, and a summary of all else."""
        waiting = [star for star in self._waiting(graph, stars) if star not in stars]
        shown = {*stars, *waiting}
        parts = [
            "Results that you have not seen yet:",
            self._listed(graph, stars, self.tokens // 2, outcomes=True),
            "Stars that have not begun and wait for these, nearest first. They are held until you have finished:",
            self._listed(graph, waiting, self.tokens // 4, outcomes=False),
            "Everything else:",
            self.summary(graph, [star for star in graph if star not in shown], tokens=self.tokens // 4),
        ]
        return "\n".join(parts)

    def details(self, graph: TaskConstellation, stars: Sequence[str]) -> str:
        """Some stars with all there is to know of them."""
        return self._listed(graph, stars, self.tokens // 2, outcomes=True)

    def summary(self, graph: TaskConstellation, stars: Iterable[str], *, tokens: int) -> str:
        """Stars in groups: how many of which work are in which state, and the names of some."""
        groups: dict[tuple[str, str], list[str]] = {}
        for star in stars:
            groups.setdefault((kind_of(graph[star]), graph.state(star).value), []).append(star)
        lines = [
            f"{kind}: {len(names)} {state}, such as {self.fence.names(names, most=3)}"
            if len(names) > 3
            else f"{kind}: {state} {self.fence.names(names)}"
            for (kind, state), names in sorted(groups.items(), key=lambda group: -len(group[1]))[:_GROUPS]
        ]
        if len(groups) > _GROUPS:
            lines.append(f"and {len(groups) - _GROUPS} more groups")
        return f'<data from="summary">\n{self.fence.text(chr(10).join(lines) or "nothing", tokens=tokens)}\n</data>'

    def outcomes(self, graph: TaskConstellation) -> str:
        """How a run has ended, for an answer: outputs that nothing else has used, failures, and a summary."""
        ends = [star for star in graph if not graph.lines_from(star) or self._has_only_handlers(graph, star)]
        told = [star for star in ends if graph.state(star) is StarState.SUCCEEDED]
        failed = [star for star in graph if graph.state(star) is StarState.FAILED]
        rest = {*told, *failed}
        parts = [
            "Outputs that no other star has used:",
            self._listed(graph, told, self.tokens, outcomes=True),
            "Stars that have failed:",
            self._listed(graph, failed, self.tokens // 4, outcomes=True),
            "Everything else:",
            self.summary(graph, [star for star in graph if star not in rest], tokens=self.tokens // 4),
        ]
        return "\n".join(parts)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _has_only_handlers(self, graph: TaskConstellation, star: StarId) -> bool:
        return all(line.trigger is Trigger.FAILURE for line in graph.lines_from(star))

    def _waiting(self, graph: TaskConstellation, stars: Sequence[str]) -> list[StarId]:
        """What waits for some stars and has not begun, nearest first."""
        found: dict[StarId, None] = {}
        ring: list[str] = list(stars)
        while ring:
            targets = [line.target for star in ring for line in graph.lines_from(star)]
            ring = [star for star in dict.fromkeys(targets) if star not in found and graph.state(star) not in SETTLED]
            found.update(dict.fromkeys(map(StarId, ring)))
        return list(found)

    def _listed(self, graph: TaskConstellation, stars: Sequence[str], tokens: int, *, outcomes: bool) -> str:
        """Stars one by one, for as long as there is room; then how many are left, by kind and state."""
        lines: list[str] = []
        used = 0
        share = max(tokens // max(len(stars), 1), 60)
        for place, star in enumerate(stars):
            line = self._line(graph, StarId(star), min(share, _OUTCOME_TOKENS) if outcomes else 0)
            used += tokens_in(line)
            if used > tokens and lines:
                left = Counter((kind_of(graph[other]), graph.state(other).value) for other in stars[place:])
                lines += [f"… and {count} more: {kind}, {state}" for (kind, state), count in left.most_common(10)]
                break
            lines.append(line)
        return "\n".join(('<data from="stars">', *(lines or ["none"]), "</data>"))

    def _line(self, graph: TaskConstellation, star: StarId, outcome_tokens: int) -> str:
        spec = graph[star]
        said: dict[str, Any] = {"star": star, "state": graph.state(star).value, "work": _work(spec)}
        waits = {line.source: line.when or line.trigger.value for line in graph.lines_into(star)}
        if waits:
            said["waits_for"] = [
                source if trigger == "success" else f"{source} ({trigger})" for source, trigger in waits.items()
            ][:20]
        if spec.device:
            said["device"] = spec.device
        if spec.requires:
            said["requires"] = dict(spec.requires)
        text = self.fence.text(said, tokens=_SPEC_TOKENS)
        outcome = graph.outcome(star)
        if outcome is None or not outcome_tokens:
            return text
        if outcome.error is not None:
            ended: dict[str, Any] = {"error": f"{outcome.error.type}: {outcome.error.message}"}
            if outcome.device:
                ended["failed_on"] = outcome.device
        else:
            ended = {"output": outcome.output}
        return f"{text}\n  {self.fence.text(ended, tokens=outcome_tokens)}"


def kind_of(star: TaskStar) -> str:
    """What kind of work a star is, in a word or two of ours and the name of its tool."""
    if isinstance(star.work, ToolCall):
        return f"tool {json.dumps(star.work.tool)}"
    return (
        "instruction" if isinstance(star.work, Prompt) else "approval" if isinstance(star.work, Approval) else "nested"
    )


def _work(star: TaskStar) -> dict[str, Any]:
    work = star.work
    if isinstance(work, ToolCall):
        return {"tool": work.tool, **({"arguments": dict(work.arguments)} if work.arguments else {})}
    if isinstance(work, Prompt):
        given = {"arguments": dict(work.arguments)} if work.arguments else {}
        wanted = {"output": dict(work.output)} if work.output else {}
        return {"instruction": work.instruction, **given, **wanted}
    return {"question": work.question} if isinstance(work, Approval) else {"nested": True}
