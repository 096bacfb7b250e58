"""A survey as a picture: a bar per case and peer, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path

from .subjects import CaseName
from .survey import Survey

SUFFIXES = (".png", ".svg")

_COLOURS = {CaseName.IN_PROCESS: "tab:blue", CaseName.JOURNALED: "tab:orange", CaseName.WEBSOCKET: "tab:green"}


def draw(survey: Survey, file: Path) -> None:
    """Write the picture, in the format of the file's suffix.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file can't be written.
    """
    from matplotlib.figure import Figure

    bars = [
        (figures.name, figures.cpu_us_per_star, name, True)
        for name in _COLOURS
        for figures in survey.cases
        if figures.name == name
    ]
    bars += [(peer.name, figures.cpu_us_per_star, peer.against, False) for peer, figures in survey.peers]
    order = list(_COLOURS)
    bars.sort(key=lambda bar: (order.index(bar[2]), not bar[3], bar[1]))
    picture = Figure(figsize=(8, 1 + 0.35 * len(bars)), layout="constrained")
    axes = picture.add_subplot()
    shown = axes.barh(
        [name for name, *_ in bars],
        [cost for _, cost, *_ in bars],
        color=[_COLOURS[against] for *_, against, _ in bars],
        hatch=["" if ours else "///" for *_, ours in bars],
        edgecolor="white",
    )
    axes.bar_label(shown, fmt="{:,.0f}", padding=3)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel("CPU time per star in µs, all processes; hatched: peers, in the colour of what they compare to")
    picture.savefig(file)
