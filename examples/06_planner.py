"""Planner: code that looks at every star that ends, and may edit the graph before anything goes on from there.

While it looks, only what waits for that star is held. Here it looks for a number by halving: each guess that was
wrong leads to the next one, and the star that announces the result waits for whichever guess was right.

    python examples/06_planner.py
"""

import anyio

from constellation import EditBuilder, Orchestrator, Review, StarState, TaskConstellation
from constellation_tools import tool

SECRET = 37


@tool(idempotent=True)
def guess(low: int, high: int) -> dict[str, int]:
    """Try the number in the middle: `direction` is 0 when it is right."""
    middle = (low + high) // 2
    return {"low": low, "high": high, "guess": middle, "direction": (middle < SECRET) - (middle > SECRET)}


@tool(idempotent=True)
def announce(numbers: list[int]) -> str:
    """Say what the number is."""
    return f"it is {numbers[-1]}, found in {len(numbers)} guesses"


def halve(review: Review) -> EditBuilder | None:
    """Add the next guess, or, after the right one, the announcement."""
    if review.state is not StarState.SUCCEEDED or review.star.name != "guess":
        return None
    found = review.outcome.output
    edit = review.edit(f"{found['guess']} was tried")
    if found["direction"] == 0:
        graph = review.graph
        guesses = [outcome.output["guess"] for star in graph if (outcome := graph.outcome(star)) is not None]
        edit.star("announce", announce, numbers=guesses, after=[review.star.id])
    elif found["direction"] > 0:
        edit.star("guess", guess, low=found["guess"] + 1, high=found["high"], after=[review.star.id])
    else:
        edit.star("guess", guess, low=found["low"], high=found["guess"] - 1, after=[review.star.id])
    return edit


async def main() -> None:
    c = TaskConstellation("halving")
    c.star("guess", guess, low=1, high=100)

    async with Orchestrator.local(devices=1, planner=halve) as orchestrator:
        run = await orchestrator.submit(c)
        report = await run.wait()
    for row in report.rows:
        print(f"{row.id}: {row.state}")
    print(report.outputs["announce"])


if __name__ == "__main__":
    anyio.run(main)
