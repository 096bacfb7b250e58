"""Sharing: what is stored is there for all who open the store, and two who write to it do not harm each other."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from ...journal import Journal, RunBusy, RunExists, RunNotFound, SequenceConflict
from .store import OpenStore, StoreChecks, numbered, read_all


class SharingChecks(StoreChecks):
    """Two orchestrators, each of which has opened the same store."""

    @pytest.fixture
    async def other(self, open_store: OpenStore, anyio_backend: object) -> AsyncIterator[Journal]:
        """The same store, opened once more."""
        async with open_store() as opened:
            yield opened

    async def test_what_was_stored_is_there_when_the_store_is_opened_again(self, open_store: OpenStore) -> None:
        async with open_store() as journal:
            await journal.create_run("r1", name="x", at=1.0, info={"a": [1]})
            await journal.append(numbered("r1", 1, 5))
            await journal.set_state("r1", "running", at=2.0)
            await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
            summary = await journal.run("r1")
        async with open_store() as journal:
            assert await journal.run("r1") == summary
            assert await read_all(journal, "r1") == numbered("r1", 1, 5)
            with pytest.raises(RunBusy, match="held by one"):
                await journal.acquire("r1", owner="two", at=105.0, lease_s=10.0)
            await journal.append(numbered("r1", 6, 6))

    async def test_what_one_has_stored_the_other_sees(self, journal: Journal, other: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 3))
        assert await read_all(other, "r1") == numbered("r1", 1, 3)
        await other.set_state("r1", "running", at=200.0)
        assert [summary.state for summary in await journal.runs()] == ["running"]

    async def test_an_id_is_taken_for_both(self, journal: Journal, other: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        with pytest.raises(RunExists):
            await other.create_run("r1", name="y", at=1.0)

    async def test_one_of_two_gets_the_lease(self, journal: Journal, other: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        got: list[str] = []

        async def take(store: Journal, owner: str) -> None:
            try:
                await store.acquire("r1", owner=owner, at=100.0, lease_s=10.0)
            except RunBusy:
                return
            got.append(owner)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, journal, "one")
            tasks.start_soon(take, other, "two")
        assert len(got) == 1

    async def test_a_writer_that_has_lost_its_run_is_refused_and_learns_what_comes_next(
        self, journal: Journal, other: Journal
    ) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 2))
        await other.append(numbered("r1", 3, 4))
        with pytest.raises(SequenceConflict) as caught:
            await journal.append(numbered("r1", 3, 3))
        assert (caught.value.expected, caught.value.got) == (5, 3)
        assert await read_all(journal, "r1") == numbered("r1", 1, 4)
        await journal.append(numbered("r1", 5, 5))

    async def test_a_lost_run_does_not_harm_what_is_appended_to_others_beside_it(
        self, journal: Journal, other: Journal
    ) -> None:
        for run in ("lost", "kept"):
            await journal.create_run(run, name="x", at=1.0)
            await journal.append(numbered(run, 1, 1))
        await other.append(numbered("lost", 2, 2))
        refused: list[int] = []

        async def write_on() -> None:
            try:
                await journal.append(numbered("lost", 2, 2))
            except SequenceConflict as conflict:
                refused.append(conflict.expected)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_on)
            tasks.start_soon(journal.append, numbered("kept", 2, 9))
        assert refused == [3]
        assert await read_all(other, "kept") == numbered("kept", 1, 9)

    async def test_both_may_write_to_one_run_in_turns(self, journal: Journal, other: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        for seq in range(1, 8):
            await (journal if seq % 2 else other).append(numbered("r1", seq, seq))
        assert await read_all(journal, "r1") == numbered("r1", 1, 7)

    async def test_a_run_that_the_other_has_removed_is_gone_and_may_begin_anew(
        self, journal: Journal, other: Journal
    ) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 5))
        await other.delete("r1")
        with pytest.raises(RunNotFound):
            await journal.append(numbered("r1", 6, 6))
        await other.create_run("r1", name="again", at=2.0)
        with pytest.raises(SequenceConflict) as caught:
            await journal.append(numbered("r1", 6, 6))
        assert caught.value.expected == 1
        await journal.append(numbered("r1", 1, 1))
        assert await read_all(other, "r1") == numbered("r1", 1, 1)
