"""What every store of a journal must do, through the interface alone."""

from __future__ import annotations

import anyio
import pytest

from constellation.journal import (
    INITIAL_STATE,
    MAX_BODY_BYTES,
    AmbiguousRun,
    JournalClosed,
    Record,
    RecordTooLarge,
    RunBusy,
    RunExists,
    RunNotFound,
    RunSummary,
    SequenceConflict,
)

pytestmark = pytest.mark.anyio


async def read_all(journal, run, **options):
    return [record async for record in journal.read(run, **options)]


# --- runs ---


async def test_a_new_run_is_summarised_as_it_was_created(journal):
    await journal.create_run("r1", name="report", at=5.0, parent="r0", info={"file": "a.yaml", "n": [1, None]})
    assert await journal.run("r1") == RunSummary(
        run="r1",
        name="report",
        state=INITIAL_STATE,
        created_at=5.0,
        updated_at=5.0,
        parent="r0",
        events=0,
        info={"file": "a.yaml", "n": [1, None]},
    )


async def test_a_run_without_info_has_an_empty_one(journal):
    await journal.create_run("r1", name="", at=5.0)
    assert (await journal.run("r1")).info == {}


async def test_an_id_is_taken_once(journal):
    await journal.create_run("r1", name="first", at=5.0)
    with pytest.raises(RunExists, match="r1"):
        await journal.create_run("r1", name="second", at=6.0)
    assert (await journal.run("r1")).name == "first"


@pytest.mark.parametrize(("info", "error"), [({"x": {1, 2}}, TypeError), ({"x": float("nan")}, ValueError)])
async def test_info_that_json_cannot_hold_is_refused_and_nothing_changes(journal, info, error):
    with pytest.raises(error):
        await journal.create_run("r1", name="x", at=5.0, info=info)
    assert await journal.runs() == []
    await journal.create_run("r1", name="x", at=5.0)
    with pytest.raises(error):
        await journal.set_state("r1", "running", at=6.0, info=info)
    assert (await journal.run("r1")).state == INITIAL_STATE


async def test_setting_the_state_merges_info_key_by_key(journal):
    await journal.create_run("r1", name="x", at=5.0, info={"a": 1, "deep": {"b": 2}})
    await journal.set_state("r1", "running", at=7.0, info={"deep": {"c": 3}, "d": None})
    summary = await journal.run("r1")
    assert (summary.state, summary.updated_at) == ("running", 7.0)
    assert summary.info == {"a": 1, "deep": {"c": 3}, "d": None}


async def test_what_is_stored_cannot_be_changed_through_what_was_given_or_returned(journal):
    info = {"list": [1]}
    await journal.create_run("r1", name="x", at=5.0, info=info)
    info["list"].append(2)
    (await journal.run("r1")).info["list"].append(3)
    assert (await journal.run("r1")).info == {"list": [1]}


async def test_the_time_of_the_last_change_never_goes_back(journal, records):
    await journal.create_run("r1", name="x", at=50.0)
    await journal.set_state("r1", "running", at=40.0)
    assert (await journal.run("r1")).updated_at == 50.0
    await journal.append(records("r1", 1, 3))
    assert (await journal.run("r1")).updated_at == 103.0


async def test_runs_are_listed_newest_first_and_by_the_order_of_creation_at_one_instant(journal):
    for run, at in [("c", 2.0), ("a", 9.0), ("b", 2.0), ("d", 1.0)]:
        await journal.create_run(run, name=run, at=at)
    assert [summary.run for summary in await journal.runs()] == ["a", "b", "c", "d"]
    assert [summary.run for summary in await journal.runs(limit=2)] == ["a", "b"]
    assert await journal.runs(limit=0) == []


async def test_runs_are_filtered_by_state_before_they_are_limited(journal):
    for n in range(6):
        await journal.create_run(f"r{n}", name="", at=float(n))
        if n % 2 == 0:
            await journal.set_state(f"r{n}", "done", at=float(n))
    assert [summary.run for summary in await journal.runs(state="done", limit=2)] == ["r4", "r2"]
    assert await journal.runs(state="lost") == []


async def test_a_list_counts_each_runs_own_events(journal, records):
    for run, count in [("a", 3), ("b", 0), ("c", 1)]:
        await journal.create_run(run, name="", at=1.0)
        await journal.append(records(run, 1, count))
    assert {summary.run: summary.events for summary in await journal.runs()} == {"a": 3, "b": 0, "c": 1}


# --- finding ---


async def test_a_run_is_found_by_an_unambiguous_prefix(journal):
    for run in ("abc-1", "abd-2", "x%_*-3"):
        await journal.create_run(run, name="", at=1.0)
    assert (await journal.run("abc")).run == "abc-1"
    assert (await journal.run("x%_*")).run == "x%_*-3"


async def test_a_whole_id_wins_over_those_that_it_begins(journal):
    for run in ("ab", "abc", "abcd"):
        await journal.create_run(run, name="", at=1.0)
    assert (await journal.run("ab")).run == "ab"


