"""The reference device in JavaScript: it passes the conformance kit, and works beside a device of ours."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation import Orchestrator, TaskConstellation
from constellation.testing.conformance import starting
from constellation.testing.conformance.files import pattern

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.requires("node", "npm")]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "protocol" / "reference" / "js"
TOOLS = Path(__file__).with_name("conformance_tools.py")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The device with its one dependency, installed away from the source."""
    copy = tmp_path_factory.mktemp("node") / "protocol" / "reference" / "js"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("node_modules", "package-lock.json"))
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run(install, cwd=copy, check=True, stdin=subprocess.DEVNULL, timeout=100)
    return copy / "main.js"


@pytest.mark.timeout(200)
async def test_it_passes_every_check(program: Path, run_checks: Any) -> None:
    command = f"node {program} --grace 0.1"
    reports = await run_checks(starting(command), [])
    assert [(report.name, report.reason) for report in reports if report.outcome != "passed"] == []


def test_its_own_tests_pass() -> None:
    subprocess.run(["node", "--test"], cwd=SOURCE, check=True, stdout=subprocess.PIPE, timeout=60)


def test_what_it_must_be_told_is_asked_for(program: Path) -> None:
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(["node", program], capture_output=True, text=True, env=environment, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (2, "constellation-js-device: give --url\n")


@asynccontextmanager
async def started(command: list[str], token: str) -> AsyncIterator[None]:
    environment = {**os.environ, "CONSTELLATION_TOKEN": token}
    null = subprocess.DEVNULL
    async with await anyio.open_process(command, env=environment, stdout=null, stderr=null) as process:
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                process.terminate()
                await process.wait()


async def test_it_shares_a_run_with_a_device_of_ours(program: Path, tmp_path: Path) -> None:
    graph = TaskConstellation("two languages")
    made = graph.star("make", "make_file", size=300_000, device="js")
    graph.star("measure", "measure_file", file=made.output, device="py")
    back = graph.star("make-back", "make_file", size=1_000, device="py")
    graph.star("measure-back", "measure_file", file=back.output, device="js")
    ours = [sys.executable, "-m", "constellation_devices", "--name", "py", "--grace", "0", "--linger", "5"]
    for name in ("make_file", "measure_file"):
        ours += ["--tools", f"{TOOLS}:{name}"]
    theirs = [
        "node",
        str(program),
        "--name",
        "js",
        "--state-dir",
        str(tmp_path / "js"),
        "--grace",
        "0",
        "--linger",
        "5",
    ]
    async with Orchestrator.serve(journal=tmp_path / "runs.db", home=tmp_path / "home") as hub:
        async with started([*ours, "--url", hub.url], hub.token), started([*theirs, "--url", hub.url], hub.token):
            await hub.wait_for_devices(2)
            with anyio.fail_after(60):
                report = await (await hub.submit(graph)).wait()
    assert {row.id: row.device for row in report.rows} == {
        "make": "js",
        "measure": "py",
        "make-back": "py",
        "measure-back": "js",
    }
    for star, size in (("measure", 300_000), ("measure-back", 1_000)):
        assert report.outputs[star] == {"size": size, "sha256": hashlib.sha256(pattern(size)).hexdigest()}
