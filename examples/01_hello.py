"""Hello: two functions become a graph, the graph runs on two devices in this process.

python examples/01_hello.py
"""

import anyio

from constellation import Orchestrator, TaskConstellation
from constellation_tools import tool


@tool
def count_words(text: str) -> int:
    """Count the words of a text."""
    return len(text.split())


@tool
def add(numbers: list[int]) -> int:
    """Add numbers up."""
    return sum(numbers)


async def main() -> None:
    verses = ["a rose is a rose is a rose", "the owl and the pussycat", "so much depends upon"]

    c = TaskConstellation("hello")
    counts = [c.star(f"count {number}", count_words, text=verse) for number, verse in enumerate(verses)]
    c.star("total", add, numbers=[count.output for count in counts])  # what is referred to is waited for

    async with Orchestrator.local(devices=2) as orchestrator:
        run = await orchestrator.submit(c)
        async for event in run.events():
            print(event.event, getattr(event, "star", ""))
        result = await run.result()
    print(f"total: {result['total']} words")


if __name__ == "__main__":
    anyio.run(main)
