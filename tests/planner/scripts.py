"""What scripted models say in the planner's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from constellation.testing.models import Called, Reply, Used

TOOLS = Path(__file__).with_name("parts_tools.py")
PARTS = ("wheel", "axle", "spring", "hub", "bolt")
REQUEST = "Measure the wheel, the axle, the spring, the hub and the bolt, and add up what comes out."
ANSWER = "Together they measure 22."


def call(name: str, **arguments: Any) -> Called:
    return Called(name, arguments)


def said(*calls: Called, prompt: int = 900, completion: int = 120) -> Reply:
    return Reply(calls=calls, usage=Used(prompt, completion))


def measuring(mark: Path, *, fails: str = "spring") -> list[Called]:
    """A plan of six stars, five of which run at once; one of them fails the first time."""
    stars = [
        call(
            "add_star",
            id=f"measure-{part}",
            tool="measure",
            arguments={"part": part, **({"fails_once": str(mark)} if part == fails else {})},
        )
        for part in PARTS
    ]
    found = [{"$ref": f"measure-{part}"} for part in PARTS]
    return [*stars, call("add_star", id="total", tool="add_up", arguments={"found": found})]


def plan(mark: Path, *, fails: str = "spring") -> Reply:
    return said(*measuring(mark, fails=fails), call("finish", reason="all parts at once, then the sum"), completion=400)


def retry(star: str = "measure-spring") -> Reply:
    return said(call("retry", star=star), call("finish", reason="the gauge may not slip off elsewhere"))
