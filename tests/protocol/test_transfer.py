"""Files over a link: fetched, offered, resumed, shared, declined, interrupted, and bounded on the way."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from constellation_protocol import (
    ArtifactChunk,
    ArtifactCorrupt,
    ArtifactDone,
    ArtifactError,
    ArtifactInfo,
    ArtifactOffer,
    ArtifactRequest,
    ArtifactStore,
    ArtifactTransfers,
    Hello,
    Limits,
    Link,
    LinkClosed,
    Message,
    RemoteProtocolError,
    Welcome,
    direct_link,
)
from constellation_protocol.artifacts import PartialArtifact
from constellation_protocol.codec import MAX_CHUNK_BYTES
from constellation_protocol.download import ACTIVE_DOWNLOADS, WINDOW_BYTES
from constellation_protocol.transfer import ARTIFACT_MESSAGES

pytestmark = pytest.mark.anyio
BIG = random.Random(7).randbytes(2 * WINDOW_BYTES + 12_345)


def info_of(data: bytes) -> ArtifactInfo:
    return ArtifactInfo(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Side:
    """One end: a link, a store, its transfers, and every artifact message that came."""

    def __init__(self, link: Link, root: Path) -> None:
        self.link = link
        self.store = ArtifactStore(root)
        self.transfers = ArtifactTransfers(link, self.store)
        self.came: list[Message] = []
        self.change: Callable[[Message], Message] = lambda message: message

    async def pump(self) -> None:
        try:
            while True:
                for message in await self.link.receive():
                    assert isinstance(message, ARTIFACT_MESSAGES)
                    changed = self.change(message)
                    self.came.append(changed)
                    assert isinstance(changed, ARTIFACT_MESSAGES)
                    self.transfers.handle(changed)
        except LinkClosed:
            pass


@asynccontextmanager
async def two_sides(tmp_path: Path, limits: Limits | None = None) -> AsyncIterator[tuple[Side, Side]]:
    welcome = Welcome(session="s", epoch=1, limits=limits or Limits())
    orchestrator, device = direct_link(Hello(device="d"), welcome)
    sides = Side(orchestrator, tmp_path / "orchestrator"), Side(device, tmp_path / "device")
    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for side in sides:
                tasks.start_soon(side.pump)
                tasks.start_soon(side.transfers.run)
            yield sides
            tasks.cancel_scope.cancel()


def chunks(messages: Sequence[Message]) -> list[ArtifactChunk]:
    return [message for message in messages if isinstance(message, ArtifactChunk)]


async def test_a_wanted_file_is_fetched_in_pieces(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(BIG)

        path = await device.transfers.want(info)

        assert path.read_bytes() == BIG
        assert max(len(chunk.data) for chunk in chunks(device.came)) == MAX_CHUNK_BYTES


async def test_a_file_that_is_here_is_not_fetched(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (_, device):
        info = device.store.put_bytes(b"mine")

        assert (await device.transfers.want(info)).read_bytes() == b"mine"
        assert device.came == []


async def test_an_empty_file_can_be_fetched_and_offered(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(b"")
        assert (await device.transfers.want(info)).read_bytes() == b""

    async with two_sides(tmp_path / "again") as (orchestrator, device):
        await device.transfers.offer(device.store.put_bytes(b""))
        assert orchestrator.store.has(info.sha256)


async def test_an_offer_returns_when_the_peer_has_the_file(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = device.store.put_bytes(BIG)

        await device.transfers.offer(info)

        assert orchestrator.store.path(info.sha256).read_bytes() == BIG


async def test_an_offered_file_that_the_peer_has_is_not_sent(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = device.store.put_bytes(b"known")
        orchestrator.store.put_bytes(b"known")

        await device.transfers.offer(info)

        assert chunks(orchestrator.came) == []


async def test_everybody_who_wants_a_file_shares_one_transfer(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(BIG)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(device.transfers.want, info)

        assert sum(len(chunk.data) for chunk in chunks(device.came)) == len(BIG)


async def test_many_files_pass_at_once_in_both_directions(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        down = [orchestrator.store.put_bytes(b"down %d" % number) for number in range(3 * ACTIVE_DOWNLOADS)]
        up = [device.store.put_bytes(b"up %d" % number) for number in range(3 * ACTIVE_DOWNLOADS)]
        async with anyio.create_task_group() as tasks:
            for info in down:
                tasks.start_soon(device.transfers.want, info)
            for info in up:
                tasks.start_soon(device.transfers.offer, info)

        assert all(device.store.has(info.sha256) for info in down)
        assert all(orchestrator.store.has(info.sha256) for info in up)


async def test_an_interrupted_transfer_is_resumed_over_the_next_link(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(BIG)

        def break_off(message: Message) -> Message:
            if len(chunks(device.came)) == 10:
                return ArtifactDone(sha256=info.sha256, error="must go")
            return message

        device.change = break_off
        with pytest.raises(ArtifactError, match="must go"):
            await device.transfers.want(info)

    async with two_sides(tmp_path) as (_, device):
        await device.transfers.want(info)

        first = chunks(device.came)[0]
        assert first.offset == 10 * MAX_CHUNK_BYTES
        assert device.store.path(info.sha256).read_bytes() == BIG


async def test_corrupt_bytes_are_refused_and_not_kept(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(b"true")
        device.change = lambda message: (
            message.model_copy(update={"data": b"fals"}) if isinstance(message, ArtifactChunk) else message
        )

        with pytest.raises(ArtifactCorrupt):
            await device.transfers.want(info)

        assert not device.store.has(info.sha256)
        device.change = lambda message: message
        assert (await device.transfers.want(info)).read_bytes() == b"true"


async def test_a_file_that_has_gone_bad_where_it_is_kept_is_removed_once_it_was_turned_down(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        infos = [orchestrator.store.put_bytes(BIG), orchestrator.store.put_bytes(b"good")]
        place = orchestrator.store.path(infos[0].sha256)
        place.chmod(0o600)
        place.write_bytes(BIG[:-1] + b"?")
        device.change = lambda message: (
            message.model_copy(update={"data": b"evil"})
            if isinstance(message, ArtifactChunk) and message.sha256 == infos[1].sha256
            else message
        )
        for info in infos:
            with pytest.raises(ArtifactCorrupt):
                await device.transfers.want(info)
        while orchestrator.store.has(infos[0].sha256):
            await anyio.lowlevel.checkpoint()
        assert orchestrator.store.has(infos[1].sha256), "which went bad on its way"

        device.store.put_bytes(BIG)
        await device.transfers.offer(infos[0])
        assert orchestrator.store.path(infos[0].sha256).read_bytes() == BIG


async def test_a_spoilt_beginning_from_an_earlier_try_is_fetched_again(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(b"abcdef")
        (device.store.root / "partial" / info.sha256).write_bytes(b"aXc")

        assert (await device.transfers.want(info)).read_bytes() == b"abcdef"


async def test_a_file_that_the_peer_does_not_have_can_not_be_had(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (_, device):
        with pytest.raises(ArtifactError, match=r"the peer can't send artifact .*: it is not here"):
            await device.transfers.want(info_of(b"nowhere"))


async def test_a_file_over_the_limit_is_neither_fetched_nor_accepted(tmp_path: Path) -> None:
    async with two_sides(tmp_path, Limits(max_artifact_bytes=10)) as (_, device):
        with pytest.raises(ArtifactError, match="over the limit of 10 bytes"):
            await device.transfers.want(info_of(bytes(11)))
        with pytest.raises(ArtifactError, match=r"declined artifact .*: it is over the size limit"):
            await device.transfers.offer(device.store.put_bytes(bytes(11)))


async def test_a_disk_that_fails_ends_the_transfer_without_telling_paths(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = device.store.put_bytes(b"data")
        (orchestrator.store.root / "partial").rmdir()

        with pytest.raises(ArtifactError, match="the receiver could not store it"):
            await device.transfers.offer(info)

        assert not any(str(tmp_path) in str(message) for message in device.came)


async def test_small_frames_make_small_pieces(tmp_path: Path) -> None:
    async with two_sides(tmp_path, Limits(max_frame_bytes=2048)) as (orchestrator, device):
        info = orchestrator.store.put_bytes(bytes(10_000))
        await device.transfers.want(info)

        assert max(len(chunk.data) for chunk in chunks(device.came)) < 2048


async def test_no_more_is_on_the_way_than_was_asked_for(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(BIG)
        asked = [0]
        arrived = [0]
        overshoot: list[int] = []

        def watch_requests(message: Message) -> Message:
            if isinstance(message, ArtifactRequest):
                asked.append(message.offset)
            return message

        def watch_chunks(message: Message) -> Message:
            if isinstance(message, ArtifactChunk):
                arrived.append(message.offset + len(message.data))
                overshoot.append(arrived[-1] - asked[-1])
            return message

        orchestrator.change, device.change = watch_requests, watch_chunks
        await device.transfers.want(info)

        assert max(overshoot) <= WINDOW_BYTES


@pytest.mark.parametrize(
    ("offset", "size", "reason"),
    [(1, 1, "for offset 1 instead of 0"), (0, 0, "for offset 0 instead of 0"), (0, 7, "more of"), (0, 100, "more of")],
)
async def test_a_piece_that_was_not_asked_for_ends_the_transfer(
    tmp_path: Path, offset: int, size: int, reason: str
) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = orchestrator.store.put_bytes(b"sixsix")
        device.change = lambda message: (
            message.model_copy(update={"offset": offset, "data": bytes(size)})
            if isinstance(message, ArtifactChunk)
            else message
        )
        with pytest.raises(ArtifactError, match=reason):
            await device.transfers.want(info)

        device.change = lambda message: message
        assert (await device.transfers.want(info)).read_bytes() == b"sixsix"


async def test_what_comes_before_it_was_asked_for_is_ignored(tmp_path: Path) -> None:
    orchestrator, device = direct_link(Hello(device="d"), Welcome(session="s", epoch=1))
    store = ArtifactStore(tmp_path)
    transfers = ArtifactTransfers(device, store)
    info = info_of(b"six")
    transfers.handle(ArtifactOffer(artifact=info))
    transfers.handle(ArtifactOffer(artifact=info))
    transfers.handle(ArtifactChunk(sha256=info.sha256, offset=0, data=b"six"))
    transfers.handle(ArtifactDone(sha256=info.sha256))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(transfers.run)

        assert await orchestrator.receive() == [ArtifactRequest(sha256=info.sha256, offset=0)]
        assert not store.has(info.sha256)
        tasks.cancel_scope.cancel()


async def test_more_transfers_than_allowed_are_declined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("constellation_protocol.transfer.MAX_TRANSFERS", 0)
    monkeypatch.setattr("constellation_protocol.upload.MAX_TRANSFERS", 0)
    async with two_sides(tmp_path) as (orchestrator, device):
        with pytest.raises(ArtifactError, match="too many transfers at once"):
            await device.transfers.offer(device.store.put_bytes(b"offered"))
        with pytest.raises(ArtifactError, match="too many transfers at once"):
            await device.transfers.want(orchestrator.store.put_bytes(b"wanted"))


async def test_an_offer_made_twice_is_sent_once(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        info = device.store.put_bytes(b"twice")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(device.transfers.offer, info)
            tasks.start_soon(device.transfers.offer, info)

        assert sum(isinstance(message, ArtifactOffer) for message in orchestrator.came) == 1


@pytest.mark.parametrize("method", ["write", "keep"])
async def test_a_disk_that_fills_up_ends_the_transfer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def full(self: PartialArtifact, *args: object) -> None:
        raise OSError(28, "no space left on device")

    async with two_sides(tmp_path) as (orchestrator, device):
        infos = [orchestrator.store.put_bytes(BIG), orchestrator.store.put_bytes(b"small")]
        monkeypatch.setattr(PartialArtifact, method, full)
        for info in infos:
            with pytest.raises(ArtifactError, match="no space left"):
                await device.transfers.want(info)
        monkeypatch.undo()

        for info in infos:
            await device.transfers.want(info)


async def test_stopping_the_transfers_ends_all_waiting(tmp_path: Path) -> None:
    _, device = direct_link(Hello(device="d"), Welcome(session="s", epoch=1))
    transfers = ArtifactTransfers(device, ArtifactStore(tmp_path))

    async def expect_error() -> None:
        with pytest.raises(ArtifactError, match="the transfers were stopped"):
            await transfers.want(info_of(b"theirs"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(expect_error)
            async with anyio.create_task_group() as stopped:
                stopped.start_soon(transfers.run)
                await anyio.wait_all_tasks_blocked()
                stopped.cancel_scope.cancel()


async def test_a_flood_of_requests_is_a_fault(tmp_path: Path) -> None:
    _, device = direct_link(Hello(device="d"), Welcome(session="s", epoch=1))
    transfers = ArtifactTransfers(device, ArtifactStore(tmp_path))

    with pytest.raises(RemoteProtocolError, match="are waiting"):  # noqa: PT012 - which of them is one too many is open
        for number in range(100_000):
            transfers.handle(ArtifactRequest(sha256=f"{number:064x}", offset=0))


async def test_pieces_of_a_transfer_that_was_called_off_are_ignored(tmp_path: Path) -> None:
    async with two_sides(tmp_path) as (orchestrator, device):
        stray = ArtifactChunk(sha256="ab" * 32, offset=0, data=b"x")
        await orchestrator.link.send(stray, ArtifactDone(sha256="ab" * 32, error="over"))
        info = orchestrator.store.put_bytes(b"next")

        assert (await device.transfers.want(info)).read_bytes() == b"next"


async def test_the_end_of_the_link_ends_all_waiting(tmp_path: Path) -> None:
    orchestrator, device = direct_link(Hello(device="d"), Welcome(session="s", epoch=1))
    store = ArtifactStore(tmp_path)
    transfers = ArtifactTransfers(device, store)
    mine = store.put_bytes(b"mine")

    async def expect_error(call: Callable[[ArtifactInfo], object], info: ArtifactInfo) -> None:
        with pytest.raises(ArtifactError, match="interrupted: the session has ended"):
            await call(info)  # type: ignore[misc]

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transfers.run)
            tasks.start_soon(expect_error, transfers.want, info_of(b"theirs"))
            tasks.start_soon(expect_error, transfers.offer, mine)
            await anyio.wait_all_tasks_blocked()
            await orchestrator.receive()
            await orchestrator.aclose("enough")
            transfers.handle(ArtifactRequest(sha256=mine.sha256, offset=0))
    with pytest.raises(ArtifactError, match="any more"):
        await transfers.want(info_of(b"theirs"))
    with pytest.raises(ArtifactError, match="any more"):
        await transfers.offer(mine)
    transfers.handle(ArtifactRequest(sha256=mine.sha256, offset=0))
