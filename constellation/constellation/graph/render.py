"""Drawings of a graph: Mermaid, Graphviz DOT, and a tree for the terminal, in colour or as plain text.

Names come from files, models and devices, so none is trusted: what is not printable (line breaks, terminal escapes,
characters that turn the direction of text) is replaced, and what has a meaning in the format is escaped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .constellation import TaskConstellation, stars_by_state
from .line import TaskStarLine, Trigger
from .star import StarId
from .states import StarState

if TYPE_CHECKING:
    from rich.tree import Tree

MERMAID_STARS = 250
"""How many stars a Mermaid drawing shows unless told otherwise; its renderers refuse very large texts."""
MERMAID_LINES = 480
"""How many lines a Mermaid drawing shows; its renderers refuse more than 500."""
DOT_STARS = 5_000
"""How many stars a DOT drawing shows unless told otherwise."""
TREE_STARS = 200
"""How many stars a tree shows unless told otherwise."""
TREE_DEPTH = 16
"""How far a tree is indented; what is deeper stays at this depth."""
LABEL_LENGTH = 60
"""How many characters of a name or an expression are shown."""

SYMBOLS = {
    StarState.PENDING: "○",
    StarState.READY: "◔",
    StarState.ASSIGNED: "◑",
    StarState.RUNNING: "▶",
    StarState.SUCCEEDED: "✓",
    StarState.FAILED: "✗",
    StarState.CANCELLED: "⊘",
    StarState.SKIPPED: "↷",
}
"""A sign for each state, of one column."""

STYLES = {
    StarState.PENDING: "dim",
    StarState.READY: "cyan",
    StarState.ASSIGNED: "blue",
    StarState.RUNNING: "bold blue",
    StarState.SUCCEEDED: "green",
    StarState.FAILED: "bold red",
    StarState.CANCELLED: "magenta",
    StarState.SKIPPED: "yellow",
}
"""A terminal style for each state."""

_FILL = {
    StarState.PENDING: "#eeeeee",
    StarState.READY: "#d0f0f7",
    StarState.ASSIGNED: "#c7dcfa",
    StarState.RUNNING: "#90bcf5",
    StarState.SUCCEEDED: "#c4ecc7",
    StarState.FAILED: "#f7b9b5",
    StarState.CANCELLED: "#e3c8ee",
    StarState.SKIPPED: "#f8ebb4",
}
_MERMAID_SHAPE = {"tool": ('["', '"]'), "prompt": ('("', '")'), "approval": ('{"', '"}'), "nested": ('[["', '"]]')}
_DOT_SHAPE = {"tool": "box", "prompt": "ellipse", "approval": "diamond", "nested": "box3d"}
_MERMAID_PLAIN = frozenset(" _-.,:/+='!?")


def clean(text: str, length: int = LABEL_LENGTH) -> str:
    """A text that can go to a terminal: one line, printable characters only, not over `length` of them."""
    shown = "".join(char if char.isprintable() else " " if char.isspace() else "�" for char in text[: length + 1])
    return shown if len(shown) <= length else f"{shown[: length - 1]}…"


def to_mermaid(graph: TaskConstellation, *, limit: int = MERMAID_STARS) -> str:
    """A Mermaid flowchart, showing `limit` stars at most."""
    stars = graph.in_order()[:limit]
    number = {star: index for index, star in enumerate(stars)}
    text = ["flowchart TD"]
    for star in stars:
        left, right = _MERMAID_SHAPE[graph[star].work.kind]
        text.append(f"  n{number[star]}{left}{_mermaid(_title(graph, star))}{right}:::{graph.state(star)}")
    lines = _among(graph, number)
    for line in lines[:MERMAID_LINES]:
        arrow = "-.->" if line.trigger is Trigger.FAILURE else "-->"
        label = _label(line)
        shown = f'|"{_mermaid(label)}"|' if label else ""
        text.append(f"  n{number[line.source]} {arrow}{shown} n{number[line.target]}")
    rest = _rest(len(graph) - len(stars), max(0, len(lines) - MERMAID_LINES))
    if rest:
        text.append(f'  more["{_mermaid(rest)}"]')
    text += [f"  classDef {state} fill:{_FILL[state]},color:#111" for state in _states(graph, stars)]
    return "\n".join(text) + "\n"


def to_dot(graph: TaskConstellation, *, limit: int = DOT_STARS) -> str:
    """A Graphviz DOT digraph, showing `limit` stars at most."""
    stars = graph.in_order()[:limit]
    text = [f"digraph {_dot(clean(graph.name))} {{", "  node [style=filled, fontname=sans];"]
    for star in stars:
        shape, fill = _DOT_SHAPE[graph[star].work.kind], _FILL[graph.state(star)]
        text.append(f'  {_dot(star)} [label={_dot(_title(graph, star))}, shape={shape}, fillcolor="{fill}"];')
    for line in _among(graph, dict.fromkeys(stars, 0)):
        label = _label(line)
        shown = f" [label={_dot(label)}, style=dashed]" if label else ""
        text.append(f"  {_dot(line.source)} -> {_dot(line.target)}{shown};")
    rest = _rest(len(graph) - len(stars), 0)
    if rest:
        text.append(f"  {_dot(rest)} [shape=plaintext, style=solid];")
    return "\n".join([*text, "}"]) + "\n"


def to_tree(graph: TaskConstellation, *, limit: int = TREE_STARS) -> Tree:
    """A tree for rich, showing `limit` stars at most: each star once, under the last of those that it waits for."""
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(_heading(graph), style="bold"))
    branches: dict[StarId | None, Tree] = {None: root}
    stars, parents = _as_tree(graph, limit)
    for star in stars:
        label = Text(f"{_title(graph, star)}", style=STYLES[graph.state(star)])
        label.append(_notes(graph, star, parents[star]), style="dim")
        branches[star] = branches[parents[star]].add(label)
    rest = _rest(len(graph) - len(stars), 0)
    if rest:
        root.add(Text(rest, style="dim"))
    return root


def to_text(graph: TaskConstellation, *, limit: int = TREE_STARS) -> str:
    """The same tree as plain text, for pipes and logs."""
    stars, parents = _as_tree(graph, limit)
    children: dict[StarId | None, list[tuple[StarId | None, str]]] = {}
    for star in stars:
        label = _title(graph, star) + _notes(graph, star, parents[star])
        children.setdefault(parents[star], []).append((star, label))
    rest = _rest(len(graph) - len(stars), 0)
    if rest:
        children.setdefault(None, []).append((None, rest))
    text = [_heading(graph)]
    stack = _entries(children.get(None, []), "")
    while stack:
        shown, label, indent, last = stack.pop()
        text.append(f"{indent}{'└── ' if last else '├── '}{label}")
        if shown is not None:
            stack += _entries(children.get(shown, []), indent + ("    " if last else "│   "))
    return "\n".join(text) + "\n"


def _entries(items: list[tuple[StarId | None, str]], indent: str) -> list[tuple[StarId | None, str, str, bool]]:
    """What is still to be written, the first of it last."""
    end = len(items) - 1
    return [(star, label, indent, index == end) for index, (star, label) in enumerate(items)][::-1]


def _as_tree(graph: TaskConstellation, limit: int) -> tuple[list[StarId], dict[StarId, StarId | None]]:
    """The stars that are shown, in order, and under which one each of them stands."""
    stars = graph.in_order()[:limit]
    place = {star: index for index, star in enumerate(stars)}
    parents: dict[StarId, StarId | None] = {}
    depth: dict[StarId | None, int] = {None: 0}
    for star in stars:
        parent = max((line.source for line in graph.lines_into(star)), key=place.__getitem__, default=None)
        if depth[parent] == TREE_DEPTH:
            assert parent is not None
            parent = parents[parent]
        parents[star] = parent
        depth[star] = depth[parent] + 1
    return stars, parents


def _notes(graph: TaskConstellation, star: StarId, parent: StarId | None) -> str:
    """How a star's lines are met, where that is not plainly by the success of the star that it stands under."""
    notes = []
    for line in graph.lines_into(star):
        label = _label(line)
        if line.source != parent:
            notes.append(f"after {line.source}{f' ({label})' if label else ''}")
        elif label:
            notes.append(label if line.when is not None else f"on {label}")
    more = f", and {len(notes) - 4} more" if len(notes) > 4 else ""
    return f"  [{', '.join(notes[:4])}{more}]" if notes else ""


