"""A hub whose PostgreSQL is restarted under it, ends for good, or is away when the hub is told to stop."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from constellation.cli import main

if TYPE_CHECKING:
    from constellation.testing.postgres import PostgresServer

pytestmark = pytest.mark.e2e

WAIT_S = 60.0

AWAY = "what is to be stored waits for it"

FLOW = """\
name: interrupted
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
    work:
      tool: python_run
      arguments:
        code: |
          with open("after", "a") as file:
              file.write("once")
lines:
  - {source: work, target: after}
"""


class Scene:
    """A hub on a database, a device, and a client whose run has begun its first star."""

    def __init__(self, start: Callable[..., Any], flow: Callable[[str], str], url: str, *options: str) -> None:
        self.root = Path("root")
        self.root.mkdir()
        self.hub = start("serve", "--port", "0", "--token-file", "token", "--journal", url, *options)
        self.url = str(self.hub.until(lambda line: line.startswith("hub at "))).removeprefix("hub at ")
        self.device = start(
            "device", "--url", self.url, "--token-file", "token", "--name", "d", "--root", str(self.root)
        )
        deadline = time.monotonic() + WAIT_S
        while not self._devices():
            assert time.monotonic() < deadline, "the device never came"
        self.client = start("run", flow(FLOW), "--hub", self.url, "--token-file", "token", "--json")
        self.client.until_event("star_started", star="work")

    def _devices(self) -> str:
        with redirect_stdout(StringIO()) as out:
            assert main(["devices", "--hub", self.url, "--token-file", "token", "--json"]) == 0
        return out.getvalue()

    def let_work_end(self) -> None:
        (self.root / "go").touch()

    def until_the_hub_says(self, words: str) -> None:
        assert self.hub.process.stderr is not None
        assert any(words in line for line in self.hub.process.stderr), "it ended without having said so"

    def stop_device(self) -> None:
        self.device.signal(signal.SIGINT)
        self.device.end()


def test_a_hub_lives_through_a_restart_of_its_server(
    postgres_server: PostgresServer, postgres_url: str, flow: Callable[[str], str], start: Callable[..., Any]
) -> None:
    scene = Scene(start, flow, postgres_url)
    postgres_server.stop("immediate")
    try:
        scene.let_work_end()
        scene.until_the_hub_says(AWAY)
        assert not (scene.root / "after").exists()
    finally:
        postgres_server.start()
    assert scene.client.end() == 0, scene.client.errors
    settled = [event for event in map(json.loads, scene.client.lines) if event["event"] == "star_settled"]
    assert [(event["star"], event["state"]) for event in settled] == [("work", "succeeded"), ("after", "succeeded")]
    assert ((scene.root / "began").read_text(), (scene.root / "after").read_text()) == ("once", "once")
    scene.stop_device()
    scene.hub.signal(signal.SIGINT)
    scene.hub.end()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_hub_that_waits_for_its_server_ends_promptly_when_told_to(
    postgres_server: PostgresServer,
    postgres_url: str,
    flow: Callable[[str], str],
    start: Callable[..., Any],
    number: signal.Signals,
) -> None:
    scene = Scene(start, flow, postgres_url)
    postgres_server.stop("immediate")
    try:
        scene.let_work_end()
        scene.until_the_hub_says(AWAY)
        told_at = time.monotonic()
        scene.hub.signal(number)
        code, errors = scene.hub.end_of_errors()
        assert time.monotonic() - told_at < 15
        assert (code, "Traceback" in errors) == (128 + number, False), errors
    finally:
        postgres_server.start()
    scene.client.end()
    scene.stop_device()
    assert not (scene.root / "after").exists()


def test_a_hub_whose_server_stays_away_ends_with_an_error(
    postgres_server: PostgresServer, postgres_url: str, flow: Callable[[str], str], start: Callable[..., Any]
) -> None:
    scene = Scene(start, flow, postgres_url, "--journal-patience", "0.2")
    postgres_server.stop("immediate")
    try:
        scene.let_work_end()
        code, errors = scene.hub.end_of_errors()
    finally:
        postgres_server.start()
    assert code == 2
    assert "longer than it is waited for" in errors
    assert "Traceback" not in errors
    scene.client.end()
    scene.stop_device()
