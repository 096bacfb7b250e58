"""Orchestrators with device processes: what survives the death of either, and what is left when all is over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from constellation import EditBuilder, Orchestrator, Review, RunFailed, TaskConstellation
from constellation.orchestrator import events as seen
from constellation.orchestrator.errors import CannotResume, DecisionNeeded, DeviceUnsuited, RunInUse

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

HERE = Path(__file__).parent
TOOLS = str(HERE / "orchestra_tools.py")


class Interrupted:
    """The program under test, killed while the late stars wait at their gate."""

    def __init__(self, process: subprocess.Popen[str], tmp_path: Path) -> None:
        self.process = process
        self.home = tmp_path / "home"
        self.log = tmp_path / "log"
        self.gate = tmp_path / "gate"
        self.run = ""
        self.devices: dict[str, int] = {}

    def wait_until_late(self) -> None:
        """Read what it says until four late stars have begun, which fill all slots."""
        assert self.process.stdout is not None
        late = 0
        for line in self.process.stdout:
            words = line.split()
            if words[0] == "run":
                self.run = words[1]
            elif words[0] == "device":
                self.devices[words[1]] = int(words[2])
            late += words[0] == "star_started" and words[1].startswith("late")
            if late == 4:
                return
        raise AssertionError("the program ended early")

    def kill_devices(self) -> None:
        """Kill the device processes, and return when they are gone: until then they count as living on."""
        for pid in self.devices.values():
            os.kill(pid, signal.SIGKILL)
        while any(map(is_running, self.devices.values())):
            os.sched_yield()  # they are no children of this process, so there is nothing to wait on

    def effects(self) -> Counter[str]:
        return Counter(self.log.read_text().split())


@contextmanager
def interrupted(tmp_path: Path, *, idempotent: bool = False) -> Iterator[Interrupted]:
    names = [tmp_path / "home", TOOLS, tmp_path / "log", tmp_path / "gate", "yes" if idempotent else "no"]
    command = [sys.executable, str(HERE / "interrupted_program.py"), *map(str, names)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        program = Interrupted(process, tmp_path)
        try:
            program.wait_until_late()
            yield program
        finally:
            process.kill()
            for pid in program.devices.values():
                if psutil.pid_exists(pid):
                    os.kill(pid, signal.SIGKILL)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def device_processes(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if "constellation_devices" in process.cmdline() and str(home) in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


async def finish(run_id: str, program: Interrupted, **options: bool) -> tuple[dict[str, int], list[str]]:
    """Resume the run, open the gate once it has been taken up, and return the counts and what was given out."""
    journal = program.home / "journal.db"
    with anyio.fail_after(60):
        async with Orchestrator.reopen(run_id, journal=journal, home=program.home, **options) as orchestrator:
            run = await orchestrator.resume(run_id)
            program.gate.touch()
            assigned = [event.star async for event in run.events() if isinstance(event, seen.StarAssigned)]
            report = await run.wait()
    return report.stars, assigned


async def test_device_agents_are_processes_of_their_own_that_talk_over_websocket(tmp_path: Path) -> None:
    async with Orchestrator.local(devices=3, kind="process", home=tmp_path) as orchestrator:
        devices = await orchestrator.devices()
        pids = {device.pid for device in devices}
        assert len(pids | {os.getpid()}) == 4
        port = int(orchestrator.url.rpartition(":")[2].partition("/")[0])
        for device in devices:
            assert device.pid is not None
            process = psutil.Process(device.pid)
            assert process.ppid() == os.getpid()
            assert any(
                connection.raddr and connection.raddr.port == port and connection.status == psutil.CONN_ESTABLISHED
                for connection in process.net_connections()
            )
    assert not any(map(is_running, pids))


async def test_work_of_a_killed_device_is_placed_elsewhere_and_the_report_says_so(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    graph = TaskConstellation("killed")
    for number in range(6):
        graph.star(f"wait {number}", "wait_for", path=str(gate))
    async with Orchestrator.local(devices=3, kind="process", slots=1, tools=[TOOLS], home=tmp_path) as orchestrator:
        pids = {device.name: device.pid for device in await orchestrator.devices()}
        run = await orchestrator.submit(graph)
        victim = ""
        with anyio.fail_after(60):
            async for event in run.events():
                if isinstance(event, seen.StarStarted) and not victim:
                    victim = event.device
                    pid = pids[victim]
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
                if isinstance(event, seen.DeviceLeft):
                    assert event.reason == "its process was ended by SIGKILL"
                    gate.write_text("go")
        report = await run.wait()
    assert report.stars == {"succeeded": 6}
    assert report.devices_lost == (victim,)
    assert list(report.moved.values()) == [victim]
    assert victim not in report.device_s
    assert max(row.attempts for row in report.rows) == 2


async def test_what_may_have_had_its_effect_is_not_run_again_on_another_device(tmp_path: Path) -> None:
    graph = TaskConstellation("careful")
    log, gate = tmp_path / "log", tmp_path / "gate"
    graph.star("careful", "record_and_wait", log=str(log), line="effect", gate=str(gate))
    async with Orchestrator.local(devices=2, kind="process", slots=1, tools=[TOOLS], home=tmp_path) as orchestrator:
        pids = {device.name: device.pid for device in await orchestrator.devices()}
        run = await orchestrator.submit(graph)
        with anyio.fail_after(60):
            async for event in run.events():
                if isinstance(event, seen.StarStarted):
                    while not log.exists():
                        await anyio.sleep(0.01)
                    pid = pids[event.device]
                    assert pid is not None
                    os.kill(pid, signal.SIGKILL)
        with pytest.raises(RunFailed, match="AttemptOutcomeUnknown"):
            await run.result()
    assert log.read_text() == "effect\n"


async def test_after_the_orchestrator_was_killed_devices_that_live_on_bring_back_what_they_did(tmp_path: Path) -> None:
    with interrupted(tmp_path) as program:
        program.process.kill()
        program.process.wait()
        assert all(map(is_running, program.devices.values()))
        stars, assigned = await finish(program.run, program)
        assert stars == {"succeeded": 11}
        assert not [star for star in assigned if star.startswith("early")]
        assert program.effects() == Counter([f"early-{n}" for n in range(4)] + [f"late-{n}" for n in range(6)])
        assert not any(map(is_running, program.devices.values()))
        assert not device_processes(program.home)


async def test_a_run_can_be_resumed_when_its_devices_died_with_the_orchestrator(tmp_path: Path) -> None:
    with interrupted(tmp_path, idempotent=True) as program:
        program.process.kill()
        program.kill_devices()
        program.process.wait()
        stars, assigned = await finish(program.run, program)
        assert stars == {"succeeded": 11}
        assert not [star for star in assigned if star.startswith("early")]
        effects = program.effects()
        assert all(effects[f"early-{n}"] == 1 for n in range(4))
        assert sorted(effects[f"late-{n}"] for n in range(6)) == [1, 1, 2, 2, 2, 2]
        assert not device_processes(program.home)


@pytest.mark.parametrize("rerun", [False, True])
async def test_a_person_decides_whether_work_of_unknown_outcome_is_run_again(tmp_path: Path, rerun: bool) -> None:
    with interrupted(tmp_path) as program:
        program.process.kill()
        program.kill_devices()
        program.process.wait()
        stars, _ = await finish(program.run, program, rerun_unknown=rerun)
        assert stars == ({"succeeded": 11} if rerun else {"succeeded": 6, "failed": 4, "skipped": 1})


async def test_until_that_is_decided_nothing_is_changed(tmp_path: Path) -> None:
    with interrupted(tmp_path) as program:
        program.process.kill()
        program.kill_devices()
        program.process.wait()
        for _ in range(2):
            with pytest.raises(DecisionNeeded, match="--rerun-unknown") as asked:
                await finish(program.run, program)
            assert {star.partition("-")[0] for star in asked.value.stars} == {"late"}
            assert len(asked.value.stars) == 4
        stars, _ = await finish(program.run, program, rerun_unknown=True)
        assert stars == {"succeeded": 11}


async def test_after_an_interrupt_nothing_is_left_behind_and_the_run_can_be_resumed(tmp_path: Path) -> None:
    with interrupted(tmp_path, idempotent=True) as program:
        program.process.send_signal(signal.SIGINT)
        program.process.wait(20)
        assert not any(map(is_running, program.devices.values()))
        assert not device_processes(program.home)
        stars, assigned = await finish(program.run, program)
        assert stars == {"succeeded": 11}
        assert not [star for star in assigned if star.startswith("early")]


async def test_a_run_that_is_being_worked_on_or_has_ended_is_not_taken_up(tmp_path: Path) -> None:
    with interrupted(tmp_path) as program:
        journal = program.home / "journal.db"
        with pytest.raises(RunInUse, match="another orchestrator"):
            async with Orchestrator.reopen(program.run, journal=journal, home=program.home):
                pass
        program.gate.touch()
        program.process.wait(30)
        with pytest.raises(CannotResume, match="has succeeded already"):
            async with Orchestrator.reopen(program.run, journal=journal, home=program.home):
                pass


async def test_functions_of_this_process_are_refused_by_devices_in_others(tmp_path: Path) -> None:
    def here(number: int) -> int:
        return number

    graph = TaskConstellation("here")
    graph.star("here", here, number=1)
    async with Orchestrator.local(devices=1, kind="process", home=tmp_path) as orchestrator:
        with pytest.raises(DeviceUnsuited, match="module:attr"):
            await orchestrator.submit(graph)


async def test_a_planner_may_edit_before_the_devices_have_come_back(tmp_path: Path) -> None:
    with interrupted(tmp_path, idempotent=True) as program:
        program.process.kill()
        program.process.wait()

        def planner(review: Review) -> EditBuilder | None:
            if "extra" in review.graph:
                return None
            edit = review.edit()
            edit.star("extra", "total", numbers=[3])
            return edit

        journal = program.home / "journal.db"
        with anyio.fail_after(60):
            async with Orchestrator.reopen(
                program.run, journal=journal, home=program.home, planner=planner
            ) as orchestrator:
                run = await orchestrator.resume(program.run)
                program.gate.touch()
                events = [event async for event in run.events()]
        assert not [event for event in events if isinstance(event, seen.EditRefused)]
        assert (await run.wait()).stars == {"succeeded": 12}
