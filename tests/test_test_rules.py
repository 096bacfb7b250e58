"""The rules that tests are held to are enforced: programs that are needed, and processes that are left behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

NEEDS = """\
import pytest

@pytest.mark.requires("no-such-program-anywhere")
def test_it():
    pass
"""

LEAVES_BEHIND = """\
import subprocess, sys

def test_it():
    subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
"""

TIDY = """\
import subprocess, sys

def test_it():
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as child:
        child.kill()
"""


def outcome(folder: Path, test: str, *, ci: str) -> str:
    """What pytest prints for a test under the rules of our conftest."""
    (folder / "conftest.py").write_text(CONFTEST.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "test_sample.py").write_text(test, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "--strict-markers", "-p", "no:cacheprovider", folder],
        cwd=folder,
        env={**os.environ, "CI": ci},
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.mark.e2e
def test_a_test_whose_program_is_missing_is_skipped_with_the_reason(tmp_path: Path) -> None:
    printed = outcome(tmp_path, NEEDS, ci="")
    assert "1 skipped" in printed
    assert "needs the program 'no-such-program-anywhere'" in printed


@pytest.mark.e2e
def test_on_ci_a_test_whose_program_is_missing_fails(tmp_path: Path) -> None:
    assert re.search(r"1 (failed|error)", outcome(tmp_path, NEEDS, ci="true"))


@pytest.mark.e2e
def test_a_test_that_leaves_a_process_behind_fails_and_the_process_is_ended(tmp_path: Path) -> None:
    printed = outcome(tmp_path, LEAVES_BEHIND, ci="")
    assert "1 error" in printed
    found = re.search(r"processes are left behind: \['(\d+): ", printed)
    assert found is not None
    assert not Path(f"/proc/{found[1]}").exists()


@pytest.mark.e2e
def test_a_test_that_ends_its_processes_passes(tmp_path: Path) -> None:
    assert "1 passed" in outcome(tmp_path, TIDY, ci="")
