"""A device in a process of its own: dials its orchestrator, stays with it, and ends as a whole.

While the orchestrator can't be reached the work goes on, for as long as the device is told to linger: the first half
of that time goes to mending the session, the second to opening a new one, perhaps with an orchestrator that was
started again, or with another one that takes over from it. A signal makes the device drain, say goodbye and end; a
second one ends it at once.
"""

from __future__ import annotations

import logging
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from ssl import SSLContext

import anyio
from anyio.abc import TaskGroup

from constellation_protocol import ReconnectPolicy, Refused, TransportClosed, dial
from constellation_protocol.kinds import DeviceSpec
from constellation_protocol.tasks import background
from constellation_tools.mcp import McpServer

from .agent import DeviceAgent
from .errors import ResultsNotKept
from .home import open_home
from .mcp_servers import attached_servers
from .prompts.opening import open_prompter

MEND_S = 5.0
"""How long a device that has several orchestrators tries to mend its session with one before it goes to the next."""

DEFAULT_RECONNECT = ReconnectPolicy()

log = logging.getLogger("constellation.device")


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What a device process is told.

    Attributes:
        spec: The device.
        urls: The WebSocket URLs of its orchestrator, and of those that may take over from it, in order of preference.
        token: What lets it in.
        agent_key: The key of its model, or the token of its A2A agent; None to leave the environment's to the client.
        linger_s: How long it goes on without an orchestrator, in seconds.
        grace_s: How long running work may take to finish when the device is told to stop, in seconds.
        tls: Settings for a `wss://` URL; the system's when None.
        reconnect: How long it waits between tries to connect; when it gives up follows from `linger_s`.
        mcp: MCP servers whose tools it offers.
    """

    spec: DeviceSpec
    urls: Sequence[str]
    token: str | None = field(repr=False)
    linger_s: float
    grace_s: float
    agent_key: str | None = field(default=None, repr=False)
    tls: SSLContext | None = None
    reconnect: ReconnectPolicy = DEFAULT_RECONNECT
    mcp: Sequence[McpServer] = ()


async def run_device(settings: DeviceSettings, *, ready: Callable[[], None]) -> None:
    """Run a device until it is told to stop, is drained, or has lingered long enough without an orchestrator.

    Args:
        settings: What the device is told.
        ready: Called when the device is set up, before it dials.

    Raises:
        BadDeviceSetup: it can't be what it is told to be.
        ResultsNotKept: its disk is full, or has failed.
        Refused: the orchestrator does not let it in.
        RemoteProtocolError: what answers at the URL is no orchestrator.
    """
    with _one_error(), open_home(settings.spec, durable=True) as home:
        async with (
            open_prompter(settings.spec, home, key=settings.agent_key) as prompter,
            DeviceAgent(settings.spec, home, worker_processes=True, prompter=prompter) as agent,
            AsyncExitStack() as stack,
        ):
            await agent.look_around()
            await stack.enter_async_context(attached_servers(settings.mcp, agent, home.tools))
            ready()
            async with background() as task_group:
                task_group.start_soon(_obey_signals, agent, settings.grace_s, task_group)
                await stay_connected(
                    agent,
                    settings.urls,
                    token=settings.token,
                    linger_s=settings.linger_s,
                    tls=settings.tls,
                    reconnect=settings.reconnect,
                )
                task_group.cancel_scope.cancel()


@contextmanager
def _one_error() -> Iterator[None]:
    """Results that can't be kept end all tasks of a device, which may notice it together: one error stands for all."""
    try:
        yield
    except BaseExceptionGroup as group:
        failures, others = group.split(ResultsNotKept)
        if failures is None or others is not None:
            raise
        error: BaseException = failures
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


async def stay_connected(
    agent: DeviceAgent,
    urls: Sequence[str],
    *,
    token: str | None,
    linger_s: float,
    tls: SSLContext | None = None,
    reconnect: ReconnectPolicy = DEFAULT_RECONNECT,
) -> None:
    """Hold one session after another; returns when the device has been drained or has lingered in vain.

    Of several URLs the one of the last session is tried first, then those after it, round and round.

    Raises:
        Refused: the orchestrator does not let the device in.
        RemoteProtocolError: what answers at the URL is no orchestrator.
    """
    policy = replace(reconnect, give_up_s=linger_s / 2 if len(urls) == 1 else min(MEND_S, linger_s / 2))
    hello = partial(agent.hello, token, elsewhere=len(urls) > 1)
    tries = 0
    place = 0
    deadline = anyio.current_time() + linger_s
    while True:
        url = urls[place % len(urls)]
        try:
            async with dial(url, hello, reconnect=policy, on_acked=agent.acknowledged, ssl=tls) as link:
                log.info("joined %s, epoch %d", url, link.welcome.epoch)
                reason = await agent.serve(link)
            log.info("the session has ended: %s", reason)
            if agent.drained:
                return
            tries = 0
            deadline = anyio.current_time() + linger_s / 2
        except (TransportClosed, Refused) as error:
            if isinstance(error, Refused) and not error.retry:
                raise
            if tries < len(urls):
                log.warning("no orchestrator at %s: %s; trying again", url, error)
            place += 1
        delay_s = policy.delay_s(tries // len(urls), random.random())
        tries += 1
        if anyio.current_time() + delay_s > deadline:
            log.warning("no orchestrator at %s for %g s: the device stops", " or ".join(urls), linger_s)
            return
        await anyio.sleep(delay_s)


async def _obey_signals(agent: DeviceAgent, grace_s: float, task_group: TaskGroup) -> None:
    async def finish(name: str) -> None:
        await agent.finish(f"received {name}", grace_s=grace_s)
        task_group.cancel_scope.cancel()

    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        obeyed = False
        async for number in signals:
            name = signal.Signals(number).name
            if obeyed:
                log.warning("%s again: stopping at once", name)
                task_group.cancel_scope.cancel()
            else:
                log.info("%s: finishing", name)
                task_group.start_soon(finish, name)
                obeyed = True
