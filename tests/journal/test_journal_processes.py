"""The journal between processes: killed writers, concurrent readers, leases."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from constellation.journal import RunBusy, open_journal

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

WRITER = textwrap.dedent("""
    import json, sys
    import anyio
    from constellation.journal import Record, open_journal

    async def write(journal, run, size):
        await journal.create_run(run, name="x", at=1.0)
        print(json.dumps([run, 0]), flush=True)
        seq = 0
        while True:
            batch = [Record(run, seq + n, 1.0, "k", b"%d" % (seq + n) * size) for n in range(1, 1 + seq % 4 + 1)]
            await journal.append(batch)
            seq = batch[-1].seq
            print(json.dumps([run, seq]), flush=True)

    async def main():
        async with open_journal(sys.argv[1]) as journal, anyio.create_task_group() as tasks:
            for n, size in enumerate((1, 10, 5000)):
                tasks.start_soon(write, journal, f"r{n}", size)

    anyio.run(main)
""")

LEASER = textwrap.dedent("""
    import sys
    import anyio
    from constellation.journal import RunBusy, open_journal

    async def main():
        async with open_journal(sys.argv[1]) as journal:
            print("ready", flush=True)
            sys.stdin.readline()
            try:
                await journal.acquire("r1", owner=sys.argv[2], at=100.0, lease_s=10.0)
                print("got it")
            except RunBusy as busy:
                print("busy:", busy.owner)

    anyio.run(main)
""")


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(params=["sqlite", "postgres"])
def path(request, tmp_path):
    """Where the journal is: a file, or the URL of a database."""
    return request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "journal.db"


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


async def holds_what_was_promised(path, lines):
    promised = {}
    for line in lines:
        if line.endswith("\n"):  # the kill may have cut the last one
            run, seq = json.loads(line)
            promised[run] = seq
    assert promised
    async with open_journal(path) as journal:
        for run, seq in promised.items():
            numbers = [record.seq async for record in journal.read(run)]
            assert len(numbers) >= seq
            assert numbers == list(range(1, len(numbers) + 1))
            async for record in journal.read(run):
                text = b"%d" % record.seq
                assert record.body == text * (len(record.body) // len(text))


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_a_writer_was_told_is_stored_is_there_after_a_crash_of_the_server(
    postgres_server, postgres_url, seed
):
    lines_before_the_crash = random.Random(seed).randint(1, 200)
    with start(WRITER, postgres_url) as child:
        lines = [child.stdout.readline() for _ in range(lines_before_the_crash)]
        postgres_server.stop("immediate")
        try:
            lines += child.stdout.readlines()
        finally:
            postgres_server.start()
    assert child.returncode == 1
    await holds_what_was_promised(postgres_url, lines)


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_a_killed_writer_was_told_is_stored_is_there(path, seed):
    lines_before_the_kill = random.Random(seed).randint(1, 400)
    with start(WRITER, path) as child:
        lines = [child.stdout.readline() for _ in range(lines_before_the_kill)]
        child.kill()
        lines += child.stdout.readlines()
    await holds_what_was_promised(path, lines)
    if not isinstance(path, Path):
        return
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


async def test_a_reader_sees_what_another_process_has_written_so_far(path):
    with start(WRITER, path) as child:
        try:
            promised = dict(json.loads(child.stdout.readline()) for _ in range(60))
            with anyio.fail_after(20):
                async with open_journal(path) as journal:
                    for run, seq in promised.items():
                        assert len([record async for record in journal.read(run)]) >= seq
                        assert (await journal.run(run)).events >= seq
                    assert {summary.run for summary in await journal.runs()} >= set(promised)
        finally:
            child.kill()


async def test_one_of_many_processes_gets_the_lease(path):
    async with open_journal(path) as journal:
        await journal.create_run("r1", name="x", at=1.0)
        children = {name: start(LEASER, path, name) for name in ("p0", "p1", "p2", "p3")}
        for child in children.values():
            assert child.stdout.readline() == "ready\n"
        for child in children.values():
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = {name: child.communicate(timeout=30)[0].strip() for name, child in children.items()}
        (winner,) = [name for name, answer in answers.items() if answer == "got it"]
        assert sorted(answers.values()) == [f"busy: {winner}"] * 3 + ["got it"]
        with pytest.raises(RunBusy, match=f"held by {winner}"):
            await journal.acquire("r1", owner="here", at=109.0, lease_s=10.0)
        await journal.acquire("r1", owner="here", at=110.0, lease_s=10.0)
