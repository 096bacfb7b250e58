"""Approval: a star that waits for a person. It holds no device meanwhile, and the answer goes into the journal.

python examples/03_approval.py          # asks at the terminal
python examples/03_approval.py --yes    # says yes by itself
"""

import sys

import anyio
import anyio.to_thread

from constellation import Approval, Orchestrator, TaskConstellation
from constellation.orchestrator.events import ApprovalRequested
from constellation_tools import tool


@tool
def plan_cleanup() -> list[str]:
    """Find what could be removed."""
    return ["build/", "old.log"]


@tool
def remove(paths: list[str]) -> str:
    """Remove what was approved (this example only says so)."""
    return f"removed {', '.join(paths)}"


async def main(always_yes: bool) -> None:
    c = TaskConstellation("cleanup")
    plan = c.star("plan", plan_cleanup)
    gate = c.star("gate", Approval("Remove these files?"), paths=plan.output, timeout_s=300)
    c.star("remove", remove, paths=plan.output, after=[gate])

    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(c)
        async for event in run.events():
            if isinstance(event, ApprovalRequested):
                print(event.question, *event.arguments["paths"])
                yes = always_yes or await anyio.to_thread.run_sync(input, "yes or no? ") == "yes"
                await run.approve(event.star, yes, by="the person at this terminal")
        report = await run.wait()
    print(f"{report.state}: {report.outputs}")


if __name__ == "__main__":
    anyio.run(main, "--yes" in sys.argv)
