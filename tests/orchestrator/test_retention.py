"""Removing old runs: which ones, how completely, and what stays."""

from __future__ import annotations

import pytest

from constellation.journal import INITIAL_STATE, Journal, Record
from constellation.journal.memory import MemoryJournal
from constellation.orchestrator.retention import compact, expired, families, remove

pytestmark = pytest.mark.anyio


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


async def add(journal: Journal, run: str, state: str, *, at: float, parent: str | None = None, events: int = 1) -> None:
    await journal.create_run(run, name=run, at=at, parent=parent)
    await journal.append([Record(run, seq, at, "k", b"{}") for seq in range(1, events + 1)])
    if state != INITIAL_STATE:
        await journal.set_state(run, state, at=at)


async def found(journal: Journal, **options: float) -> list[str]:
    return [family.top.run for family in await expired(journal, before=100.0, **options)]  # type: ignore[arg-type]


async def test_runs_that_ended_before_an_instant_are_expired(journal: MemoryJournal) -> None:
    for at, state in ((1.0, "succeeded"), (2.0, "failed"), (3.0, "cancelled"), (4.0, "running"), (5.0, INITIAL_STATE)):
        await add(journal, state, state, at=at)
    await add(journal, "young", "succeeded", at=100.0)
    assert await found(journal) == ["cancelled", "failed", "succeeded"]


async def test_the_newest_runs_are_kept_and_count_whatever_their_state(journal: MemoryJournal) -> None:
    for n, state in enumerate(["succeeded", "succeeded", "running", "succeeded"]):
        await add(journal, f"r{n}", state, at=float(n))
    assert await found(journal, keep=1) == ["r1", "r0"]
    assert await found(journal, keep=3) == ["r0"]
    assert await found(journal, keep=9) == []


async def test_a_run_stays_while_one_nested_in_it_is_young_or_has_not_ended(journal: MemoryJournal) -> None:
    for outer in ("done", "young", "going-on", "half-begun"):
        await add(journal, outer, "succeeded", at=1.0)
    await add(journal, "done:a", "succeeded", at=1.0, parent="done")
    await add(journal, "young:a", "failed", at=1.0, parent="young")
    await add(journal, "young:a:b", "succeeded", at=150.0, parent="young:a")
    await add(journal, "going-on:a", INITIAL_STATE, at=1.0, parent="going-on")
    await add(journal, "half-begun:a", INITIAL_STATE, at=1.0, parent="half-begun", events=0)
    assert sorted(await found(journal)) == ["done", "half-begun"]


async def test_a_run_goes_with_all_that_is_nested_in_it_and_nothing_else(journal: MemoryJournal) -> None:
    await add(journal, "kept", "succeeded", at=1.0)
    await add(journal, "gone", "succeeded", at=2.0)
    await add(journal, "gone:a", "succeeded", at=2.0, parent="gone")
    await add(journal, "gone:a:b", "succeeded", at=2.0, parent="gone:a")
    family = (await families(journal))[0]
    assert [member.run for member in family.members] == ["gone", "gone:a", "gone:a:b"]
    assert await remove(journal, family, owner="me", at=200.0)
    assert [summary.run for summary in await journal.runs()] == ["kept"]
    assert not await remove(journal, family, owner="me", at=200.0), "somebody else was faster"


async def test_a_run_that_somebody_has_claimed_stays(journal: MemoryJournal) -> None:
    await add(journal, "r", "succeeded", at=1.0)
    (family,) = await families(journal)
    await journal.acquire("r", owner="another-host/1/1", at=199.0, lease_s=10.0)
    assert not await remove(journal, family, owner="me", at=200.0)
    assert await remove(journal, family, owner="me", at=210.0)


async def test_what_is_cut_off_in_the_middle_is_found_again(
    journal: MemoryJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(journal, "r", "succeeded", at=1.0)
    await add(journal, "r:a", "succeeded", at=1.0, parent="r")
    await add(journal, "r:a:b", "succeeded", at=1.0, parent="r:a")
    delete = journal.delete

    async def cut_off(run: str) -> None:
        if run == "r:a":
            raise KeyboardInterrupt
        await delete(run)

    monkeypatch.setattr(journal, "delete", cut_off)
    (family,) = await families(journal)
    with pytest.raises(KeyboardInterrupt):
        await remove(journal, family, owner="me", at=200.0)
    monkeypatch.setattr(journal, "delete", delete)
    (family,) = await expired(journal, before=100.0)
    assert [member.run for member in family.members] == ["r", "r:a"]
    assert await remove(journal, family, owner="me", at=201.0)
    assert await journal.runs() == []


async def test_a_journal_in_which_a_run_is_going_on_is_not_compacted(journal: MemoryJournal) -> None:
    assert await compact(journal)
    await add(journal, "r", "running", at=1.0)
    assert not await compact(journal)