async def test_a_prefix_stands_for_a_run_rather_than_for_those_that_it_has_started(journal):
    for run, parent in (("run-1:inner", "run-1"), ("run-1", None), ("run-1:other", "run-1")):
        await journal.create_run(run, name="x", at=1.0, parent=parent)
    assert (await journal.run("run")).run == "run-1"
    assert (await journal.run("run-1:i")).run == "run-1:inner"
    assert (await journal.run("run-1:other")).run == "run-1:other"
    with pytest.raises(AmbiguousRun):
        await journal.run("run-1:")


async def test_an_ambiguous_prefix_names_some_of_the_runs_that_it_fits(journal):
    for n in range(9):
        await journal.create_run(f"run-{n}", name="", at=1.0)
    with pytest.raises(AmbiguousRun, match="run-0, run-1") as caught:
        await journal.run("run-")
    assert caught.value.matches == ("run-0", "run-1", "run-2", "run-3", "run-4")


async def test_an_unknown_run_is_answered_with_ids_that_are_close(journal):
    for run in ("weather-17", "report-2", "zzz"):
        await journal.create_run(run, name="", at=1.0)
    with pytest.raises(RunNotFound, match=r"'reprot-2'.*did you mean report-2\?") as caught:
        await journal.run("reprot-2")
    assert caught.value.close == ("report-2",)


@pytest.mark.parametrize("pattern", ["", "%", "*", "_", "r?", "r\udcff"])
async def test_neither_nothing_nor_a_pattern_nor_a_broken_string_is_a_prefix(journal, pattern):
    await journal.create_run("r1", name="", at=1.0)
    with pytest.raises(RunNotFound):
        await journal.run(pattern)


async def test_every_call_for_a_run_that_is_not_there_says_so(journal, records):
    with pytest.raises(RunNotFound):
        await journal.append(records("r1", 1, 1))
    with pytest.raises(RunNotFound):
        await journal.set_state("r1", "x", at=1.0)
    with pytest.raises(RunNotFound):
        await journal.acquire("r1", owner="me", at=1.0, lease_s=1.0)
    with pytest.raises(RunNotFound):
        await journal.delete("r1")
    with pytest.raises(RunNotFound):
        await read_all(journal, "r1")
    with pytest.raises(RunNotFound):
        await read_all(journal, "r\udcff")


# --- records ---


async def test_records_come_back_as_they_were_written(journal):
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


