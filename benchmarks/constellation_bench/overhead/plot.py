"""A survey as a picture: a bar per case and peer, on a logarithmic axis."""

from __future__ import annotations

from pathlib import Path

from .subjects import CaseName
from .survey import Survey

SUFFIXES = (".png", ".svg")

_COLOURS = {
    CaseName.IN_PROCESS: "tab:blue",
    CaseName.JOURNALED: "tab:orange",
    CaseName.JOURNALED_POSTGRES: "tab:red",
    CaseName.WEBSOCKET: "tab:green",
    CaseName.EDIT_MIDDLE: "tab:gray",
    CaseName.EDIT_BATCH: "tab:gray",
}


def draw(survey: Survey, file: Path) -> None:
    """Write the picture, in the format of the file's suffix.

    Raises:
        ImportError: matplotlib is not installed.
        OSError: the file can't be written.
    """
    from matplotlib.figure import Figure

    ours = [(CaseName(figures.name), figures, "") for figures in survey.cases]
    theirs = [(peer.against, figures, "///") for peer, figures in survey.peers]
    order = list(CaseName)
    bars = sorted(ours + theirs, key=lambda bar: (order.index(bar[0]), bar[2], bar[1].cpu_us_per_star))
    picture = Figure(figsize=(8, 1 + 0.35 * len(bars)), layout="constrained")
    axes = picture.add_subplot()
    shown = axes.barh(
        [figures.name for _, figures, _ in bars],
        [figures.cpu_us_per_star for _, figures, _ in bars],
        color=[_COLOURS[case] for case, _, _ in bars],
        hatch=[hatch for *_, hatch in bars],
        edgecolor="white",
    )
    for number, (_, figures, _) in enumerate(bars):
        if figures.server_cpu_us_per_star:
            axes.barh(
                number, figures.server_cpu_us_per_star, left=figures.client_cpu_us_per_star, color="black", alpha=0.3
            )
    axes.bar_label(shown, fmt="{:,.3g}", padding=3)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.set_xlabel(
        "CPU time per star in µs, all processes (grey: per edit)\n"
        "hatched: peers, in the colour of our case; dark: the database's server"
    )
    picture.savefig(file)
