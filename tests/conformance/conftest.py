"""What the conformance tests share: our own device agent under test, in this process and over a real socket."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from constellation.testing.conformance import CHECKS, CheckReport, Invitation, Start, check_device
from constellation_devices.agent import DeviceAgent
from constellation_devices.home import open_home
from constellation_protocol import ProtocolError, ReconnectPolicy, Refused, Transport
from constellation_protocol.dialer import dial_over
from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.messages import MAX_FRAME_BYTES
from constellation_protocol.tasks import background
from constellation_protocol.websocket import connect_websocket

TOOLS = Path(__file__).with_name("conformance_tools.py")
TOOL_NAMES = ("echo", "fail", "sleep", "count", "make_file", "measure_file")

Wrap = Callable[[Transport], Transport]


class RunningAgent:
    """An agent in a task of this process; killing it cancels the task, whatever it is doing."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.gone = anyio.Event()

    async def run(self, invitation: Invitation, wrap: Wrap) -> None:
        try:
            with self.scope:
                await run_agent(invitation, wrap)
        finally:
            self.gone.set()

    async def kill(self) -> None:
        self.scope.cancel()
        with anyio.CancelScope(shield=True):
            await self.gone.wait()


async def run_agent(invitation: Invitation, wrap: Wrap) -> None:
    tools = [f"{TOOLS}:{name}" for name in TOOL_NAMES]
    spec = DeviceSpec(invitation.name, slots=2, tools=tools, state_dir=invitation.state_dir)
    policy = ReconnectPolicy(first_delay_s=0.01, max_delay_s=0.05)

    async def connect() -> Transport:
        return wrap(await connect_websocket(invitation.url, max_frame_bytes=MAX_FRAME_BYTES))

    with open_home(spec, durable=True) as home:
        async with DeviceAgent(spec, home, worker_processes=False) as agent:
            hello = partial(agent.hello, invitation.token)
            while not agent.drained:
                try:
                    async with dial_over(connect, hello, reconnect=policy, on_acked=agent.acknowledged) as link:
                        await agent.serve(link)
                except Refused as refused:
                    if not refused.retry:
                        return
                except ProtocolError:
                    await anyio.sleep(policy.delay_s(0, random.random()))


def agent_start(wrap: Wrap) -> Start:
    """A start of the device agent whose connections are wrapped."""

    @asynccontextmanager
    async def start(invitation: Invitation) -> AsyncIterator[RunningAgent]:
        async with background() as tasks:
            running = RunningAgent()
            tasks.start_soon(running.run, invitation, wrap)
            try:
                yield running
            finally:
                await running.kill()

    def begin(invitation: Invitation) -> AbstractAsyncContextManager[RunningAgent]:
        return start(invitation)

    return begin


async def reports_of(start: Start | None, names: Sequence[str], **options: object) -> list[CheckReport]:
    """Run the checks of these names, all when there are none."""
    chosen = [check for check in CHECKS if not names or check.name in names]
    assert len(chosen) == len(names or CHECKS)
    reports = []
    with suppress(TimeoutError), anyio.fail_after(100):
        async for report in check_device(chosen, start, **options):  # type: ignore[arg-type]
            reports.append(report)
    assert len(reports) == len(chosen), f"the kit did not come to its end: {reports}"
    return reports


@pytest.fixture
def start_agent() -> Callable[[Wrap], Start]:
    return agent_start


@pytest.fixture
def run_checks() -> Callable[..., object]:
    return reports_of


@pytest.fixture
def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
