"""What `constellation ask` shows while a model plans: at a terminal a line that moves, elsewhere lines, or nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from constellation.console.planning import PlanningView
from constellation.llm import ToolUseDelta
from constellation.planner import Remark, Spent, Thinking
from constellation.planner.thinking import Names
from constellation.testing.models import Gate, ModelServer, Reply

from ..cli.test_cli_terminal import Terminal
from .scripts import call, said
from .test_ask_command import ask, events_of
from .test_ask_options import serving

PLAN = said(
    call("add_star", id="size", tool="system_profile"),
    call("add_star", id="again", tool="system_profile"),
    call("finish", reason="one look will do"),
)


@pytest.mark.e2e
def test_at_a_terminal_stars_are_shown_as_the_model_names_them_and_ctrl_c_leaves_it_clean(
    tmp_path: Path, home: Path
) -> None:
    # Ten pieces of its calls have come: those of the first star, and the name of the second.
    half = Reply(calls=PLAN.calls, gate=Gate(pieces=7))
    with serving(lambda seen: half) as server:
        terminal = Terminal(
            "ask", "What is this machine?", "--model", server.model, "--devices", "1", "--root", str(tmp_path),
            environment={"CONSTELLATION_HOME": str(home)},
        )  # fmt: skip
        try:
            shown = terminal.until("planning")
            terminal.until(r"1 star: … size|2 stars: … size, again", after=shown)
            terminal.type("\x03")
            code = terminal.end()
        finally:
            terminal.close()
    assert code == 130
    assert "stopped before the run had begun" in terminal.text
    assert terminal.text.rindex("\x1b[?25h") > terminal.text.rindex("\x1b[?25l"), "the cursor is there again"


@pytest.mark.anyio
@pytest.mark.e2e
async def test_in_a_pipe_there_are_plain_lines_and_with_json_there_is_json_alone(tmp_path: Path) -> None:
    common = ["--devices", "1", "--journal", str(tmp_path / "journal.db")]
    async with ModelServer([PLAN, "Two.", PLAN, "Two."]) as server:
        plain = await ask("ask", "How many?", "--model", server.model, *common, cwd=tmp_path)
        json = await ask("ask", "How many?", "--model", server.model, *common, "--json", cwd=tmp_path)
    told = plain.stderr.decode().splitlines()
    assert told[1:3] == ["  star size", "  star again"]
    assert re.fullmatch(r"planning: 2 stars in .*; 1 call, 900 \+ 120 tokens", told[3])
    assert told[4].startswith("answering: done in ")
    assert "\x1b" not in plain.stderr.decode() + plain.stdout.decode()
    assert events_of(json.stdout)[-1]["text"] == "Two."
    assert json.stderr == b""


def test_the_line_tells_what_was_named_how_long_it_takes_and_what_it_has_used() -> None:
    now = [0.0]
    told: list[str] = []
    view = PlanningView(note=told.append, live=True, clock=lambda: now[0])
    view._doing = "planning"
    for star in ("a", "b\x1b[2J", "c", "d", "d"):
        view.show(Thinking("plan", star, spent=Spent(2, 1000, 50)))
    now[0] = 12.0
    assert view.line().plain == "⠦ planning  12.0 s  4 stars: … b\\e[2J, c, d  2 calls, 1,000 + 50 tokens"
    assert told == []
    view.show(Remark("mistake", "there is no star 'e'"))
    assert told == ["  the model has to mend: there is no star 'e'"]
    view.show(Remark("asked", ""))
    assert len(told) == 1


def test_a_name_is_known_as_soon_as_it_is_whole() -> None:
    names = Names()
    assert names.take(ToolUseDelta(0, "1", "add_star")) is None
    assert names.take(ToolUseDelta(0, arguments='{"id": "whe')) is None
    assert names.take(ToolUseDelta(0, arguments='el", "tool"')) == "wheel"
    assert names.take(ToolUseDelta(0, arguments=': "measure"}')) is None, "once is enough"
    assert names.take(ToolUseDelta(1, name="finish", arguments='{"reason": "so"}')) is None
    assert names.take(ToolUseDelta(2, name="add_star", arguments='{"id": 5}')) is None
    assert names.take(ToolUseDelta(3, name="add_star", arguments="nonsense")) is None
    assert names.take(ToolUseDelta(4, name="retry", arguments='{"star": "a"}')) == "a"
