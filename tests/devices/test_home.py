"""What a device that is started again keeps of its files, and what it gives up."""

from __future__ import annotations

import os
import time
from pathlib import Path

from constellation_devices.home import FILES_STAY_S, open_home
from constellation_devices.kept import SqliteKept
from constellation_protocol import ArtifactStore, Result
from constellation_protocol.kinds import DeviceSpec


def test_old_files_go_but_for_those_that_a_result_is_still_to_be_sent_with(tmp_path: Path) -> None:
    state = tmp_path / "state"
    store = ArtifactStore(state / "artifacts")
    owed, told, young = (store.put_bytes(name) for name in (b"owed", b"told", b"young"))
    kept = SqliteKept(state / "results.sqlite3")
    for attempt, info in (("a/1", owed), ("b/1", told), ("c/1", young)):
        kept.begin([attempt])
        kept.keep(Result(attempt=attempt, epoch=1, status="succeeded", artifacts=(info,)))
    kept.acknowledge(["b/1", "c/1"])
    kept.close()
    long_ago = time.time() - FILES_STAY_S - 10
    for info in (owed, told):
        os.utime(store.path(info.sha256), (long_ago, long_ago))
    with open_home(DeviceSpec("d", state_dir=state), durable=True) as home:
        assert [home.store.has(info.sha256) for info in (owed, told, young)] == [True, False, True]
