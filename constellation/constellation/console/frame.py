"""One picture of a run, made to fit a screen of any size: counts, a lane per device, and the end of the log."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Group
from rich.text import Text

from .formatting import counted, duration
from .output import style_of
from .sanitise import visible
from .view_model import Lane, RunView, Work

LOG_SHARE = 3
"""The log gets at least one part in this many of the lines below the head, when there is a log."""

STARS_IN_LANE = 4
"""How many stars of a device are named in its lane."""

_BAR = (("succeeded", "green"), ("failed", "red"), ("cancelled", "yellow"), ("skipped", "yellow"), ("running", "cyan"))
_REST = "bright_black"


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and lines of a screen."""

    width: int
    height: int


def draw(view: RunView, *, now: float, size: Size) -> Group:
    """The picture, never wider or higher than the screen.

    Args:
        view: What is known of the run.
        now: The time, on the clock of the events.
        size: The screen.
    """
    head = _head(view, now, size.width)
    room = max(size.height - len(head), 0)
    log_room = min(len(view.log), max(room // LOG_SHARE, 1))
    lanes = _lanes(view, now, max(room - log_room - 1, 0))
    log = _log(view, room - len(lanes) - 1)
    lines = [*head, *lanes, *([Text("")] if log else []), *log][: size.height]
    for line in lines:
        line.no_wrap = True
        line.truncate(size.width, overflow="ellipsis")
    return Group(*lines)


def _head(view: RunView, now: float, width: int) -> list[Text]:
    elapsed = duration(now - view.started_at) if view.started_at is not None else "0 s"
    title = Text.assemble((visible(view.name) or "…", "bold"), f"  {visible(view.run)}  ", (view.state, "cyan"))
    title.append(f"  {elapsed}", style="dim")
    if view.edits:
        title.append(f"  {counted(view.edits, 'edit')}", style="magenta")
    lines = [title, _bar(view, width), _counts(view)]
    for star, question in list(view.questions.items())[:2]:
        lines.append(Text(f"waits for approval: {visible(star)}: {question}", style="bold yellow"))
    return [*lines, Text("")]


def _bar(view: RunView, width: int) -> Text:
    """A bar of the width of the screen; whatever there is one of gets a place in it, if there is any room."""
    columns = max(min(width, 100), 1)
    bar = Text()
    done = 0
    for state, style in _BAR:
        count = view.counts.get(state, 0)
        if count and view.total:
            share = min(max(round(columns * count / view.total), 1), columns - done)
            bar.append("━" * share, style=style)
            done += share
    return bar.append("━" * (columns - done), style=_REST)


def _counts(view: RunView) -> Text:
    text = Text(f"{counted(view.total, 'star')}: ")
    for state, style in (*_BAR, ("assigned", "cyan")):
        count = view.counts.get(state, 0)
        if count:
            text.append(f"{count:,} {state}", style=style).append(" · ", style="dim")
    return text.append(f"{view.waiting:,} waiting", style="dim")


def _lanes(view: RunView, now: float, room: int) -> list[Text]:
    lanes = list(view.lanes.values())
    if len(lanes) > room:
        # With more devices than lines, those that do something or have gone say more than those that rest.
        lanes.sort(key=lambda lane: (lane.here and not lane.work, -len(lane.work)))
    shown = lanes if len(lanes) <= room else lanes[: max(room - 1, 0)]
    width = max((len(lane.device) for lane in shown), default=0)
    lines = [_lane(lane, now, min(width, 24)) for lane in shown]
    if len(shown) < len(lanes) and room:
        lines.append(Text(f"… and {counted(len(lanes) - len(shown), 'more device')}", style="dim"))
    return lines


def _lane(lane: Lane, now: float, width: int) -> Text:
    name = visible(lane.device, limit=width).ljust(width)
    if not lane.here:
        return Text.assemble((f"✗ {name} ", "red"), ("gone", "red"), (f"  {lane.done:,} done", "dim"))
    mark, style = ("●", "cyan") if lane.work else ("○", "dim")
    text = Text.assemble((f"{mark} {name} ", style), (f"{len(lane.work)}/{lane.slots}", style))
    text.append(f" {lane.done:>5,} done", style="dim")
    if lane.failed:
        text.append(f" {lane.failed:,} failed", style="red")
    for number, work in enumerate(lane.work.values()):
        if number == STARS_IN_LANE:
            text.append(f"  +{len(lane.work) - STARS_IN_LANE:,}", style="dim")
            break
        text.append("  ").append_text(_work(work, now))
    return text


def _work(work: Work, now: float) -> Text:
    text = Text(visible(work.star, limit=32), style="" if work.begun else "dim")
    text.append(f" {duration(now - work.since)}", style="dim")
    if work.fraction is not None:
        text.append(f" {min(max(work.fraction, 0.0), 1.0):.0%}", style="cyan")
    return text


def _log(view: RunView, room: int) -> list[Text]:
    if room <= 0:
        return []
    tail = list(view.log)[-room:]
    start = view.started_at or 0.0
    return [
        Text.assemble((f"{at - start:7.1f} s  ", "dim"), (line.text, style_of(line.tone) or "none"))
        for at, line in tail
    ]
