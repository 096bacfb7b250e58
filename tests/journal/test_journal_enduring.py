"""A journal that outlasts the absence of its store, over one that is away when the test says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest
from anyio import wait_all_tasks_blocked

from constellation.journal import (
    EnduringJournal,
    Journal,
    JournalAway,
    JournalCorrupt,
    JournalError,
    JournalUnavailable,
    Record,
    RunBusy,
    RunExists,
    RunNotFound,
    SequenceConflict,
)
from constellation.journal.memory import MemoryJournal

pytestmark = pytest.mark.anyio

Records = Callable[..., list[Record]]


class Shaky(MemoryJournal):
    """A journal that goes away before or after it has done what it is asked for, as often as the test says.

    Attributes:
        before: How many calls fail without having done anything.
        after: How many calls fail, having done what they were asked for.
        away: Whether all calls fail, until it is taken back.
        calls: What was asked for, in order.
        meanwhile: Is done by somebody else right after a call whose answer is lost.
    """

    may_be_away = True

    def __init__(self) -> None:
        super().__init__()
        self.before = self.after = 0
        self.away = False
        self.calls: list[str] = []
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def _shaken(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self.calls.append(name)
        if self.away or self.before > 0:
            self.before -= 1
            raise JournalAway("memory", "gone for now")
        if self.after > 0:
            self.after -= 1
            await work()
            if self.meanwhile is not None:
                await self.meanwhile()
            raise JournalAway("memory", "no answer")
        await work()

    async def create_run(
        self, run: str, *, name: str, at: float, parent: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        create = super().create_run
        await self._shaken("create_run", lambda: create(run, name=name, at=at, parent=parent, info=info))

    async def append(self, records: Sequence[Record]) -> None:
        append = super().append
        await self._shaken("append", lambda: append(records))

    async def set_state(self, run: str, state: str, *, at: float, info: Mapping[str, Any] | None = None) -> None:
        set_state = super().set_state
        await self._shaken("set_state", lambda: set_state(run, state, at=at, info=info))

    async def acquire(self, run: str, *, owner: str, at: float, lease_s: float) -> None:
        acquire = super().acquire
        await self._shaken("acquire", lambda: acquire(run, owner=owner, at=at, lease_s=lease_s))

    async def release(self, run: str, *, owner: str) -> None:
        release = super().release
        await self._shaken("release", lambda: release(run, owner=owner))

    async def delete(self, run: str) -> None:
        delete = super().delete
        await self._shaken("delete", lambda: delete(run))


class Clock:
    """A time that goes on when it is asked for, and only then."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.now = 1000.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


class Claims:
    """What is found out about claims, and how often it was asked."""

    def __init__(self) -> None:
        self.lost: dict[str, JournalError] = {}
        self.looked = 0

    async def look(self, journal: Journal) -> Mapping[str, JournalError]:
        self.looked += 1
        await journal.acquire("claimed", owner="me", at=5.0, lease_s=10.0)
        return self.lost


@pytest.fixture
async def store(anyio_backend: str) -> Shaky:
    journal = Shaky()
    for run in ("claimed", "r1", "r2"):
        await journal.create_run(run, name="x", at=1.0)
    journal.calls.clear()
    return journal


@pytest.fixture
def claims() -> Claims:
    return Claims()


def enduring(store: Shaky, claims: Claims, *, patience_s: float = 60.0, clock: Clock | None = None) -> EnduringJournal:
    return EnduringJournal(
        store, reclaim=claims.look, patience_s=patience_s, clock=clock or Clock(), chance=lambda: 0.001
    )


async def stored(store: Shaky, run: str) -> list[Record]:
    return [record async for record in MemoryJournal.read(store, run)]


async def test_while_all_is_well_calls_pass_through_and_nothing_is_looked_at(
    store: Shaky, claims: Claims, records: Records
) -> None:
    journal = enduring(store, claims)
    await journal.append(records("r1", 1, 2))
    await journal.set_state("r1", "running", at=2.0)
    assert (store.calls, claims.looked) == (["append", "set_state"], 0)
    with pytest.raises(SequenceConflict):
        await journal.append(records("r1", 2, 3))
    with pytest.raises(RunExists):
        await journal.create_run("r1", name="x", at=1.0)
    with pytest.raises(RunNotFound):
        await journal.delete("nothing")


async def test_a_write_that_was_not_done_is_done_once_the_store_is_back_and_claims_were_looked_at(
    store: Shaky, claims: Claims, records: Records
) -> None:
    store.before = 5
    await enduring(store, claims).append(records("r1", 1, 2))
    assert await stored(store, "r1") == records("r1", 1, 2)
    assert store.calls == ["append", *["acquire"] * 5, "append"]
    assert claims.looked == 5


