"""A client of a hub: the methods of an orchestrator and of its runs, over a connection."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from pydantic import TypeAdapter

from constellation_protocol.errors import ProtocolError, TransportClosed
from constellation_protocol.settings import CLOSE_GRACE_S
from constellation_protocol.tasks import background
from constellation_protocol.transport import Transport

from ..graph import EditBatch, EditBuilder, TaskConstellation
from ..graph.documents import dump, load
from ..journal import RunSummary
from ..scheduling import RunOptions
from .control_messages import CONTROL, CONTROL_PATH, Answer, Open, Request, Told
from .devices import DeviceInfo
from .errors import AdmissionRefused, DevicesMissing, HubRefused, HubUnreachable, Problem
from .events import Event, event_from_json
from .report import RunReport

if TYPE_CHECKING:
    from ssl import SSLContext

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The largest message that a client takes from a hub: the graph of a large run, with its outputs."""

MAX_EVENTS_AHEAD = 1000
"""How many events of a run are taken from the connection before the reader has asked for them."""

_REPORT = TypeAdapter(RunReport)
_SUMMARIES = TypeAdapter(list[RunSummary])
_DEVICES = TypeAdapter(list[DeviceInfo])
_BATCH = TypeAdapter(EditBatch)


@asynccontextmanager
async def connect(
    url: str, token: str | None = None, *, ssl: SSLContext | None = None
) -> AsyncIterator[RemoteOrchestrator]:
    """Open a client's connection to a hub; see `Orchestrator.connect`."""
    from constellation_protocol.websocket import connect_websocket

    token = token if token is not None else os.environ.get("CONSTELLATION_TOKEN", "")
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.netloc:
        raise HubUnreachable(f"{url!r} is no hub's URL; it looks like ws://127.0.0.1:8080/aip")
    address = urlunsplit((parts.scheme, parts.netloc, CONTROL_PATH, "", ""))
    try:
        transport = await connect_websocket(address, max_frame_bytes=MAX_FRAME_BYTES, ssl=ssl)
        await transport.send(Open(token=token).model_dump_json())
        answer = CONTROL.validate_json(await transport.receive())
    except (OSError, ProtocolError) as error:
        raise HubUnreachable(f"the hub at {url} can't be reached: {error}") from error
    try:
        if not isinstance(answer, Answer) or answer.error is not None:
            message = answer.message if isinstance(answer, Answer) else "it does not speak our protocol"
            raise HubUnreachable(f"the hub at {url} does not let this client in: {message}")
        client = RemoteOrchestrator(transport)
        async with background() as tasks:
            tasks.start_soon(client._receive)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(CLOSE_GRACE_S, shield=True):
            await transport.aclose()


