"""Functions given as work in an edit of a running graph are offered to the devices of the process, as at submission."""

import anyio
import pytest

from constellation import (
    AdmissionRefused,
    EditBuilder,
    Orchestrator,
    Review,
    TaskConstellation,
)
from constellation.orchestrator.errors import DeviceUnsuited
from constellation_tools import Artifact, ToolContext

pytestmark = pytest.mark.anyio


def first() -> int:
    """Be the star that is there from the beginning."""
    return 1


def second(number: int) -> int:
    """Be the star that an edit adds."""
    return number + 1


async def test_a_function_in_an_edit_runs_though_no_device_offered_it_before() -> None:
    graph = TaskConstellation("edited")
    graph.star("first", first)
    gate = anyio.Event()

    async def hold(review: Review) -> None:
        await gate.wait()

    with anyio.fail_after(30):
        async with Orchestrator.local(devices=2, planner=hold) as orchestrator:
            run = await orchestrator.submit(graph)
            edit = (await run.graph()).edit()
            edit.star("second", second, number=41)
            await run.edit(edit)
            gate.set()
            assert (await run.result())["second"] == 42


async def test_a_planner_may_add_stars_whose_work_is_a_function() -> None:
    graph = TaskConstellation("planned")
    graph.star("first", first)

    def plan(review: Review) -> EditBuilder | None:
        if review.star.id != "first":
            return None
        edit = review.edit("there is more to do")
        edit.star("second", second, number=review.outcome.output, after=["first"])
        return edit

    with anyio.fail_after(30):
        async with Orchestrator.local(devices=1, planner=plan) as orchestrator:
            run = await orchestrator.submit(graph)
            assert await run.result() == {"second": 2}


@pytest.mark.e2e
async def test_a_function_in_an_edit_is_refused_where_devices_live_in_other_processes() -> None:
    graph = TaskConstellation("apart")
    graph.star("first", "python_run", code="import time; time.sleep(30)")
    with anyio.fail_after(60):
        async with Orchestrator.local(devices=1, kind="process") as orchestrator:
            run = await orchestrator.submit(graph)
            edit = (await run.graph()).edit()
            edit.star("second", second, number=1)
            with pytest.raises(DeviceUnsuited, match=r"'second'.*tools=\['module:attr'\]"):
                await run.edit(edit)
            assert "second" not in await run.graph()


def make(context: ToolContext) -> Artifact:
    """Make a file."""
    return context.artifact(b"content", name="file.txt", media_type="text/plain")


def read(file: Artifact) -> str:
    """Read a file."""
    return file.path.read_text()


async def test_an_argument_that_is_wholly_a_reference_is_taken_to_fit_an_object_schema() -> None:
    graph = TaskConstellation("referring")
    made = graph.star("make", make)
    graph.star("read", read, file=made.output)
    with anyio.fail_after(30):
        async with Orchestrator.local(devices=1) as orchestrator:
            assert await (await orchestrator.submit(graph)).result() == {"read": "content"}


async def test_an_object_that_only_holds_a_reference_is_still_checked_for_its_shape() -> None:
    graph = TaskConstellation("misshapen")
    made = graph.star("make", make)
    graph.star("read", read, file={"name": made.output})
    with anyio.fail_after(30):
        async with Orchestrator.local(devices=1) as orchestrator:
            with pytest.raises(AdmissionRefused, match="file"):
                await orchestrator.submit(graph)
