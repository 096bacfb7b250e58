"""Artifacts: files that travel with the graph, from the device that makes one to the devices that need it.

The devices are processes of their own, so the tools are named, not given: `file.py:attr` is how another process finds
them. This file is that file.

    python examples/07_artifacts.py
"""

import csv
import io
from pathlib import Path

import anyio

from constellation import DeviceSpec, Orchestrator, TaskConstellation
from constellation_tools import Artifact, ToolContext, tool

THIS_FILE = Path(__file__).resolve()


@tool(idempotent=True)
def make_table(rows: int, context: ToolContext) -> Artifact:
    """Write a table of squares to a file."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number in range(rows):
        writer.writerow([number, number * number])
    context.progress(f"wrote {rows} rows", fraction=1.0)
    return context.artifact(text.getvalue().encode(), name="squares.csv", media_type="text/csv")


@tool(idempotent=True)
def sum_column(table: Artifact, column: int) -> int:
    """Add up a column of a table; the file has been brought here before the call."""
    with table.path.open(newline="") as file:
        return sum(int(row[column]) for row in csv.reader(file))


async def main() -> None:
    c = TaskConstellation("squares")
    table = c.star("make table", "make_table", rows=1000, device="maker")
    c.star("sum", "sum_column", table=table.output, column=1, device="counter")

    tools = (f"{THIS_FILE}:make_table", f"{THIS_FILE}:sum_column")
    devices = [DeviceSpec("maker", tools=tools), DeviceSpec("counter", tools=tools)]
    async with Orchestrator.local(devices, kind="process") as orchestrator:
        run = await orchestrator.submit(c)
        report = await run.wait()
    for row in report.rows:
        print(f"{row.id}: {row.state} on {row.device} {row.error or ''}".rstrip())
    print(f"the squares add up to {report.outputs['sum']}")


if __name__ == "__main__":
    anyio.run(main)
