"""Records: how they are appended and read, one caller or many, up to the end of the journal."""

from __future__ import annotations

import anyio
import pytest

from ...journal import MAX_BODY_BYTES, Journal, JournalClosed, Record, RecordTooLarge, RunNotFound, SequenceConflict
from .store import StoreChecks, numbered, read_all


class RecordChecks(StoreChecks):
    """Records: how they are appended and read, one caller or many, up to the end of the journal."""

    async def test_records_come_back_as_they_were_written(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        written = [
            Record("r1", 1, 1.25, "start", b'{"a": 1}'),
            Record("r1", 2, 0.5, "odd \x00 kind", '{"é": "\U0001f680"}'.encode()),
            Record("r1", 3, -1e300, "", b"\x00\xff not even JSON"),
            Record("r1", 4, 4.0, "empty", b""),
        ]
        await journal.append(written[:1])
        await journal.append(written[1:])
        assert await read_all(journal, "r1") == written

    async def test_reading_starts_behind_a_number(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 9))
        assert await read_all(journal, "r1", after=6) == numbered("r1", 7, 9)
        assert await read_all(journal, "r1", after=9) == []
        assert await read_all(journal, "r1", after=50) == []
        assert len(await read_all(journal, "r1", after=-3)) == 9

    async def test_a_run_longer_than_any_page_is_read_whole(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 1700))
        assert await read_all(journal, "r1") == numbered("r1", 1, 1700)
        assert await read_all(journal, "r1", after=1199) == numbered("r1", 1200, 1700)

    async def test_appending_nothing_is_nothing(self, journal: Journal) -> None:
        await journal.append([])
        assert await journal.runs() == []

    @pytest.mark.parametrize(("numbers", "expected", "got"), [([2], 1, 2), ([0], 1, 0), ([1, 3], 2, 3), ([1, 1], 2, 1)])
    async def test_a_gap_or_a_repeated_number_is_refused_and_nothing_of_the_call_is_stored(
        self, journal: Journal, numbers: list[int], expected: int, got: int
    ) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        with pytest.raises(SequenceConflict) as caught:
            await journal.append([Record("r1", seq, 1.0, "k", b"{}") for seq in numbers])
        assert (caught.value.run, caught.value.expected, caught.value.got) == ("r1", expected, got)
        assert await read_all(journal, "r1") == []
        await journal.append(numbered("r1", 1, 2))
        assert (await journal.run("r1")).events == 2

    async def test_one_call_may_hold_records_of_several_runs(self, journal: Journal) -> None:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0)
        a, b = numbered("a", 1, 3), numbered("b", 1, 2)
        await journal.append([a[0], b[0], a[1], b[1], a[2]])
        assert await read_all(journal, "a") == a
        assert await read_all(journal, "b") == b

    async def test_a_call_is_refused_whole_when_one_of_its_runs_conflicts_or_is_unknown(self, journal: Journal) -> None:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0)
        with pytest.raises(SequenceConflict):
            await journal.append([*numbered("a", 1, 2), *numbered("b", 2, 2)])
        with pytest.raises(RunNotFound):
            await journal.append([*numbered("a", 1, 2), *numbered("c", 1, 1)])
        assert await read_all(journal, "a") == []

    async def test_a_body_over_the_limit_is_refused_with_the_whole_call_and_one_at_the_limit_is_not(
        self, journal: Journal
    ) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        at_limit = bytes(MAX_BODY_BYTES)
        with pytest.raises(RecordTooLarge, match="artifact") as caught:
            await journal.append([Record("r1", 1, 1.0, "k", b""), Record("r1", 2, 1.0, "k", at_limit + b"x")])
        assert (caught.value.seq, caught.value.size) == (2, MAX_BODY_BYTES + 1)
        await journal.append([Record("r1", 1, 1.0, "k", at_limit)])
        assert (await read_all(journal, "r1"))[0].body == at_limit

    async def test_calls_of_many_tasks_are_all_stored_each_in_its_own_order(self, journal: Journal) -> None:
        async def write(run: str) -> None:
            await journal.create_run(run, name="x", at=1.0)
            for seq in range(1, 11):
                await journal.append(numbered(run, seq, seq))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for n in range(20):
                    tasks.start_soon(write, f"r{n}")
        for n in range(20):
            assert await read_all(journal, f"r{n}") == numbered(f"r{n}", 1, 10)

    async def test_of_two_writers_that_want_the_same_number_one_is_refused(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        outcomes = []

        async def write() -> None:
            try:
                await journal.append(numbered("r1", 1, 2))
            except SequenceConflict:
                outcomes.append("refused")
            else:
                outcomes.append("stored")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            tasks.start_soon(write)
        assert sorted(outcomes) == ["refused", "stored"]
        assert await read_all(journal, "r1") == numbered("r1", 1, 2)

    async def test_a_reader_that_stops_halfway_leaves_nothing_behind(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 1200))
        async for record in journal.read("r1"):
            if record.seq == 700:
                break
        await journal.append(numbered("r1", 1201, 1201))
        await journal.delete("r1")

    async def test_a_cancelled_append_raises_and_has_stored_all_or_nothing(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        reached = False
        with anyio.CancelScope() as scope:
            scope.cancel()
            await journal.append(numbered("r1", 1, 5))
            reached = True
        assert scope.cancelled_caught
        assert not reached
        await journal.set_state("r1", "looked at", at=2.0)  # whatever was queued before has been dealt with by now
        assert (await journal.run("r1")).events in (0, 5)

    async def test_a_closed_journal_refuses_every_call_and_may_be_closed_again(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=1.0)
        await journal.append(numbered("r1", 1, 2))
        half_read = journal.read("r1")
        await journal.aclose()
        await journal.aclose()
        with pytest.raises(JournalClosed):
            await anext(half_read)
        with pytest.raises(JournalClosed):
            await journal.append(numbered("r1", 3, 3))
        with pytest.raises(JournalClosed):
            await journal.runs()
        with pytest.raises(JournalClosed):
            await journal.run("r1")
        with pytest.raises(JournalClosed):
            await journal.release("r1", owner="me")
