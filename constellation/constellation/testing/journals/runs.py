"""Runs: how they are made, summarised, listed, found and removed."""

from __future__ import annotations

from typing import Any

import pytest

from ...journal import INITIAL_STATE, AmbiguousRun, Journal, RunExists, RunNotFound, RunSummary
from .store import StoreChecks, numbered, read_all


class RunChecks(StoreChecks):
    """Runs: how they are made, summarised, listed, found and removed."""

    async def test_a_new_run_is_summarised_as_it_was_created(self, journal: Journal) -> None:
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

    async def test_a_name_may_hold_what_no_encoding_has(self, journal: Journal) -> None:
        await journal.create_run("r1", name="caf\u00e9 \ud83d", at=5.0)
        assert (await journal.run("r1")).name == "caf\u00e9 ?"

    async def test_a_run_without_info_has_an_empty_one(self, journal: Journal) -> None:
        await journal.create_run("r1", name="", at=5.0)
        assert (await journal.run("r1")).info == {}

    async def test_an_id_is_taken_once(self, journal: Journal) -> None:
        await journal.create_run("r1", name="first", at=5.0)
        with pytest.raises(RunExists, match="r1"):
            await journal.create_run("r1", name="second", at=6.0)
        assert (await journal.run("r1")).name == "first"

    @pytest.mark.parametrize(("info", "error"), [({"x": {1, 2}}, TypeError), ({"x": float("nan")}, ValueError)])
    async def test_info_that_json_cannot_hold_is_refused_and_nothing_changes(
        self, journal: Journal, info: Any, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            await journal.create_run("r1", name="x", at=5.0, info=info)
        assert await journal.runs() == []
        await journal.create_run("r1", name="x", at=5.0)
        with pytest.raises(error):
            await journal.set_state("r1", "running", at=6.0, info=info)
        assert (await journal.run("r1")).state == INITIAL_STATE

    async def test_setting_the_state_merges_info_key_by_key(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=5.0, info={"a": 1, "deep": {"b": 2}})
        await journal.set_state("r1", "running", at=7.0, info={"deep": {"c": 3}, "d": None})
        summary = await journal.run("r1")
        assert (summary.state, summary.updated_at) == ("running", 7.0)
        assert summary.info == {"a": 1, "deep": {"c": 3}, "d": None}

    async def test_what_is_stored_cannot_be_changed_through_what_was_given_or_returned(self, journal: Journal) -> None:
        info = {"list": [1]}
        await journal.create_run("r1", name="x", at=5.0, info=info)
        info["list"].append(2)
        (await journal.run("r1")).info["list"].append(3)
        assert (await journal.run("r1")).info == {"list": [1]}

    async def test_the_time_of_the_last_change_never_goes_back(self, journal: Journal) -> None:
        await journal.create_run("r1", name="x", at=50.0)
        await journal.set_state("r1", "running", at=40.0)
        assert (await journal.run("r1")).updated_at == 50.0
        await journal.append(numbered("r1", 1, 3))
        assert (await journal.run("r1")).updated_at == 103.0

    async def test_runs_are_listed_newest_first_and_by_the_order_of_creation_at_one_instant(
        self, journal: Journal
    ) -> None:
        for run, at in [("c", 2.0), ("a", 9.0), ("b", 2.0), ("d", 1.0)]:
            await journal.create_run(run, name=run, at=at)
        assert [summary.run for summary in await journal.runs()] == ["a", "b", "c", "d"]
        assert [summary.run for summary in await journal.runs(limit=2)] == ["a", "b"]
        assert await journal.runs(limit=0) == await journal.runs(limit=-(2**70)) == []
        assert len(await journal.runs(limit=2**70)) == 4

    async def test_runs_are_filtered_by_state_before_they_are_limited(self, journal: Journal) -> None:
        for n in range(6):
            await journal.create_run(f"r{n}", name="", at=float(n))
            if n % 2 == 0:
                await journal.set_state(f"r{n}", "done", at=float(n))
        assert [summary.run for summary in await journal.runs(state="done", limit=2)] == ["r4", "r2"]
        assert await journal.runs(state="lost") == []

    async def test_a_list_counts_each_runs_own_events(self, journal: Journal) -> None:
        for run, count in [("a", 3), ("b", 0), ("c", 1)]:
            await journal.create_run(run, name="", at=1.0)
            await journal.append(numbered(run, 1, count))
        assert {summary.run: summary.events for summary in await journal.runs()} == {"a": 3, "b": 0, "c": 1}

    async def test_a_run_is_found_by_an_unambiguous_prefix(self, journal: Journal) -> None:
        for run in ("abc-1", "abd-2", "x%_*-3"):
            await journal.create_run(run, name="", at=1.0)
        assert (await journal.run("abc")).run == "abc-1"
        assert (await journal.run("x%_*")).run == "x%_*-3"

    async def test_a_whole_id_wins_over_those_that_it_begins(self, journal: Journal) -> None:
        for run in ("ab", "abc", "abcd"):
            await journal.create_run(run, name="", at=1.0)
        assert (await journal.run("ab")).run == "ab"

    async def test_a_prefix_stands_for_a_run_rather_than_for_those_that_it_has_started(self, journal: Journal) -> None:
        for run, parent in (("run-1:inner", "run-1"), ("run-1", None), ("run-1:other", "run-1")):
            await journal.create_run(run, name="x", at=1.0, parent=parent)
        assert (await journal.run("run")).run == "run-1"
        assert (await journal.run("run-1:i")).run == "run-1:inner"
        assert (await journal.run("run-1:other")).run == "run-1:other"
        with pytest.raises(AmbiguousRun):
            await journal.run("run-1:")

    async def test_an_ambiguous_prefix_names_some_of_the_runs_that_it_fits(self, journal: Journal) -> None:
        for n in range(9):
            await journal.create_run(f"run-{n}", name="", at=1.0)
        with pytest.raises(AmbiguousRun, match="run-0, run-1") as caught:
            await journal.run("run-")
        assert caught.value.matches == ("run-0", "run-1", "run-2", "run-3", "run-4")

    async def test_an_unknown_run_is_answered_with_ids_that_are_close(self, journal: Journal) -> None:
        for run in ("weather-17", "report-2", "zzz"):
            await journal.create_run(run, name="", at=1.0)
        with pytest.raises(RunNotFound, match=r"'reprot-2'.*did you mean report-2\?") as caught:
            await journal.run("reprot-2")
        assert caught.value.close == ("report-2",)

    @pytest.mark.parametrize("pattern", ["", "%", "*", "_", "r?", "r\udcff"])
    async def test_neither_nothing_nor_a_pattern_nor_a_broken_string_is_a_prefix(
        self, journal: Journal, pattern: str
    ) -> None:
        await journal.create_run("r1", name="", at=1.0)
        with pytest.raises(RunNotFound):
            await journal.run(pattern)

    async def test_every_call_for_a_run_that_is_not_there_says_so(self, journal: Journal) -> None:
        with pytest.raises(RunNotFound):
            await journal.append(numbered("r1", 1, 1))
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

    async def test_compacting_changes_nothing_that_is_stored(self, journal: Journal) -> None:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0)
            await journal.append(numbered(run, 1, 200))
        await journal.delete("a")
        await journal.compact()
        assert await read_all(journal, "b") == numbered("b", 1, 200)
        await journal.append(numbered("b", 201, 201))

    async def test_a_deleted_run_is_gone_and_its_id_starts_anew(self, journal: Journal) -> None:
        for run in ("a", "b"):
            await journal.create_run(run, name="x", at=1.0, parent="a")
            await journal.append(numbered(run, 1, 5))
        await journal.acquire("a", owner="one", at=1.0, lease_s=1e9)
        await journal.delete("a")
        with pytest.raises(RunNotFound):
            await journal.run("a")
        assert [(summary.run, summary.parent) for summary in await journal.runs()] == [("b", "a")]
        await journal.create_run("a", name="again", at=2.0)
        await journal.acquire("a", owner="two", at=2.0, lease_s=1.0)
        await journal.append(numbered("a", 1, 1))
        assert await read_all(journal, "a") == numbered("a", 1, 1)
        assert await read_all(journal, "b") == numbered("b", 1, 5)
