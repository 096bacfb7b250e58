"""What the device tests share: a hub at the other end of a link, agents around the sample tools, waiting for facts."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from constellation_devices.agent import DeviceAgent
from constellation_devices.home import DeviceHome
from constellation_devices.kept import KeptResults, MemoryKept
from constellation_protocol import (
    Assign,
    Cancel,
    Hello,
    Link,
    Message,
    Refused,
    Result,
    SessionSettings,
    ToolWork,
    Welcome,
    direct_link,
    listen,
)
from constellation_protocol.artifacts import ArtifactStore
from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.messages import Accept, ArtifactInfo, Limits, Progress, Reject
from constellation_protocol.transfer import ARTIFACT_MESSAGES, ArtifactTransfers
from constellation_protocol.transport import Peer
from constellation_tools import Toolset, load_tools

PATIENCE_S = 20.0
SAMPLE_TOOLS = Path(__file__).with_name("sample_tools.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sample_tools_file() -> Path:
    return SAMPLE_TOOLS


@pytest.fixture(scope="session")
def sample_tools() -> Toolset:
    return load_tools(str(SAMPLE_TOOLS))


class HubSide:
    """The orchestrator's end of one session, as tests use it: assign, and wait for what comes."""

    numbers = itertools.count(1)

    def __init__(self, link: Link, store: ArtifactStore | None = None) -> None:
        self.link = link
        self.seen: list[Message] = []
        self._came = anyio.Event()
        self.closed: str | None = None
        self.transfers = None if store is None else ArtifactTransfers(link, store)

    async def run(self) -> None:
        async with anyio.create_task_group() as task_group:
            if self.transfers is not None:
                task_group.start_soon(self.transfers.run)
            try:
                while True:
                    for message in await self.link.receive():
                        if isinstance(message, ARTIFACT_MESSAGES) and self.transfers is not None:
                            self.transfers.handle(message)
                        self.seen.append(message)
                    self._wake()
            except Exception as error:
                self.closed = str(error)
                self._wake()
            task_group.cancel_scope.cancel()

    def _wake(self) -> None:
        self._came.set()
        self._came = anyio.Event()

    async def assign(self, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> str:
        attempt = str(options.pop("attempt", f"a{next(self.numbers)}"))
        await self.link.send(
            Assign(
                run="r",
                star="s",
                attempt=attempt,
                epoch=self.link.welcome.epoch,
                work=ToolWork(tool=tool, arguments=arguments or {}),
                **options,
            )
        )
        return attempt

    async def call(self, tool: str, arguments: dict[str, Any] | None = None, **options: Any) -> Result:
        return await self.result(await self.assign(tool, arguments, **options))

    async def cancel(self, attempt: str, *, grace_s: float = 2.0) -> None:
        await self.link.send(
            Cancel(attempt=attempt, epoch=self.link.welcome.epoch, reason="not wanted", grace_s=grace_s)
        )

    async def until(self, found: Callable[[], Any]) -> Any:
        with anyio.fail_after(PATIENCE_S):
            while not (value := found()):
                assert self.closed is None, f"the session ended: {self.closed}; seen: {self.seen}"
                await self._came.wait()
        return value

    async def until_closed(self) -> str:
        with anyio.fail_after(PATIENCE_S):
            while self.closed is None:
                await self._came.wait()
        return self.closed

    def of(self, kind: type[Message], attempt: str | None = None) -> list[Any]:  # type: ignore[valid-type]
        return [m for m in self.seen if isinstance(m, kind) and attempt in (None, getattr(m, "attempt", None))]  # type: ignore[arg-type]

    async def result(self, attempt: str) -> Result:
        result: Result = (await self.until(lambda: self.of(Result, attempt)))[0]
        assert result.epoch == self.link.welcome.epoch
        return result

    async def accepted(self, attempt: str) -> Accept:
        accept: Accept = (await self.until(lambda: self.of(Accept, attempt)))[0]
        return accept

    async def rejected(self, attempt: str) -> Reject:
        reject: Reject = (await self.until(lambda: self.of(Reject, attempt)))[0]
        return reject

    def texts(self, attempt: str) -> list[str]:
        return [line for p in self.of(Progress, attempt) if p.text is not None for line in p.text.split("\n")]


class Bench:
    """One agent on the test bench, and as many sessions with it as a test opens."""

    def __init__(self, agent: DeviceAgent, home: DeviceHome, store: ArtifactStore, task_group: Any) -> None:
        self.agent = agent
        self.home = home
        self.store = store
        self.task_group = task_group
        self.epochs = itertools.count(1)
        self.hellos: list[Hello] = []

    async def connect(self, **welcome: Any) -> HubSide:
        hello = self.agent.hello()
        self.hellos.append(hello)
        epoch = next(self.epochs)
        hub_link, device_link = direct_link(
            hello, Welcome(session=f"s{epoch}", epoch=epoch, **welcome), on_acked=self.agent.acknowledged
        )
        hub = HubSide(hub_link, self.store)
        self.task_group.start_soon(self.agent.serve, device_link)
        self.task_group.start_soon(hub.run)
        return hub


MakeBench = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def make_bench(tmp_path: Path, sample_tools: Toolset) -> MakeBench:
    @asynccontextmanager
    async def make(
        *, slots: int = 4, worker_processes: bool = False, tools: Sequence[Any] = (), kept: KeptResults | None = None
    ) -> AsyncIterator[Bench]:
        root = tmp_path / "root"
        root.mkdir(exist_ok=True)
        home = DeviceHome(
            root, sample_tools + Toolset(tools), ArtifactStore(tmp_path / "device-files"), kept or MemoryKept()
        )
        async with anyio.create_task_group() as task_group:
            async with DeviceAgent(
                DeviceSpec("bench", slots=slots, labels={"role": "test"}), home, worker_processes=worker_processes
            ) as agent:
                yield Bench(agent, home, ArtifactStore(tmp_path / "hub-files"), task_group)
            task_group.cancel_scope.cancel()

    return make


@pytest.fixture
def small_limits() -> Limits:
    return Limits(max_inline_output_bytes=1000)


async def appears(path: Path) -> str:
    """Wait for a file that another process makes: there is no event to wait for across processes."""
    with anyio.fail_after(PATIENCE_S):
        while not path.exists():
            await anyio.sleep(0.01)
    return path.read_text()


async def vanishes(*pids: int) -> None:
    """Wait until none of these processes is alive any more (a zombie is not)."""
    with anyio.fail_after(PATIENCE_S):
        while any(is_alive(pid) for pid in pids):
            await anyio.sleep(0.01)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        stat = Path(f"/proc/{pid}/stat")
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.fixture
def appearing() -> Callable[[Path], Any]:
    return appears


@pytest.fixture
def vanishing() -> Callable[..., Any]:
    return vanishes


@pytest.fixture
def hub_side() -> type[HubSide]:
    return HubSide


def info_of(store: ArtifactStore, data: bytes, name: str) -> ArtifactInfo:
    return store.put_bytes(data, name=name, media_type="text/plain")


@pytest.fixture
def put_file() -> Callable[[ArtifactStore, bytes, str], ArtifactInfo]:
    return info_of


class SocketHub:
    """An orchestrator's door over a real socket; implements `HubDoor` and hands out sessions."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.tokens: dict[str, str] = {}
        self.epochs = itertools.count(1)
        self.hellos: list[Hello] = []
        self.refusals: list[Refused] = []
        self._sessions: dict[str, list[HubSide]] = {}
        self._joined = anyio.Event()
        self.store: ArtifactStore

    def issue_token(self, device: str) -> str:
        return self.tokens.setdefault(device, f"secret-of-{device}-{os.urandom(8).hex()}")

    def open_direct(self, hello: Hello) -> Link:
        epoch = next(self.epochs)
        hub_link, device_link = direct_link(hello, Welcome(session=f"s{epoch}", epoch=epoch))
        self.task_group.start_soon(self.serve, hub_link)
        self.hellos.append(hello)
        return device_link

    async def authenticate(self, hello: Hello, peer: Peer) -> None:
        if hello.token is None or hello.token != self.tokens.get(hello.device):
            raise Refused("authentication", "the token does not fit")

    async def admit(self, hello: Hello, grounds: None) -> int:
        if self.refusals:
            raise self.refusals.pop()
        self.hellos.append(hello)
        return next(self.epochs)

    async def serve(self, link: Link) -> None:
        hub = HubSide(link, self.store)
        self._sessions.setdefault(link.hello.device, []).append(hub)
        self._joined.set()
        self._joined = anyio.Event()
        await hub.run()

    async def session(self, device: str, number: int = 0) -> HubSide:
        with anyio.fail_after(PATIENCE_S):
            while len(self._sessions.get(device, ())) <= number:
                await self._joined.wait()
        return self._sessions[device][number]


@pytest.fixture
def socket_hub(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[SocketHub]]:
    @asynccontextmanager
    async def make(*, port: int = 0, tokens: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[SocketHub]:
        hub = SocketHub()
        hub.tokens.update(tokens or {})
        hub.store = ArtifactStore(tmp_path / "hub-files")
        async with anyio.create_task_group() as hub.task_group:
            async with listen(
                port=port,
                authenticate=hub.authenticate,
                admit=hub.admit,
                serve=hub.serve,
                settings=SessionSettings(**settings),
            ) as listener:
                hub.url, hub.port = listener.url, listener.port
                yield hub
            hub.task_group.cancel_scope.cancel()

    return make
