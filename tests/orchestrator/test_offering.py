"""Names of functions: each stands for one function at a time, and never silently for another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from constellation import Orchestrator, TaskConstellation
from constellation.orchestrator.errors import NameTaken
from constellation_tools import tool

pytestmark = pytest.mark.anyio


def returning(value: int) -> Callable[[], int]:
    def work() -> int:
        """Return the value."""
        return value

    return work


def one_star(work: Callable[..., object]) -> TaskConstellation:
    graph = TaskConstellation("one")
    graph.star("s", work)
    return graph


async def test_a_later_function_of_the_same_name_takes_its_place() -> None:
    async with Orchestrator.local(devices=2) as orchestrator:
        with anyio.fail_after(30):
            for value in (1, 2, 1):
                assert await (await orchestrator.submit(one_star(returning(value)))).result() == {"s": value}


async def test_while_a_run_may_need_the_first_another_of_its_name_is_refused(tmp_path: Path) -> None:
    gate = anyio.Event()

    async def work() -> int:
        """Wait for the gate."""
        await gate.wait()
        return 1

    async with Orchestrator.local(devices=1) as orchestrator:
        run = await orchestrator.submit(one_star(work))
        with pytest.raises(NameTaken, match=r"'work' .* @tool\(name=…\)"):
            await orchestrator.submit(one_star(returning(2)))
        again = await orchestrator.submit(one_star(work))  # the same function is no other
        gate.set()
        with anyio.fail_after(30):
            assert [await run.result(), await again.result()] == [{"s": 1}, {"s": 1}]


async def test_a_function_with_the_name_of_a_built_in_tool_is_refused() -> None:
    def files_read() -> int:
        """Pretend to read."""
        return 1

    async with Orchestrator.local(devices=1) as orchestrator:
        with pytest.raises(NameTaken, match="'files_read'"):
            await orchestrator.submit(one_star(files_read))


async def test_a_tool_given_to_the_devices_may_be_used_as_work() -> None:
    @tool
    def mine() -> int:
        """Return a number."""
        return 7

    async with Orchestrator.local(devices=1, tools=[mine]) as orchestrator:
        with anyio.fail_after(30):
            assert await (await orchestrator.submit(one_star(mine))).result() == {"s": 7}
