"""Two hubs on one journal: when one is killed, its run ends at the other, on the same device, each effect once."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from constellation.cli import main

pytestmark = pytest.mark.e2e

WAIT_S = 60.0
"""How long the takeover may take on a busy machine: no other process tells when it is done."""

FLOW = """\
name: taken over
stars:
  work:
    work:
      tool: python_run
      arguments:
        code: |
          import pathlib, time
          with open("began", "a") as file:
              file.write("once")
          while not pathlib.Path("go").exists():
              time.sleep(0.02)
  after:
    work: {tool: python_run, arguments: {code: "print('done')"}}
lines:
  - {source: work, target: after}
"""


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "shared.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


def until(seen: Callable[[], Any]) -> Any:
    """What another process is waited for to bring about."""
    deadline = time.monotonic() + WAIT_S
    while not (value := seen()):
        assert time.monotonic() < deadline, "it never came"
    return value


def test_a_run_of_a_hub_that_is_killed_ends_at_the_one_that_stands_by(
    store: str, flow: Callable[[str], str], start: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    hubs = [start("serve", "--port", "0", "--token-file", "token", "--journal", store)]
    urls = [str(hubs[0].until(lambda line: line.startswith("hub at "))).removeprefix("hub at ")]
    hubs.append(start("serve", "--port", "0", "--token-file", "token", "--store", store))
    urls.append(str(hubs[1].until(lambda line: line.startswith("hub at "))).removeprefix("hub at "))
    root = Path("root")
    root.mkdir()
    device = start(
        "device", "--url", urls[0], "--url", urls[1], "--token-file", "token", "--name", "d", "--root", str(root)
    )

    def at(hub: int) -> list[Any]:
        assert main(["devices", "--hub", urls[hub], "--token-file", "token", "--json"]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    until(lambda: at(0))
    assert at(1) == []
    client = start("run", flow(FLOW), "--hub", urls[0], "--token-file", "token", "--json")
    run = client.until_event("star_started", star="work")["run"]
    until((root / "began").exists)

    hubs[0].signal(signal.SIGKILL)
    assert client.end() != 0, "it says that it has lost its hub"
    until(lambda: at(1))
    (root / "go").touch()

    def ended() -> bool:
        assert main(["runs", "--journal", store, "--json"]) == 0
        (summary,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return bool(summary["state"] == "succeeded")

    until(ended)
    assert (root / "began").read_text() == "once"
    again = start("resume", run, "--hub", urls[1], "--token-file", "token", "--json")
    assert again.end() == 0, again.errors
    settled = [event for event in map(json.loads, again.lines) if event["event"] == "star_settled"]
    assert [(event["star"], event["state"], event["device"]) for event in settled] == [
        ("work", "succeeded", "d"),
        ("after", "succeeded", "d"),
    ]
    for program in (device, hubs[1]):
        program.signal(signal.SIGINT)
        program.end()
