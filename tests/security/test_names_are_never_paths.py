"""Names of devices, stars, tools, runs and files are for people: whatever they hold, no path is made of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from constellation import DeviceSpec, GraphError, HubLimits, Orchestrator, TaskConstellation
from constellation.orchestrator.errors import HubRefused
from constellation_protocol import ArtifactInfo, ArtifactStore, DeviceProfile, Refused, Result, ToolInfo
from constellation_protocol.errors import ArtifactError
from constellation_protocol.tasks import background
from constellation_protocol.transfer import ARTIFACT_MESSAGES, ArtifactTransfers

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

Hub = Callable[..., AbstractAsyncContextManager[Any]]

HOSTILE = ["../../evil", "/tmp/evil", "evil\0", "evil\nevil", "..", "a/../../evil", "\u202elive", "~evil", "$(evil)"]


def files(folder: Path) -> set[str]:
    """What is in a folder, and right beside it and above it."""
    inside = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    return inside | {
        path.name for beside in (folder.parent, folder.parent.parent, Path("/tmp")) for path in beside.iterdir()
    }


@pytest.fixture
def new_files(tmp_path: Path) -> Callable[[], str]:
    """The names of what has come since the test began, into its directory and where names could lead from it."""
    before = files(tmp_path)
    return lambda: "".join(files(tmp_path) - before)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_tool_and_labels_may_be_called_anything_and_are_only_shown(
    hub: Hub, new_files: Callable[[], str], name: str
) -> None:
    profile = DeviceProfile(tools=(ToolInfo(name=name),), labels={name: name}, hostname=name, agent=name)
    async with hub() as played, played.device("rack", profile=profile) as rack:
        run = await played.submit(name)
        await rack.answer((await rack.assigned()).attempt, name)
        assert await run.result() == {"s0": name}
        assert "evil" not in new_files()


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_device_can_not_be_called_what_is_no_identifier_and_gets_no_file_by_its_name(
    hub: Hub, new_files: Callable[[], str], name: str
) -> None:
    async with hub() as played:
        try:
            async with played.device("rack") as rack:
                hello = rack.link.hello.model_copy(update={"device": name, "token": played.orchestrator.token})
            async with played.device(hello.device):
                assert name == "a/../../evil", "which is an identifier"
        except (ValueError, Refused):
            pass
        assert "evil" not in new_files()


async def test_a_device_process_keeps_its_state_at_a_place_that_its_name_has_no_say_in(home: Path) -> None:
    async with Orchestrator.local(
        [DeviceSpec("a/../../../evil")], kind="process", journal=":memory:", home=home
    ) as own:
        assert [device.name for device in await own.devices()] == ["a/../../../evil"]
        assert "evil" not in "".join(files(home.parent))


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "evil\0", "evil\nevil", "..", "a/b"])
def test_a_star_can_not_have_an_id_that_looks_like_a_path(name: str) -> None:
    graph = TaskConstellation("paths")
    with pytest.raises(GraphError):
        graph.star(name, "work", id=name)


@pytest.mark.parametrize("run", HOSTILE)
async def test_a_run_can_not_be_asked_for_by_a_path(hub: Hub, run: str) -> None:
    async with hub() as played, Orchestrator.connect(played.url, played.orchestrator.token) as client:
        for ask in (client.show, client.dump, client.find_run, client.resume):
            with pytest.raises(HubRefused, match="no run"):
                await ask(run)


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_file_that_a_device_brings_is_kept_by_its_digest(
    hub: Hub, home: Path, tmp_path: Path, new_files: Callable[[], str], name: str
) -> None:
    data = b"content"
    digest = hashlib.sha256(data).hexdigest()
    async with hub() as played, played.device("rack") as rack:
        run = await played.submit("work")
        assign = await rack.assigned()
        store = ArtifactStore(tmp_path / "device")
        info = store.put_bytes(data, name=name)
        await deliver(rack, store, info)
        output = {"$artifact": info.sha256, "size": info.size, "name": name}
        result = Result(
            attempt=assign.attempt, epoch=assign.epoch, status="succeeded", output=output, artifacts=(info,)
        )
        await rack.link.send(result)
        assert await run.result() == {"s0": output}
        kept = [path for path in home.rglob("*") if path.is_file() and path.read_bytes() == data]
        assert [digest in "".join(path.parts[-2:]) for path in kept] == [True]
        assert "evil" not in new_files()


async def test_a_file_over_the_limit_is_declined_before_it_comes(hub: Hub, tmp_path: Path) -> None:
    async with hub(limits=HubLimits(artifact_bytes=10)) as played, played.device("rack") as rack:
        store = ArtifactStore(tmp_path / "device")
        with pytest.raises(ArtifactError, match="over the size limit"):
            await deliver(rack, store, store.put_bytes(b"eleven bytes"))


async def test_a_file_that_would_fill_the_disk_up_is_declined_before_it_comes(
    hub: Hub, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with hub(limits=HubLimits(disk_reserve_bytes=2**62)) as played, played.device("rack") as rack:
        store = ArtifactStore(tmp_path / "device")
        with pytest.raises(ArtifactError, match="the receiver could not store it"):
            await deliver(rack, store, store.put_bytes(b"eleven bytes"))
    assert "bytes free on the disk" in caplog.text


async def deliver(device: Any, store: ArtifactStore, info: ArtifactInfo) -> None:
    """Do the device's part of bringing a file to the hub."""
    transfers = ArtifactTransfers(device.link, store)

    async def receive() -> None:
        while True:
            for message in await device.link.receive():
                assert isinstance(message, ARTIFACT_MESSAGES)
                transfers.handle(message)

    async with background() as tasks:
        tasks.start_soon(transfers.run)
        tasks.start_soon(receive)
        await transfers.offer(info)
        tasks.cancel_scope.cancel()
