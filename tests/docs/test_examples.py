"""Every example runs to its end and prints what it is there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .pages import ROOT
from .test_pages import TIMEOUT_S, environment

EXAMPLES = ROOT / "examples"

SHOWS = {
    "01_hello.py": ([], "total: 17 words"),
    "02_pipeline.yaml": ([], "succeeded (3 succeeded, 2 skipped)"),
    "03_approval.py": (["--yes"], "succeeded: {'remove': 'removed build/, old.log'}"),
    "04_edit_while_running.py": ([], "visit-harbour-3: 8"),
    "05_remote_devices.py": ([], "read: succeeded on south"),
    "06_planner.py": ([], "it is 37, found in 3 guesses"),
    "07_artifacts.py": ([], "the squares add up to 332833500"),
    "08_llm_devices.py": ([], "the longest word is amphitheatre"),
    "09_ask.py": ([], "1,158,698 people live in the three cities."),
}


def test_every_example_is_tested() -> None:
    assert set(SHOWS) == {file.name for file in EXAMPLES.iterdir() if file.suffix in (".py", ".yaml")}


def test_every_example_is_in_the_list_of_examples() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in SHOWS if f"]({name})" not in text] == []


@pytest.mark.e2e
@pytest.mark.parametrize("name", SHOWS)
def test_example_runs(name: str, tmp_path: Path) -> None:
    arguments, shown = SHOWS[name]
    constellation = Path(sys.executable).with_name("constellation")
    program = [sys.executable, "-W", "error"] if name.endswith(".py") else [constellation, "run"]
    done = subprocess.run(
        [*program, EXAMPLES / name, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert shown in done.stdout