class RemoteOrchestrator:
    """A hub, seen from a client."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._numbers = itertools.count(1)
        self._waiting: dict[int, _Pending] = {}
        self._closed: str | None = None

    async def submit(
        self,
        graph: TaskConstellation,
        *,
        options: RunOptions | None = None,
        info: Mapping[str, Any] | None = None,
    ) -> RemoteRun:
        """Start a run on the hub's devices; see `Orchestrator.submit`."""
        arguments = {"graph": dump(graph), "options": asdict(options or RunOptions()), "info": dict(info or {})}
        return self._run(await self.call("submit", arguments))

    async def resume(self, run: str, *, rerun_unknown: bool = False) -> RemoteRun:
        """Go on with a run; see `Orchestrator.resume`."""
        return self._run(await self.call("resume", {"run": run, "rerun_unknown": rerun_unknown}))

    async def find_run(self, run: str) -> RemoteRun:
        """A run that the hub holds; raises HubRefused when it does not."""
        return self._run(await self.call("attach", {"run": run}))

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """The newest runs in the hub's journal, newest first."""
        return _SUMMARIES.validate_python(await self.call("runs", {"limit": limit}))

    async def devices(self) -> list[DeviceInfo]:
        """The connected devices, by name."""
        return _DEVICES.validate_python(await self.call("devices", {}))

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """The graph with states, and the report, of any run in the hub's journal."""
        value = await self.call("show", {"run": run})
        return load(value["graph"]), _REPORT.validate_python(value["report"])

    async def wait_for_devices(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until that many devices are connected; raises DevicesMissing."""
        try:
            await self.call("wait_for_devices", {"count": count, "timeout_s": timeout_s})
        except HubRefused as refusal:
            if refusal.type == DevicesMissing.__name__:
                raise DevicesMissing(str(refusal)) from None
            raise

    async def call(self, call: str, arguments: Mapping[str, Any]) -> Any:
        """Make a request and wait for its answer; raises HubRefused, AdmissionRefused, HubUnreachable."""
        pending = _Pending(None)
        return await self._ask(call, arguments, pending)

    async def follow(self, run: str, after: int) -> AsyncIterator[Event]:
        """The events of a run as they come."""
        send, receive = anyio.create_memory_object_stream[Event](MAX_EVENTS_AHEAD)
        pending = _Pending(send)
        async with background() as tasks, receive:
            tasks.start_soon(self._ask_and_close, "follow", {"run": run, "after": after}, pending, send)
            async for event in receive:
                yield event
            tasks.cancel_scope.cancel()

    async def _ask_and_close(
        self, call: str, arguments: Mapping[str, Any], pending: _Pending, send: MemoryObjectSendStream[Event]
    ) -> None:
        with send:
            await self._ask(call, arguments, pending)

    async def _ask(self, call: str, arguments: Mapping[str, Any], pending: _Pending) -> Any:
        if self._closed is not None:
            raise HubUnreachable(self._closed)
        number = next(self._numbers)
        self._waiting[number] = pending
        try:
            request = Request(number=number, call=call, arguments=dict(arguments))
            await self._transport.send(request.model_dump_json())
            await pending.done.wait()
        except TransportClosed as error:
            raise HubUnreachable(f"the connection to the hub is gone: {error}") from error
        finally:
            self._waiting.pop(number, None)
        answer = pending.answer
        if answer is None:
            raise HubUnreachable(self._closed or "the connection to the hub is gone")
        if answer.error == "AdmissionRefused":
            raise AdmissionRefused([Problem(**problem) for problem in answer.details or ()])
        if answer.error is not None:
            raise HubRefused(answer.error, answer.message)
        return answer.value

    async def _receive(self) -> None:
        """Take in what the hub says, for as long as the connection lasts."""
        try:
            while True:
                message = CONTROL.validate_json(await self._transport.receive())
                if isinstance(message, Answer) and message.number in self._waiting:
                    pending = self._waiting[message.number]
                    pending.answer = message
                    pending.done.set()
                elif isinstance(message, Told) and message.number in self._waiting:
                    stream = self._waiting[message.number].stream
                    if stream is not None:
                        try:
                            await stream.send(event_from_json(message.event))
                        except anyio.BrokenResourceError:
                            continue  # the reader has stopped reading
        except TransportClosed as error:
            self._closed = f"the connection to the hub is gone: {error}"
            for pending in self._waiting.values():
                pending.done.set()

    def _run(self, value: Mapping[str, Any]) -> RemoteRun:
        return RemoteRun(self, str(value["run"]), str(value["name"]))


class _Pending:
    """A request that waits for its answer, and, when it follows a run, for events before that."""

    def __init__(self, stream: MemoryObjectSendStream[Event] | None) -> None:
        self.stream = stream
        self.done = anyio.Event()
        self.answer: Answer | None = None


class RemoteRun:
    """A run on a hub; implements `Run`."""

    def __init__(self, hub: RemoteOrchestrator, id: str, name: str) -> None:
        self._hub = hub
        self._id = id
        self._name = name

    @property
    def id(self) -> str:
        """See `Run.id`."""
        return self._id

    @property
    def name(self) -> str:
        """See `Run.name`."""
        return self._name

    def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """See `Run.events`."""
        return self._hub.follow(self._id, after)

    async def wait(self) -> RunReport:
        """See `Run.wait`."""
        return _REPORT.validate_python(await self._call("report"))

    async def result(self) -> dict[str, Any]:
        """See `Run.result`."""
        report = await self.wait()
        report.raise_for_state()
        return report.outputs

    async def graph(self) -> TaskConstellation:
        """See `Run.graph`."""
        return load(await self._call("graph"))

    async def edit(self, edit: EditBatch | EditBuilder) -> None:
        """See `Run.edit`."""
        batch = edit.build() if isinstance(edit, EditBuilder) else edit
        await self._call("edit", batch=_BATCH.dump_python(batch, mode="json"))

    async def pause(self) -> None:
        """See `Run.pause`."""
        await self._call("pause")

    async def unpause(self) -> None:
        """See `Run.unpause`."""
        await self._call("unpause")

    async def cancel(self, star: str | None = None, *, subtree: bool = False, reason: str = "") -> None:
        """See `Run.cancel`."""
        await self._call("cancel", star=star, subtree=subtree, reason=reason)

    async def approve(self, star: str, approved: bool = True, *, by: str = "", comment: str = "") -> None:
        """See `Run.approve`."""
        await self._call("approve", star=star, approved=approved, by=by, comment=comment)

    async def _call(self, call: str, **arguments: Any) -> Any:
        return await self._hub.call(call, {"run": self._id, **arguments})