async def test_a_write_whose_answer_was_lost_is_found_and_not_done_again(
    store: Shaky, claims: Claims, records: Records
) -> None:
    journal = enduring(store, claims)
    store.after = 1
    await journal.append([*records("r1", 1, 2), *records("r2", 1, 1)])
    assert (await stored(store, "r1"), await stored(store, "r2")) == (records("r1", 1, 2), records("r2", 1, 1))
    assert store.calls == ["append", "acquire", "append"]
    await journal.append(records("r1", 3, 3))
    with pytest.raises(SequenceConflict):  # which is not in doubt any more
        await journal.append(records("r1", 3, 3))


async def test_an_answer_that_is_lost_again_and_again_is_asked_for_again(
    store: Shaky, claims: Claims, records: Records
) -> None:
    store.after = 4  # the first append and three looks at claims
    await enduring(store, claims).append(records("r1", 1, 1))
    assert await stored(store, "r1") == records("r1", 1, 1)


async def test_what_another_has_written_in_its_place_is_a_conflict(
    store: Shaky, claims: Claims, records: Records
) -> None:
    store.before = 1
    other = Record("r1", 1, 9.0, "other", b"{}")
    await MemoryJournal.append(store, [other])
    with pytest.raises(SequenceConflict):
        await enduring(store, claims).append(records("r1", 1, 1))
    assert await stored(store, "r1") == [other]


async def test_what_was_stored_is_of_no_use_once_another_has_written_after_it(
    store: Shaky, claims: Claims, records: Records
) -> None:
    """Another has had the run and let go of it: its claim is free, and what was stored is not to be acted on here."""

    async def another() -> None:
        await MemoryJournal.append(store, [Record("r1", 2, 9.0, "other", b"{}")])

    store.after, store.meanwhile = 1, another
    journal = enduring(store, claims)
    with pytest.raises(SequenceConflict) as conflict:
        await journal.append([*records("r1", 1, 1), *records("r2", 1, 1)])
    assert conflict.value.run == "r1"
    assert conflict.value.expected == 3
    await journal.append(records("r2", 1, 1))  # the rest goes on without it
    assert await stored(store, "r2") == records("r2", 1, 1)


async def test_a_record_of_a_run_that_another_has_is_refused_and_the_others_go_on(
    store: Shaky, claims: Claims, records: Records
) -> None:
    store.before = 1
    claims.lost = {"r1": RunBusy("r1", "another/1/1", 99.0, at=5.0)}
    journal = enduring(store, claims)
    with pytest.raises(RunBusy, match="another/1/1"):
        await journal.append([*records("r1", 1, 1), *records("r2", 1, 1)])
    await journal.append(records("r2", 1, 1))
    assert (await stored(store, "r1"), await stored(store, "r2")) == ([], records("r2", 1, 1))


async def test_those_that_wait_meanwhile_learn_of_lost_runs_too(store: Shaky, claims: Claims, records: Records) -> None:
    journal = enduring(store, claims)
    store.away = True
    claims.lost = {"r2": RunNotFound("r2")}
    errors: list[Exception] = []

    async def late() -> None:
        try:
            await journal.append(records("r2", 1, 1))
        except RunNotFound as error:
            errors.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.append, records("r1", 1, 1))
            tasks.start_soon(late)
            while not claims.looked:
                await anyio.lowlevel.checkpoint()
            store.away = False
    assert await stored(store, "r1") == records("r1", 1, 1)
    assert await stored(store, "r2") == []
    assert len(errors) == 1


async def test_one_asks_for_all_that_wait(store: Shaky, claims: Claims) -> None:
    journal = enduring(store, claims)
    store.away = True
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(lambda number=number: journal.set_state("r1", f"s{number}", at=2.0))
            while claims.looked < 3:
                await anyio.lowlevel.checkpoint()
            before = store.calls.count("set_state")
            store.away = False
    assert before <= 20, "each has tried once at most, before it knew"
    assert (await store.run("r1")).state.startswith("s")


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_every_other_change_is_made_once(store: Shaky, claims: Claims, moment: str) -> None:
    journal = enduring(store, claims)

    def shake() -> None:
        setattr(store, moment, 1)

    shake()
    await journal.create_run("new", name="n", at=3.0, parent="r1", info={"a": 1})
    found = await store.run("new")
    assert (found.name, found.created_at, found.parent, found.info) == ("n", 3.0, "r1", {"a": 1})
    shake()
    await journal.set_state("new", "running", at=4.0, info={"b": 2})
    found = await store.run("new")
    assert (found.state, found.info) == ("running", {"a": 1, "b": 2})
    shake()
    await journal.acquire("new", owner="me", at=5.0, lease_s=10.0)
    with pytest.raises(RunBusy):
        await store.acquire("new", owner="you", at=6.0, lease_s=10.0)
    shake()
    await journal.release("new", owner="me")
    await store.acquire("new", owner="you", at=6.0, lease_s=10.0)
    shake()
    await journal.delete("new")
    with pytest.raises(RunNotFound):
        await store.run("new")


async def test_a_run_of_another_with_the_same_id_is_not_taken_for_ones_own(store: Shaky, claims: Claims) -> None:
    store.before = 1
    with pytest.raises(RunExists):
        await enduring(store, claims).create_run("r1", name="mine", at=3.0)


