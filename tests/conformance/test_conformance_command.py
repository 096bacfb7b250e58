"""The command `constellation conformance device`: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from constellation.testing.conformance import CHECKS, starting
from constellation.testing.conformance.cli import APP

TOOLS = Path(__file__).with_name("conformance_tools.py")
OURS = (
    f"{sys.executable} -m constellation_devices --url {{url}} --name {{name}} --state-dir {{state_dir}} "
    f"--slots 2 --grace 0 --tools {TOOLS}:echo"
)


def invoke(*arguments: str) -> Any:
    return CliRunner().invoke(APP, ["device", *arguments], standalone_mode=False)


def test_it_lists_the_checks() -> None:
    result = invoke("--list")
    assert result.return_value == 0
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [check.name for check in CHECKS]


def test_every_check_says_in_a_sentence_what_a_device_has_to_do() -> None:
    assert len({check.name for check in CHECKS}) == len(CHECKS)
    assert [check.name for check in CHECKS if not (check.sentence.endswith(".") and check.sentence[0].isupper())] == []


@pytest.mark.e2e
def test_a_device_that_passes_ends_it_with_exit_code_0() -> None:
    result = invoke("--command", OURS, "--only", "says_hello", "--patience", "30")
    assert result.return_value == 0, result.output
    assert result.stdout.startswith("passed  says_hello")
    assert result.stdout.endswith("1 passed, 0 failed, 0 skipped\n")


@pytest.mark.e2e
def test_a_device_that_fails_ends_it_with_exit_code_1_and_the_frames() -> None:
    result = invoke("--command", OURS, "--only", "shows_its_profile", "--patience", "30")
    assert result.return_value == 1, result.output
    assert "lacks the tools count, fail, sleep" in result.stdout
    assert '| device: {"v":1,' in result.stdout


@pytest.mark.e2e
def test_as_json_each_check_is_an_object() -> None:
    result = invoke("--command", OURS, "--only", "says_hello", "--json", "--patience", "30")
    report = json.loads(result.stdout)
    assert (report["name"], report["outcome"], report["frames"]) == ("says_hello", "passed", [])


@pytest.mark.e2e
def test_without_a_command_it_says_where_it_waits(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    monkeypatch.delenv("CONSTELLATION_TOKEN", raising=False)
    result = invoke("--port", str(free_port), "--only", "says_hello", "--patience", "0.1")
    assert result.return_value == 1
    assert f"ws://127.0.0.1:{free_port}/aip" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--command"),
        (["--only", "no_such_check"], "no_such_check"),
        (["--command", "/no/such/program"], "/no/such/program"),
        (["--command", "'open"], "quotation"),
    ],
)
def test_bad_input_is_one_clear_message(arguments: list[str], words: str) -> None:
    result = invoke(*arguments)
    assert words in str(result.exception)
    assert result.exit_code != 0


def test_an_empty_command_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        starting("  ")
