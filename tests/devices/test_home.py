"""Where a device lives: what it keeps of its files when it is started again, and what its programs have."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from constellation_devices.errors import BadDeviceSetup
from constellation_devices.home import FILES_STAY_S, open_home
from constellation_devices.kept import SqliteKept
from constellation_protocol import ArtifactStore, Result
from constellation_protocol.kinds import DeviceSpec
from constellation_tools.toolkits.sandbox import bubblewrap


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


STAND_IN = """#!/bin/sh
echo "$@" >>'{log}'
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


@pytest.fixture
def bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A log of what bubblewrap is asked for: by a program in its place, which confines nothing."""
    log = tmp_path / "asked"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bwrap"
    program.write_text(STAND_IN.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    bubblewrap.cache_clear()
    yield log
    bubblewrap.cache_clear()


@pytest.mark.anyio
@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("tool", ["shell_run", "python_run"])
async def test_a_device_says_what_programs_have_in_its_sandbox(
    bwrap: Path, tmp_path: Path, network: bool, tool: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    spec = DeviceSpec("d", sandbox_network=network, sandbox_readable=(data,))
    arguments = {"argv": ["echo", "hello"]} if tool == "shell_run" else {"code": "print('hello')"}
    with open_home(spec, durable=False) as home:
        result = await home.tools.get(tool).call(arguments)
    assert (result["stdout"], result["confinement"]) == ("hello\n", "bubblewrap")
    asked = bwrap.read_text()
    assert ("--share-net" in asked) is network
    assert f"--ro-bind-try {data} {data}" in asked


def test_what_is_to_be_readable_in_a_sandbox_has_to_be_there(tmp_path: Path) -> None:
    spec = DeviceSpec("d", sandbox_readable=(tmp_path / "gone",))
    with pytest.raises(BadDeviceSetup, match="gone can't be made readable in the sandbox"):
        with open_home(spec, durable=False):
            pass
