"""Any sequence of calls has the same outcome in every store."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from constellation.journal import JournalError, Record, open_journal

RUNS = st.sampled_from(["a", "ab", "b", "ü", "a\U0010ffff"])
TIMES = st.sampled_from([0.0, 1.0, 2.5, 10.0])
INFO = st.none() | st.dictionaries(
    st.sampled_from("xyz"), st.integers(0, 3) | st.lists(st.text(max_size=2), max_size=2)
)

CALLS = st.one_of(
    st.tuples(
        st.just("create_run"), RUNS, st.fixed_dictionaries({"name": st.text(max_size=3), "at": TIMES, "info": INFO})
    ),
    st.tuples(st.just("append"), st.lists(st.tuples(RUNS, st.integers(1, 4), TIMES), max_size=4)),
    st.tuples(st.just("grow"), RUNS, st.integers(1, 130), TIMES),
    st.tuples(
        st.just("set_state"), RUNS, st.sampled_from(["on", "off"]), st.fixed_dictionaries({"at": TIMES, "info": INFO})
    ),
    st.tuples(
        st.just("acquire"),
        RUNS,
        st.fixed_dictionaries({"owner": st.sampled_from(["me", "you"]), "at": TIMES, "lease_s": TIMES}),
    ),
    st.tuples(st.just("release"), RUNS, st.fixed_dictionaries({"owner": st.sampled_from(["me", "you"])})),
    st.tuples(st.just("delete"), RUNS, st.just({})),
    st.tuples(st.just("run"), RUNS | st.sampled_from(["", "c"]), st.just({})),
    st.tuples(st.just("runs"), st.fixed_dictionaries({"limit": st.integers(0, 4), "state": st.none() | st.just("on")})),
    st.tuples(st.just("read"), RUNS, st.fixed_dictionaries({"after": st.integers(-1, 130)})),
)


async def outcome(journal, call):
    """What a call returns or raises, in a form that compares."""
    try:
        match call:
            case ("append", wanted):
                return await journal.append([Record(run, seq, at, "k", b"{}") for run, seq, at in wanted])
            case ("grow", run, count, at):
                head = (await journal.run(run)).events
                return await journal.append([Record(run, head + n, at, "k", b"%d" % n) for n in range(1, count + 1)])
            case ("read", run, options):
                return [record async for record in journal.read(run, **options)]
            case (method, *arguments, options):
                return await getattr(journal, method)(*arguments, **options)
    except JournalError as error:
        return type(error), str(error)


async def compare(place, calls):
    async with open_journal(":memory:") as memory, open_journal(place) as other:
        for call in [("create_run", "a", {"name": "x", "at": 1.0}), *calls]:
            assert await outcome(memory, call) == await outcome(other, call)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CALLS, min_size=5, max_size=25))
def test_sqlite_agrees_with_memory(calls):
    with tempfile.TemporaryDirectory() as directory:
        anyio.run(compare, Path(directory) / "j.db", calls)


@pytest.mark.e2e
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CALLS, min_size=5, max_size=25))
def test_postgres_agrees_with_memory(postgres_server, calls):
    anyio.run(compare, postgres_server.new_url(), calls)
