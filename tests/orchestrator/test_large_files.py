"""A large file from device to device through real processes: memory, cuts half-way, and bytes that go wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from constellation import RunReport, TaskConstellation
from constellation.testing.proxy import Direction
from constellation_bench.artifact.measure import measure, warm_up
from constellation_bench.artifact.stage import MAKER, TAKER, Stage, staged
from constellation_bench.artifact.tools import PIECE_BYTES
from constellation_protocol.download import WINDOW_BYTES

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

SIZE = 64 * 2**20
SMALL = 8 * PIECE_BYTES
"""The size of a file that something goes wrong with."""

SEED = 5
MOST_GROWTH = SIZE // 4
"""How much memory any process may take for the file: far less than it has."""

MOST_RESENT = WINDOW_BYTES + SIZE // 64
"""What a cut may cost on the wire: a window is sent again, and each piece has its header."""


def kept(stage: Stage, name: str, size: int) -> list[Path]:
    """The whole files of this size in a store."""
    store = stage.folder / name / "artifacts"
    return [path for path in store.glob("??/*") if path.stat().st_size == size]


def spoiling(content: bytes) -> Callable[[Direction, bytes], bytes]:
    """Turn one byte of this content over, once."""
    marks = [content[place : place + 16] for place in range(0, len(content), 4096)]
    done: list[bytes] = []

    def alter(way: Direction, data: bytes) -> bytes:
        for mark in marks if not done else ():
            if mark in data:
                done.append(mark)
                return data.replace(mark, bytes([mark[0] ^ 1]) + mark[1:], 1)
        return data

    return alter


async def test_a_file_passes_two_cuts_and_no_process_holds_it_in_memory(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await warm_up(stage)
        sample = await measure(stage, SIZE, seed=SEED, cut=True)
        assert sample.cuts == 2
        assert SIZE < sample.up_bytes < SIZE + MOST_RESENT
        assert SIZE < sample.down_bytes < SIZE + MOST_RESENT
        assert {name: grown for name, grown in sample.growth_bytes.items() if grown > MOST_GROWTH} == {}
        assert [len(kept(stage, name, SIZE)) for name in (MAKER, "hub", TAKER)] == [1, 1, 1]


async def made(stage: Stage, seed: int) -> None:
    """Have a file made, and brought to the hub."""
    graph = TaskConstellation("a file for later")
    graph.star("make", "make_file", arguments={"size": SMALL, "seed": seed}, device=MAKER)
    assert (await (await stage.hub.submit(graph)).wait()).state == "succeeded"


async def carried(stage: Stage, seed: int) -> RunReport:
    graph = TaskConstellation("a file on its way")
    maker = graph.star("make", "make_file", arguments={"size": SMALL, "seed": seed}, device=MAKER)
    graph.star("read", "read_file", arguments={"file": maker.output}, device=TAKER)
    return await (await stage.hub.submit(graph)).wait()


def failure(report: RunReport) -> str:
    """What the star that was to read the file says."""
    (row,) = [row for row in report.rows if row.id == "read"]
    assert row.state == "failed"
    return str(row.error)


def pieces(seed: int) -> list[bytes]:
    """What `make_file` writes for this seed."""
    chance = random.Random(seed)
    return [chance.randbytes(PIECE_BYTES) for _ in range(SMALL // PIECE_BYTES)]


async def test_bytes_that_go_wrong_on_their_way_are_found_before_any_work_sees_them(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        stage.wires[TAKER].alter = spoiling(pieces(SEED)[4])
        assert "the digest" in failure(await carried(stage, SEED))
        assert [len(kept(stage, name, SMALL)) for name in (MAKER, "hub", TAKER)] == [1, 1, 0]


async def test_bytes_that_go_wrong_on_a_disk_are_found_before_any_work_sees_them(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        await made(stage, SEED)
        (rotten,) = kept(stage, "hub", SMALL)
        rotten.chmod(0o600)
        content = b"".join(pieces(SEED))
        rotten.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert "the digest" in failure(await carried(stage, SEED))
        assert kept(stage, TAKER, SMALL) == []

        with anyio.fail_after(30.0):
            while rotten.exists():  # the hub reads its copy again after the complaint, beside its other work
                await anyio.sleep(0.01)
        report = await carried(stage, SEED)
        assert report.state == "succeeded", "a good copy has come in the place of the bad one"
        assert [len(kept(stage, name, SMALL)) for name in (MAKER, "hub", TAKER)] == [1, 1, 1]
