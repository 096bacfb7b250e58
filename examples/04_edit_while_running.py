"""Edit while running: what a star has found decides what else is to be done.

An edit is a batch that applies whole or not at all. It may add stars, change or remove what has not begun, and cancel
what runs; it never touches what has been given to a device.

    python examples/04_edit_while_running.py
"""

import anyio

from constellation import EditRejected, Orchestrator, TaskConstellation
from constellation.orchestrator.events import GraphEdited, StarSettled
from constellation_tools import tool


@tool
def survey(area: str) -> list[str]:
    """Find the places of an area that are worth a visit."""
    return [f"{area} {number}" for number in range(1, 4)]


@tool
def visit(place: str) -> int:
    """Visit a place and say how many letters its name has."""
    return len(place.replace(" ", ""))


@tool
async def sign_off(visits: int) -> str:
    """Take the time that is needed for the graph to be edited meanwhile, then close."""
    await anyio.sleep(0.2)
    return f"signed off, with {visits} visits expected"


async def main() -> None:
    c = TaskConstellation("expedition")
    found = c.star("survey", survey, area="harbour")
    c.star("sign off", sign_off, visits=3, after=[found])

    async with Orchestrator.local(devices=2) as orchestrator:
        run = await orchestrator.submit(c)
        async for event in run.events():
            if isinstance(event, StarSettled) and event.star == "survey":
                edit = (await run.graph()).edit(author="example", reason="the survey found places")
                for place in event.output:
                    edit.star(f"visit {place}", visit, arguments={"place": place})
                await run.edit(edit)
                # What has begun, or has ended, can't be changed any more.
                late = (await run.graph()).edit()
                late.update("survey", name="another survey")
                try:
                    await run.edit(late)
                except EditRejected as error:
                    print(f"rejected: {error}")
            elif isinstance(event, GraphEdited):
                print(f"version {event.version}, because {event.reason}: added {', '.join(event.added)}")
        result = await run.result()
    for star, output in sorted(result.items()):
        print(f"{star}: {output}")


if __name__ == "__main__":
    anyio.run(main)