async def test_reading_starts_behind_a_number(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.append(records("r1", 1, 9))
    assert await read_all(journal, "r1", after=6) == records("r1", 7, 9)
    assert await read_all(journal, "r1", after=9) == []
    assert await read_all(journal, "r1", after=50) == []
    assert len(await read_all(journal, "r1", after=-3)) == 9


async def test_a_run_longer_than_any_page_is_read_whole(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.append(records("r1", 1, 1700))
    assert await read_all(journal, "r1") == records("r1", 1, 1700)
    assert await read_all(journal, "r1", after=1199) == records("r1", 1200, 1700)


async def test_appending_nothing_is_nothing(journal):
    await journal.append([])
    assert await journal.runs() == []


@pytest.mark.parametrize(("numbers", "expected", "got"), [([2], 1, 2), ([0], 1, 0), ([1, 3], 2, 3), ([1, 1], 2, 1)])
async def test_a_gap_or_a_repeated_number_is_refused_and_nothing_of_the_call_is_stored(
    journal, records, numbers, expected, got
):
    await journal.create_run("r1", name="x", at=1.0)
    with pytest.raises(SequenceConflict) as caught:
        await journal.append([Record("r1", seq, 1.0, "k", b"{}") for seq in numbers])
    assert (caught.value.run, caught.value.expected, caught.value.got) == ("r1", expected, got)
    assert await read_all(journal, "r1") == []
    await journal.append(records("r1", 1, 2))
    assert (await journal.run("r1")).events == 2


async def test_one_call_may_hold_records_of_several_runs(journal, records):
    for run in ("a", "b"):
        await journal.create_run(run, name="x", at=1.0)
    a, b = records("a", 1, 3), records("b", 1, 2)
    await journal.append([a[0], b[0], a[1], b[1], a[2]])
    assert await read_all(journal, "a") == a
    assert await read_all(journal, "b") == b


async def test_a_call_is_refused_whole_when_one_of_its_runs_conflicts_or_is_unknown(journal, records):
    for run in ("a", "b"):
        await journal.create_run(run, name="x", at=1.0)
    with pytest.raises(SequenceConflict):
        await journal.append([*records("a", 1, 2), *records("b", 2, 2)])
    with pytest.raises(RunNotFound):
        await journal.append([*records("a", 1, 2), *records("c", 1, 1)])
    assert await read_all(journal, "a") == []


async def test_a_body_over_the_limit_is_refused_with_the_whole_call_and_one_at_the_limit_is_not(journal):
    await journal.create_run("r1", name="x", at=1.0)
    at_limit = bytes(MAX_BODY_BYTES)
    with pytest.raises(RecordTooLarge, match="artifact") as caught:
        await journal.append([Record("r1", 1, 1.0, "k", b""), Record("r1", 2, 1.0, "k", at_limit + b"x")])
    assert (caught.value.seq, caught.value.size) == (2, MAX_BODY_BYTES + 1)
    await journal.append([Record("r1", 1, 1.0, "k", at_limit)])
    assert (await read_all(journal, "r1"))[0].body == at_limit


async def test_calls_of_many_tasks_are_all_stored_each_in_its_own_order(journal, records):
    async def write(run: str) -> None:
        await journal.create_run(run, name="x", at=1.0)
        for seq in range(1, 11):
            await journal.append(records(run, seq, seq))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(write, f"r{n}")
    for n in range(20):
        assert await read_all(journal, f"r{n}") == records(f"r{n}", 1, 10)


async def test_of_two_writers_that_want_the_same_number_one_is_refused(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    outcomes = []

    async def write() -> None:
        try:
            await journal.append(records("r1", 1, 2))
        except SequenceConflict:
            outcomes.append("refused")
        else:
            outcomes.append("stored")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(write)
    assert sorted(outcomes) == ["refused", "stored"]
    assert await read_all(journal, "r1") == records("r1", 1, 2)


async def test_a_reader_that_stops_halfway_leaves_nothing_behind(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.append(records("r1", 1, 1200))
    async for record in journal.read("r1"):
        if record.seq == 700:
            break
    await journal.append(records("r1", 1201, 1201))
    await journal.delete("r1")


# --- leases ---


async def test_a_lease_keeps_others_out_until_it_expires(journal):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
    with pytest.raises(RunBusy, match="held by one until 1970-01-01T00:01:50") as caught:
        await journal.acquire("r1", owner="two", at=109.9, lease_s=10.0)
    assert (caught.value.owner, caught.value.expires_at) == ("one", 110.0)
    await journal.acquire("r1", owner="two", at=110.0, lease_s=10.0)
    with pytest.raises(RunBusy, match="held by two"):
        await journal.acquire("r1", owner="one", at=111.0, lease_s=10.0)


async def test_the_owner_renews_its_lease(journal):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
    await journal.acquire("r1", owner="one", at=105.0, lease_s=10.0)
    with pytest.raises(RunBusy) as caught:
        await journal.acquire("r1", owner="two", at=112.0, lease_s=10.0)
    assert caught.value.expires_at == 115.0


async def test_a_released_run_is_free_at_once_and_only_its_owner_releases_it(journal):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.acquire("r1", owner="one", at=100.0, lease_s=10.0)
    await journal.release("r1", owner="two")
    with pytest.raises(RunBusy):
        await journal.acquire("r1", owner="two", at=101.0, lease_s=10.0)
    await journal.release("r1", owner="one")
    await journal.acquire("r1", owner="two", at=101.0, lease_s=10.0)
    await journal.release("gone", owner="one")


async def test_each_run_has_a_lease_of_its_own(journal):
    for run in ("a", "b"):
        await journal.create_run(run, name="x", at=1.0)
    await journal.acquire("a", owner="one", at=100.0, lease_s=10.0)
    await journal.acquire("b", owner="two", at=100.0, lease_s=10.0)


# --- deleting ---


async def test_a_deleted_run_is_gone_and_its_id_starts_anew(journal, records):
    for run in ("a", "b"):
        await journal.create_run(run, name="x", at=1.0, parent="a")
        await journal.append(records(run, 1, 5))
    await journal.acquire("a", owner="one", at=1.0, lease_s=1e9)
    await journal.delete("a")
    with pytest.raises(RunNotFound):
        await journal.run("a")
    assert [(summary.run, summary.parent) for summary in await journal.runs()] == [("b", "a")]
    await journal.create_run("a", name="again", at=2.0)
    await journal.acquire("a", owner="two", at=2.0, lease_s=1.0)
    await journal.append(records("a", 1, 1))
    assert await read_all(journal, "a") == records("a", 1, 1)
    assert await read_all(journal, "b") == records("b", 1, 5)


# --- cancelling and closing ---


async def test_a_cancelled_append_raises_and_has_stored_all_or_nothing(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    reached = False
    with anyio.CancelScope() as scope:
        scope.cancel()
        await journal.append(records("r1", 1, 5))
        reached = True
    assert scope.cancelled_caught
    assert not reached
    await journal.set_state("r1", "looked at", at=2.0)  # whatever was queued before has been dealt with by now
    assert (await journal.run("r1")).events in (0, 5)


async def test_a_closed_journal_refuses_every_call_and_may_be_closed_again(journal, records):
    await journal.create_run("r1", name="x", at=1.0)
    await journal.append(records("r1", 1, 2))
    half_read = journal.read("r1")
    await journal.aclose()
    await journal.aclose()
    with pytest.raises(JournalClosed):
        await anext(half_read)
    with pytest.raises(JournalClosed):
        await journal.append(records("r1", 3, 3))
    with pytest.raises(JournalClosed):
        await journal.runs()
    with pytest.raises(JournalClosed):
        await journal.run("r1")
    with pytest.raises(JournalClosed):
        await journal.release("r1", owner="me")
