"""The device agent of this project keeps to the protocol, as the conformance kit sees it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from constellation.testing.conformance import CHECKS, Check, starting

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

TOOLS = Path(__file__).with_name("conformance_tools.py")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_the_agent_passes(check: Check, start_agent: Any, run_checks: Any) -> None:
    (report,) = await run_checks(start_agent(lambda transport: transport), [check.name])
    assert (report.outcome, report.reason) == ("passed", "")


async def test_the_agent_as_a_process_keeps_its_word_when_it_is_killed(run_checks: Any) -> None:
    offered = " ".join(f"--tools {TOOLS}:{name}" for name in ("echo", "sleep"))
    command = f"{sys.executable} -m constellation_devices --url {{url}} --name {{name}} --state-dir {{state_dir}}"
    names = ["keeps_results_over_its_own_death", "remembers_what_it_began_over_its_own_death"]
    reports = await run_checks(starting(f"{command} --slots 2 --grace 0 {offered}"), names, patience_s=30.0)
    assert [(report.outcome, report.reason) for report in reports] == [("passed", "")] * 2
