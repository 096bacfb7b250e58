"""What `constellation ask` is told, and where it looks when it is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from constellation.cli.dispatch import dispatch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["  "], "the request is empty"),
        (["x", "--budget", "3apples"], "'3apples' is no budget: write an amount with its unit"),
        (["x", "--price", "cheap", "--model", "vllm/x"], "'cheap' is no price"),
        (["x", "--approve", "none", "--approve", "plan"], "--approve none goes with no other"),
        (["x", "--replay", "nothing.jsonl"], "the cassette can't be read"),
        (["x", "--replay", "a", "--model", "b/c"], "--replay asks no model"),
        (["x", "--hub", "ws://127.0.0.1:1", "--devices", "2"], "--devices can't go with --hub"),
        (["x", "--model", "nonsense"], "'nonsense' is no model"),
        (["x", "--root", "nowhere"], "--root nowhere is no directory"),
        (["x", "--deadline", "0"], "--deadline 0 would end the run before it begins"),
        (["x", "--edits", ",", "--model", "vllm/x"], "stars go with the policy"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_begins(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dispatch(["ask", *arguments]) == 2
    assert message in capsys.readouterr().err
