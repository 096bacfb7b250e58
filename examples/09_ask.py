"""Asking: a model plans a request, the devices carry it out, the model mends what failed, and answers.

The model here is a script behind a real HTTP server, so the example needs no key and costs nothing. With a model of
your own, leave the server out and give its name: `model="openai/gpt-5"`.

    python examples/09_ask.py
"""

import anyio

from constellation import AskOptions, Budget, EditPolicy, Orchestrator
from constellation.planner import Remark, Thinking
from constellation.testing.models import Called, ModelServer, Reply
from constellation_tools import ToolFailed, tool

REQUEST = "How many people live in Oslo, Bergen and Stavanger together?"


@tool(idempotent=True)
def population(city: str) -> int:
    """How many people live in a city.

    Args:
        city: Its name.
    """
    asked.append(city)
    if city == "Bergen" and asked.count(city) == 1:
        raise ToolFailed("the register of Bergen does not answer")
    return {"Oslo": 717_710, "Bergen": 291_940, "Stavanger": 149_048}[city]


@tool(idempotent=True)
def add_up(numbers: list[int]) -> int:
    """Add numbers up."""
    return sum(numbers)


asked: list[str] = []

CITIES = ("Oslo", "Bergen", "Stavanger")
PLAN = Reply(
    calls=(
        *(Called("add_star", {"id": city, "tool": "population", "arguments": {"city": city}}) for city in CITIES),
        Called(
            "add_star",
            {"id": "sum", "tool": "add_up", "arguments": {"numbers": [{"$ref": city} for city in CITIES]}},
        ),
        Called("finish", {"reason": "the cities at once, then the sum"}),
    )
)
EDIT = Reply(
    calls=(Called("retry", {"star": "Bergen"}), Called("finish", {"reason": "another device may reach the register"}))
)
ANSWER = "1,158,698 people live in the three cities."


def show(shown: Remark | Thinking) -> None:
    if isinstance(shown, Remark):
        print(f"{shown.kind}: {shown.text}")
    elif shown.star:
        print(f"  names {shown.star}")


async def main() -> None:
    options = AskOptions(edits=EditPolicy("failure"), budget=Budget(calls=10))
    async with (
        ModelServer([PLAN, EDIT, ANSWER]) as server,
        Orchestrator.local(devices=3, tools=[population, add_up]) as orchestrator,
        orchestrator.asking(REQUEST, model=server.model, options=options, progress=show) as request,
    ):
        answer = await request.answer()
    print(answer.report.outputs)
    print(answer.text)


if __name__ == "__main__":
    anyio.run(main)
