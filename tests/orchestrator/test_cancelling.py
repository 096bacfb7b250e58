"""What is cancelled together with its orchestrator is cancelled: it does not fail for the orchestrator's end."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from faulty_journal import FaultyJournal, install

from constellation import Approval, Orchestrator, TaskConstellation

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("call", ["create_run", "set_state", "append"])
async def test_a_submission_cancelled_with_its_orchestrator_is_no_error(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission waits for the journal whoever cancels it, and its orchestrator may have gone by then."""
    journal = FaultyJournal()
    install(monkeypatch, journal)
    graph = TaskConstellation("one")
    graph.star("gate", Approval("Go on?"))
    made = getattr(journal, call)
    with anyio.fail_after(20), anyio.CancelScope() as stopped:
        async with Orchestrator.local(1) as orchestrator:
            engine = orchestrator._book.engine

            async def interrupted(*arguments: object, **options: object) -> None:
                stopped.cancel()
                while not engine._stopped:
                    await anyio.lowlevel.checkpoint()
                await made(*arguments, **options)

            monkeypatch.setattr(journal, call, interrupted)
            await orchestrator.submit(graph)
    assert stopped.cancelled_caught
