"""Tokens and API keys are in nothing that a run writes: no journal, log, report, dump, listing or error."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from constellation import Orchestrator
from constellation_protocol import Refused

pytestmark = pytest.mark.e2e

PATIENCE_S = 240.0
PROGRAM = "import sys; from constellation.cli import main; sys.exit(main())"
API_KEYS = {
    "OPENAI_API_KEY": "sk-proj-5f2c8a1e7d3b4960",
    "ANTHROPIC_API_KEY": "sk-ant-9b1d4e7a2c6f8035",
    "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMIbPxRfiCY7c1d",
    "GITHUB_TOKEN": "ghp_3c9e5a7b1d2f4860abcd",
    "DATABASE_URL": "postgres://ann:hunter2-a81f3c@db/work",
}
FLOW = """\
name: secrets
stars:
  python: {work: {tool: python_run, arguments: {code: "import os; print(dict(os.environ))"}}}
  shell: {work: {tool: shell_run, arguments: {argv: [env]}}}
  system: {work: {tool: system_profile}}
  wrong: {work: {tool: python_run, arguments: {code: "import os; raise SystemExit(repr(dict(os.environ)))"}}}
  missing: {work: {tool: files_read, arguments: {path: no-such-file}}}
"""


class Programs:
    """Programs of ours in one folder, with secrets in their environment, and all that they have said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {**os.environ, **API_KEYS, "CONSTELLATION_HOME": str(folder / "home"), "CONSTELLATION_DEBUG": "1"}
        self.said: list[str] = []

    def run(self, *arguments: str, code: int = 0) -> str:
        command = [sys.executable, "-c", PROGRAM, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == code, done.stderr
        self.said += [done.stdout, done.stderr]
        return done.stdout

    @contextmanager
    def running(self, *arguments: str, until: str) -> Iterator[str]:
        """A program that goes on; gives the line with which it was ready."""
        command = [sys.executable, "-c", PROGRAM, *arguments]
        with subprocess.Popen(
            command, cwd=self.folder, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            guard = threading.Timer(PATIENCE_S, process.kill)
            guard.start()
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    self.said.append(line)
                    if until in line:
                        break
                yield line.strip()
            finally:
                process.send_signal(signal.SIGTERM)
                self.said.append(process.communicate()[0])
                guard.cancel()


def test_nothing_that_a_run_writes_or_says_holds_a_secret(tmp_path: Path) -> None:
    programs = Programs(tmp_path)
    (tmp_path / "flow.yaml").write_text(FLOW, encoding="utf-8")
    programs.run("tokens", "create", "rack", "--out", "rack.token")
    programs.run("tokens", "create", "ann", "--role", "client", "--out", "ann.token")
    serve = ("serve", "--port", "0", "--token-file", "hub.token")
    with programs.running(*serve, until="hub at ") as line:
        url = line.removeprefix("hub at ")
        joining = ("device", "--url", url, "--token-file", "rack.token", "--name", "rack", "--slots", "4")
        with programs.running(*joining, "--state-dir", "state", "--root", ".", until="joined"):
            at = ("--hub", url, "--token-file", "ann.token")
            programs.run("run", "flow.yaml", *at, "--report", "report.md", code=1)
            run = programs.run("runs", *at).splitlines()[1].split()[0]
            programs.run("run", "flow.yaml", *at, "--json", code=1)
            programs.run("dump", run, "-o", "run.dump.json", *at)
            programs.run("devices", *at, "--json")
            programs.run("devices", "--hub", url, "--token-file", "rack.token", code=2)
            programs.run("tokens", "list")
    holders = {tmp_path / f"{name}.token" for name in ("rack", "ann", "hub")}
    tokens = [path.read_text(encoding="ascii").strip() for path in holders]
    files = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path not in holders}
    assert {"report.md", "run.dump.json", "tokens.json"} <= {path.name for path in files}
    assert any(b"no-such-file" in content for content in files.values()), "the journal can be searched"
    said = "".join(programs.said)
    assert "joined" in said
    for secret in (*tokens, *API_KEYS.values()):
        assert [path for path, content in files.items() if secret.encode() in content] == []
        assert secret not in said


@pytest.mark.anyio
async def test_logs_hold_no_token_even_when_everything_is_logged(
    hub: Callable[..., AbstractAsyncContextManager[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hub() as played:
        own, client = played.token("rack"), played.token("ann", "client")
        shared = played.orchestrator.token
        async with played.device("rack", own), played.device("desk"):
            async with Orchestrator.connect(played.url, client) as connected:
                assert len(await connected.devices()) == 2
            with pytest.raises(Refused):
                async with played.device("rack", "x" + own[1:]):
                    pass
    assert "connection open" in caplog.text, "the server of WebSockets has been heard"
    for token in (own, client, shared):
        assert token[-8:] not in caplog.text, "not even the end of it, as in a frame that is logged in part"
