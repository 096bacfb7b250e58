"""A disk that loses what was not synced, and the journal on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from constellation.journal import Record
from constellation.testing.disk import SimulatedDisk
from constellation.testing.journal import SimulatedJournal, finished

PAYLOADS = st.lists(st.binary(max_size=20), max_size=6)


@given(synced=PAYLOADS, unsynced=PAYLOADS, keep=st.integers(0, 400))
def test_a_crash_keeps_what_was_synced_and_a_whole_beginning_of_the_rest(
    synced: list[bytes], unsynced: list[bytes], keep: int
) -> None:
    disk = SimulatedDisk()
    for payload in synced:
        disk.write(payload)
    disk.sync()
    for payload in unsynced:
        disk.write(payload)
    disk.crash(keep)
    left = disk.read()
    assert left[: len(synced)] == synced
    assert left == [*synced, *unsynced][: len(left)]
    assert disk.read() == left


def test_a_torn_frame_is_cut_off_so_that_what_is_written_next_can_be_read() -> None:
    disk = SimulatedDisk()
    disk.write(b"whole")
    disk.write(b"torn")
    disk.crash(disk.unsynced - 1)
    assert disk.read() == [b"whole"]
    disk.write(b"next")
    assert disk.read() == [b"whole", b"next"]


def test_a_frame_whose_bytes_are_others_than_were_written_ends_what_is_read() -> None:
    disk = SimulatedDisk()
    disk.write(b"good")
    disk.write(b"bad")
    disk._data[-1] ^= 1
    assert disk.read() == [b"good"]


def test_a_group_of_records_is_there_after_a_crash_as_a_whole_or_not_at_all() -> None:
    records = [Record("r", seq, float(seq), "kind", b'{"n":1}') for seq in (1, 2, 3)]
    outcomes = set()
    for keep in range(200):
        disk = SimulatedDisk()
        journal = SimulatedJournal(disk)
        finished(journal.create_run("r", name="r", at=0.0))
        disk.sync()
        finished(journal.append(records))
        disk.crash(keep)
        outcomes.add(finished(SimulatedJournal(disk).run("r")).events)
    assert outcomes == {0, 3}


def test_what_would_have_to_wait_is_refused() -> None:
    class Pause:
        def __await__(self):  # type: ignore[no-untyped-def]
            yield

    async def pauses() -> None:
        await Pause()

    with pytest.raises(RuntimeError, match="waits for something"):
        finished(pauses())
