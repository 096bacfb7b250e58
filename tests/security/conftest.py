"""What the security tests share: a hub on a real socket, its list of tokens, and devices that say what they like."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from ssl import SSLContext
from typing import Any

import anyio
import pytest

from constellation import Orchestrator, TaskConstellation
from constellation.orchestrator.credentials import Role, issue
from constellation.orchestrator.run import LocalRun
from constellation.orchestrator.token_store import TokenStore
from constellation_protocol import (
    Accept,
    Assign,
    DeviceProfile,
    Hello,
    Link,
    Message,
    ReconnectPolicy,
    Result,
    ToolInfo,
    dial,
)

PATIENCE_S = 30.0
NEVER_AGAIN = ReconnectPolicy(first_delay_s=0.01, max_delay_s=0.05, give_up_s=0.2)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of the test's own."""
    for name in ("CONSTELLATION_TOKEN", "CONSTELLATION_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "home"
    monkeypatch.setenv("CONSTELLATION_HOME", str(path))
    return path


def profile(*tools: str, **labels: str) -> DeviceProfile:
    return DeviceProfile(slots=4, tools=tuple(ToolInfo(name=name) for name in tools or ("work",)), labels=labels)


class PlayedDevice:
    """A device whose every message the test chooses."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._come: list[Message] = []

    async def next(self) -> Message:
        while not self._come:
            self._come = list(await self.link.receive())
        return self._come.pop(0)

    async def assigned(self) -> Assign:
        message = await self.next()
        assert isinstance(message, Assign)
        return message

    async def answer(self, attempt: str, output: Any, *, epoch: int | None = None) -> None:
        """Claim to have done this attempt."""
        epoch = self.link.welcome.epoch if epoch is None else epoch
        await self.link.send(
            Accept(attempt=attempt, epoch=epoch),
            Result(attempt=attempt, epoch=epoch, status="succeeded", output=output),
        )


class PlayedHub:
    """A hub, and what a test does with it."""

    def __init__(self, orchestrator: Orchestrator, home: Path) -> None:
        self.orchestrator = orchestrator
        self.url = orchestrator.url
        self.store = TokenStore(home / "tokens.json")

    def token(
        self,
        name: str,
        role: str = "device",
        *,
        expires_s: float | None = None,
        tools: Sequence[str] = (),
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Make a token as `constellation tokens create` does."""
        now = time.time()
        credential, token = issue(name, Role(role), now=now, expires_s=expires_s, tools=tools, labels=labels)
        self.store.add(credential, now=now)
        return token

    @asynccontextmanager
    async def device(
        self, name: str, token: str | None = None, *, ssl: SSLContext | None = None, **said: Any
    ) -> AsyncIterator[PlayedDevice]:
        """Dial as a device, with the hub's own token when none is given."""
        shown = self.orchestrator.token if token is None else token
        hello = Hello(device=name, token=shown, **{"profile": profile(), **said})
        async with dial(self.url, lambda: hello, reconnect=NEVER_AGAIN, ssl=ssl) as link:
            if hello.session is None:
                while name not in {found.name for found in await self.orchestrator.devices()}:
                    await self.orchestrator._book.hub.wait_changed()
            yield PlayedDevice(link)

    async def submit(self, *tools: str, **star: Any) -> LocalRun:
        graph = TaskConstellation("played")
        for number, tool in enumerate(tools):
            graph.star(f"s{number}", tool, **star)
        return await self.orchestrator.submit(graph)


@pytest.fixture
def hub(home: Path) -> Callable[..., AbstractAsyncContextManager[PlayedHub]]:
    @asynccontextmanager
    async def serve(**options: Any) -> AsyncIterator[PlayedHub]:
        with anyio.fail_after(PATIENCE_S):
            async with Orchestrator.serve(journal=":memory:", home=home, **options) as orchestrator:
                yield PlayedHub(orchestrator, home)

    return serve