def _heading(graph: TaskConstellation) -> str:
    states = ", ".join(f"{count} {state}" for state, count in stars_by_state(graph).items())
    return f"{clean(graph.name)} ({states or 'no stars'})"


def _title(graph: TaskConstellation, star: StarId) -> str:
    return f"{SYMBOLS[graph.state(star)]} {clean(graph[star].title)}"


def _label(line: TaskStarLine) -> str:
    if line.when is not None:
        return f"when {clean(line.when)}"
    return "" if line.trigger is Trigger.SUCCESS else line.trigger.value


def _among(graph: TaskConstellation, stars: dict[StarId, int]) -> list[TaskStarLine]:
    """The lines between stars that are shown."""
    return [line for star in stars for line in graph.lines_from(star) if line.target in stars]


def _states(graph: TaskConstellation, stars: list[StarId]) -> list[StarState]:
    present = {graph.state(star) for star in stars}
    return [state for state in StarState if state in present]


def _rest(stars: int, lines: int) -> str:
    parts = [f"{count:,} more {what}" for count, what in ((stars, "stars"), (lines, "lines")) if count]
    return f"… and {' and '.join(parts)}" if parts else ""


def _mermaid(text: str) -> str:
    """Text for inside of Mermaid's quotes: ASCII signs that could mean something are written by number."""
    return "".join(
        char if char.isalnum() or char in _MERMAID_PLAIN or ord(char) > 127 else f"#{ord(char)};" for char in text
    )


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
