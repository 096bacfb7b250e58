"""An approval that is asked for in one process, granted in a second, and acted on in a third, after each has ended."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

TOOLS = '''
from pathlib import Path

from constellation_tools import tool


@tool(requires_approval=True)
def publish(title: str, copies: int = 1) -> str:
    """Publish a page."""
    with Path("published.txt").open("a") as file:
        file.write(f"{copies} of {title}\\n")
    return f"{title} is out"


@tool
def reprint(title: str, copies: int = 1) -> str:
    """Publish a page."""
    return publish(title, copies)


@tool
def draft(title: str) -> str:
    """Write a draft."""
    with Path("drafts.txt").open("a") as file:
        file.write(f"{title}\\n")
    return f"{title} is written"
'''

ASK = """
import anyio, os, sys
from pathlib import Path
from constellation_tools import load_tools
from constellation_tools.dialects import ToolCall
from constellation_tools.runner import DirectoryLedger, ToolRunner

async def main():
    async with ToolRunner(load_tools("publishing.py"), ledger=DirectoryLedger(Path("spent"))) as runner:
        batch = await runner.run([
            ToolCall("c1", "draft", {"title": "Weather"}),
            ToolCall("c2", "publish", {"title": "News", "copies": 3}),
        ])
    Path("batch.json").write_text(batch.to_json())
    (approval,) = batch.approvals
    Path("approval.json").write_text(approval.to_json())

anyio.run(main)
os._exit(0)  # as hard an end as a process can have
"""

ANSWER = """
import sys
from pathlib import Path
from constellation_tools.runner import Approval

approval = Approval.from_json(Path("approval.json").read_text())
assert approval.arguments == {"title": "News", "copies": 3}
answer = approval.grant(by="ada") if sys.argv[1] == "grant" else approval.refuse("too many", by="ada")
Path("answer.json").write_text(answer.to_json())
"""

GO_ON = """
import anyio, json, sys
from pathlib import Path
from constellation_tools import ApprovalMismatch, load_tools
from constellation_tools.runner import Answer, CallBatch, DirectoryLedger, ToolRunner

async def main():
    batch = CallBatch.from_json(Path("batch.json").read_text())
    batch.answer(Answer.from_json(Path("answer.json").read_text()))
    async with ToolRunner(load_tools("publishing.py"), ledger=DirectoryLedger(Path("spent"))) as runner:
        await runner.run(batch)
    print(json.dumps([[result.value, result.is_error] for result in batch.results]))

try:
    anyio.run(main)
except ApprovalMismatch as error:
    print(json.dumps(str(error)))
"""

CHANGED = "was given for another call"


class Desk:
    """A directory in which processes leave each other papers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "publishing.py").write_text(TOOLS)

    def run(self, program: str, *arguments: str) -> Any:
        """Run a program to its end, in a process of its own; what it prints is JSON."""
        command = [sys.executable, "-c", program, *arguments]
        done = subprocess.run(command, cwd=self.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def rewrite(self, name: str, old: str, new: str) -> None:
        """Change what a paper says."""
        text = (self.path / name).read_text()
        assert old in text
        (self.path / name).write_text(text.replace(old, new))

    def read(self, name: str) -> str:
        """What a paper says, or nothing."""
        path = self.path / name
        return path.read_text() if path.exists() else ""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk on which a call waits for approval, asked for by a process that is gone."""
    desk = Desk(tmp_path)
    desk.run(ASK)
    assert desk.read("drafts.txt") == "Weather\n"
    assert desk.read("published.txt") == ""
    return desk


def test_a_grant_is_acted_on_after_a_restart_once(desk: Desk) -> None:
    desk.run(ANSWER, "grant")
    assert desk.run(GO_ON) == [["Weather is written", False], ["News is out", False]]
    assert desk.read("published.txt") == "3 of News\n"
    again = desk.run(GO_ON)
    assert again[1] == ["the approval of this call of publish has been used already; ask again", True]
    assert desk.read("published.txt") == "3 of News\n"
    assert desk.read("drafts.txt") == "Weather\n"  # what had its result is not repeated


def test_a_refusal_is_acted_on_after_a_restart(desk: Desk) -> None:
    desk.run(ANSWER, "refuse")
    assert desk.run(GO_ON)[1] == ["this call of publish was refused by ada: too many", True]
    assert desk.read("published.txt") == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"title":"News","copies":3}', '{"title":"News","copies":3000}'),
        ('{"title":"News","copies":3}', '{"title":"News"}'),
        ('"name":"publish","arguments"', '"name":"reprint","arguments"'),
    ],
    ids=["other arguments", "fewer arguments", "another tool"],
)
def test_a_grant_is_for_these_arguments_of_this_tool_alone(desk: Desk, old: str, new: str) -> None:
    desk.run(ANSWER, "grant")
    desk.rewrite("batch.json", old, new)
    value, is_error = desk.run(GO_ON)[1]
    assert is_error
    assert CHANGED in value
    assert desk.read("published.txt") == ""
    assert desk.read("drafts.txt") == "Weather\n"


def test_a_grant_is_for_the_tool_as_it_was_described_when_somebody_was_asked(desk: Desk) -> None:
    desk.run(ANSWER, "grant")
    desk.rewrite("publishing.py", "copies: int = 1", "copies: int = 1, everywhere: bool = True")
    assert CHANGED in desk.run(GO_ON)[1][0]
    assert desk.read("published.txt") == ""


def test_a_grant_of_another_request_is_none(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = Desk(tmp_path_factory.mktemp("other"))
    other.run(ASK)
    other.run(ANSWER, "grant")
    (desk.path / "answer.json").write_text(other.read("answer.json"))
    assert "no call of this batch waits for the answer to request" in desk.run(GO_ON)
    # The same words for the same call, under the id of the request that is asked: the digest alone does not tell.
    answer, approval = json.loads(other.read("answer.json")), json.loads(desk.read("approval.json"))
    assert answer["digest"] == approval["digest"]
    assert answer["approval"] != approval["id"]


def test_of_two_processes_that_act_on_one_grant_at_the_same_time_one_does(desk: Desk) -> None:
    desk.run(ANSWER, "grant")
    command = [sys.executable, "-c", GO_ON]
    both = [subprocess.Popen(command, cwd=desk.path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = [json.loads(each.communicate()[0])[1] for each in both]
    assert sorted(is_error for _, is_error in results) == [False, True]
    assert desk.read("published.txt") == "3 of News\n"
