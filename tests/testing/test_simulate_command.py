"""The command that runs worlds by the thousand, and replays one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from constellation.scheduling import RunMachine
from constellation.testing import simulate as command
from constellation.testing.interrupts import interrupts_wait
from constellation.testing.seeds import simulate, simulate_across

MODULE = "constellation.testing.simulate"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", MODULE, *arguments], capture_output=True, text=True)


@pytest.mark.e2e
def test_worlds_are_run_in_processes_and_told_as_text() -> None:
    done = run("--seeds", "50", "--from", "20", "--jobs", "2")
    assert done.returncode == 0
    assert done.stdout.startswith("50 worlds from seed 20 in ")
    assert done.stdout.endswith("every invariant held\n")
    assert "commands: " in done.stdout
    assert done.stderr == ""


@pytest.mark.e2e
def test_worlds_are_told_as_json() -> None:
    told = json.loads(run("--seeds", "5", "--json", "--jobs", "1").stdout)
    assert (told["worlds"], told["from"], told["breaches"]) == (5, 0, {})
    assert told["commands"]["StarSettled"] > 0


@pytest.mark.e2e
def test_one_world_is_replayed_with_its_trace() -> None:
    done = run("--seed", "3", "--trace")
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert any("run_started run" in line for line in lines)
    assert lines[-1].startswith("seed 3: ")
    told = json.loads(run("--seed", "3", "--trace", "--json").stdout)
    assert told["trace"] == lines[:-1]
    assert f"digest {told['digest']}" in lines[-1]


@pytest.mark.e2e
def test_an_interrupt_ends_it_with_what_there_is_so_far() -> None:
    terminal, its_end = os.openpty()
    command_line = [sys.executable, "-m", MODULE, "--seeds", "100000000", "--jobs", "1"]
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, stderr=its_end, text=True) as process:
        os.close(its_end)
        shown = b""
        while b" worlds, " not in shown:
            shown += os.read(terminal, 1000)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=60)
    os.close(terminal)
    assert process.returncode == command.INTERRUPTED
    assert printed.splitlines()[0].endswith("1 processes")
    assert "Traceback" not in printed


@pytest.mark.e2e
def test_a_trace_of_many_worlds_is_refused() -> None:
    done = run("--seeds", "5", "--trace")
    assert (done.returncode, done.stdout) == (2, "")
    assert "give its seed with --seed" in done.stderr


def test_interrupts_do_not_reach_processes_that_begin_and_are_not_lost() -> None:
    look = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))"
    began: list[str] = []

    def begin_while_interrupted() -> None:
        with interrupts_wait():
            os.kill(os.getpid(), signal.SIGINT)
            began.append(subprocess.run([sys.executable, "-c", look], capture_output=True, text=True).stdout)

    with pytest.raises(KeyboardInterrupt):
        begin_while_interrupted()
    assert began == ["True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_breach_is_told_with_the_command_that_replays_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(RunMachine, "_end_review", lambda *_: False)
    tally = simulate(range(5))
    assert tally.breaches
    seed = min(tally.breaches)

    def here(seeds: range, *, jobs: int) -> Any:
        yield tally

    monkeypatch.setattr(command, "simulate_across", here)
    assert command._run(range(5), jobs=1, as_json=False) == 1
    told = capsys.readouterr().out
    assert f"python -m constellation.testing.simulate --seed {seed} --trace" in told
    assert f"{len(tally.breaches)} of them breached an invariant" in told
    assert command._replay(seed, trace=False, as_json=False) == 1
    assert tally.breaches[seed] in capsys.readouterr().out


@pytest.mark.e2e
def test_chunks_in_other_processes_come_to_what_they_come_to_here() -> None:
    across = simulate(range(0))
    for chunk in simulate_across(range(7, 150), jobs=2):
        across.add(chunk)
    assert across == simulate(range(7, 150))


def test_a_process_that_is_killed_is_told_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def here(seeds: range, *, jobs: int) -> Any:
        yield simulate(range(1))
        raise BrokenProcessPool

    monkeypatch.setattr(command, "simulate_across", here)
    assert command._run(range(5), jobs=1, as_json=True) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["worlds"] == 1
    assert told.err.startswith("a process was killed in the middle of its worlds")