async def test_a_lease_begins_when_it_is_had(store: Shaky, claims: Claims) -> None:
    store.before = 1
    await enduring(store, claims, clock=Clock(step_s=2.0)).acquire("r1", owner="me", at=100.0, lease_s=10.0)
    with pytest.raises(RunBusy) as busy:
        await store.acquire("r1", owner="you", at=101.0, lease_s=1.0)
    assert busy.value.expires_at > 110.0


async def test_when_patience_is_used_up_the_error_says_so_and_what_was_the_matter(
    store: Shaky, claims: Claims, records: Records
) -> None:
    store.away = True
    journal = enduring(store, claims, patience_s=30.0, clock=Clock(step_s=1.0))
    with anyio.fail_after(20), pytest.raises(JournalUnavailable, match=r"away for 3\d s.*gone for now") as error:
        await journal.append(records("r1", 1, 1))
    assert not isinstance(error.value, JournalAway)


async def test_without_patience_it_is_asked_for_just_once_more(store: Shaky, claims: Claims, records: Records) -> None:
    store.away = True
    with pytest.raises(JournalUnavailable, match="away for 0 s"):
        await enduring(store, claims, patience_s=0.0).append(records("r1", 1, 1))
    assert claims.looked == 1


@pytest.mark.parametrize("patience_s", [-1.0, float("nan")])
def test_a_patience_that_is_none_is_refused(patience_s: float) -> None:
    with pytest.raises(ValueError, match="give 0 s or more"):
        enduring(Shaky(), Claims(), patience_s=patience_s)


async def test_time_in_which_nobody_waits_does_not_count(store: Shaky, claims: Claims, records: Records) -> None:
    clock = Clock()
    journal = enduring(store, claims, patience_s=30.0, clock=clock)
    store.away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.append, records("r1", 1, 1))
        while not claims.looked:
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    clock.now += 1000.0
    seen = claims.looked
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(journal.append, records("r1", 1, 1))
            while claims.looked < seen + 3:
                await anyio.lowlevel.checkpoint()
            store.away = False
    assert await stored(store, "r1") == records("r1", 1, 1)


async def test_a_cancelled_wait_ends_at_once_and_others_go_on(store: Shaky, claims: Claims, records: Records) -> None:
    journal = enduring(store, claims)
    store.away = True
    with anyio.fail_after(20):
        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as first:
                first.start_soon(journal.append, records("r1", 1, 1))
                while not claims.looked:
                    await anyio.lowlevel.checkpoint()
                outer.start_soon(journal.append, records("r2", 1, 1))
                first.cancel_scope.cancel()
            store.away = False
    assert (await stored(store, "r1"), await stored(store, "r2")) == ([], records("r2", 1, 1))


async def test_closing_ends_all_waits(store: Shaky, claims: Claims, records: Records) -> None:
    journal = enduring(store, claims)
    store.away = True
    failed: list[str] = []

    async def wait(run: str) -> None:
        try:
            await journal.append(records(run, 1, 1))
        except JournalAway:
            failed.append(run)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for run in ("r1", "r2"):
                tasks.start_soon(wait, run)
            while not claims.looked:
                await anyio.lowlevel.checkpoint()
            await journal.aclose()
    assert sorted(failed) == ["r1", "r2"]


async def test_from_then_on_a_store_that_is_away_is_not_waited_for(
    store: Shaky, claims: Claims, records: Records
) -> None:
    journal = enduring(store, claims)
    journal.wait_no_more()
    await journal.append(records("r1", 1, 1))
    store.away = True
    for _ in range(2):
        with pytest.raises(JournalAway):
            await journal.append(records("r1", 2, 2))
    assert claims.looked == 0


async def test_any_other_failure_is_told_at_once(
    store: Shaky, claims: Claims, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = enduring(store, claims)
    store.before = 1

    async def damaged(_: Journal) -> Mapping[str, JournalError]:
        raise JournalCorrupt("memory", "scratched")

    monkeypatch.setattr(journal, "_reclaim", damaged)
    with pytest.raises(JournalCorrupt):
        await journal.append(records("r1", 1, 1))
    await journal.append(records("r1", 1, 1))  # it answers, so it is not away


async def test_what_is_read_is_not_waited_for(
    store: Shaky, claims: Claims, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = enduring(store, claims)
    await journal.append(records("r1", 1, 2))
    assert [record async for record in journal.read("r1", after=1)] == records("r1", 2, 2)
    assert (await journal.run("r1")).events == 2
    assert len(await journal.runs()) == 3

    async def away(*_: object, **__: object) -> None:
        raise JournalAway("memory", "gone for now")

    monkeypatch.setattr(store, "run", away)
    monkeypatch.setattr(store, "runs", away)
    for call in (journal.run("r1"), journal.runs()):
        with pytest.raises(JournalAway):
            await call
    await wait_all_tasks_blocked()
