"""A client of a hub: the methods of an orchestrator and of its runs, over a connection."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

import anyio
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from constellation_protocol.errors import ProtocolError, TransportClosed
from constellation_protocol.settings import CLOSE_GRACE_S, HANDSHAKE_TIMEOUT_S
from constellation_protocol.tasks import background
from constellation_protocol.transport import Transport

from ..graph import EditBatch, EditBuilder, TaskConstellation
from ..graph.documents import dump, load
from ..journal import RunSummary
from ..scheduling import RunOptions
from .asked import CanBeAsked
from .control_messages import CONTROL, CONTROL_PATH, NOT_UNDERSTOOD, Answer, Open, Request, understood
from .devices import DeviceInfo
from .errors import AdmissionRefused, DevicesMissing, HubRefused, HubUnreachable, Problem
from .events import Event, event_from_json
from .report import RunReport
from .state_dump import RunDump, dump_from_json

if TYPE_CHECKING:
    from ssl import SSLContext

    from ..planner import Remark
    from .remote_planning import RemotePlace
    from .run import Verdict

UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for a certificate that comes from nobody who is trusted."""

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The largest message that a client takes from a hub: the graph of a large run, with its outputs."""

_REPORT = TypeAdapter(RunReport)
_SUMMARIES = TypeAdapter(list[RunSummary])
_DEVICES = TypeAdapter(list[DeviceInfo])
_PROBLEMS = TypeAdapter(list[Problem])
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
    except (OSError, ProtocolError) as error:
        raise HubUnreachable(f"the hub at {url} can't be reached: {error}{_remedy(error)}") from error
    try:
        welcome = await _open(transport, token, url)
        max_frame_bytes = understood(int, welcome.get("max_frame_bytes", MAX_FRAME_BYTES))
        client = RemoteOrchestrator(transport, max_frame_bytes=max_frame_bytes)
        async with background() as tasks:
            tasks.start_soon(client._receive)
            yield client
            tasks.cancel_scope.cancel()
    finally:
        with anyio.move_on_after(CLOSE_GRACE_S, shield=True):
            await transport.aclose()


def _remedy(error: Exception) -> str:
    """What helps where the hub's certificate is not trusted; nothing for all else."""
    from ssl import SSLCertVerificationError

    cause = error.__cause__
    if not isinstance(cause, SSLCertVerificationError) or cause.verify_code not in UNKNOWN_AUTHORITY:
        return ""
    return "; if its authority is your own, give its certificate: CONSTELLATION_TLS_CA=FILE, or ssl= in the SDK"


async def _open(transport: Transport, token: str, url: str) -> Mapping[str, Any]:
    """Show the token and return what the hub says to it; raises HubUnreachable."""
    try:
        with anyio.fail_after(HANDSHAKE_TIMEOUT_S):
            await transport.send(Open(token=token).model_dump_json())
            answer = CONTROL.validate_json(await transport.receive())
    except (TimeoutError, ProtocolError, ValidationError) as error:
        reason = str(error) if isinstance(error, ProtocolError) else "it does not answer as a hub does"
        raise HubUnreachable(f"the hub at {url} can't be reached: {reason}") from error
    if not isinstance(answer, Answer) or answer.error is not None:
        message = answer.message if isinstance(answer, Answer) else "it does not speak our protocol"
        raise HubUnreachable(f"the hub at {url} does not let this client in: {message}")
    return answer.value if isinstance(answer.value, dict) else {}


class RemoteOrchestrator(CanBeAsked):
    """A hub, seen from a client."""

    def __init__(self, transport: Transport, *, max_frame_bytes: int) -> None:
        self._transport = transport
        self._max_frame_bytes = max_frame_bytes
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
        return self.run(await self.call("submit", arguments))

    async def resume(self, run: str, *, rerun_unknown: bool = False) -> RemoteRun:
        """Go on with a run; see `Orchestrator.resume`."""
        return self.run(await self.call("resume", {"run": run, "rerun_unknown": rerun_unknown}))

    async def find_run(self, run: str) -> RemoteRun:
        """A run that the hub holds; raises HubRefused when it does not."""
        return self.run(await self.call("attach", {"run": run}))

    async def runs(self, *, limit: int = 100) -> list[RunSummary]:
        """The newest runs in the hub's journal, newest first."""
        return understood(_SUMMARIES.validate_python, await self.call("runs", {"limit": limit}))

    async def devices(self) -> list[DeviceInfo]:
        """The connected devices, by name."""
        return understood(_DEVICES.validate_python, await self.call("devices", {}))

    async def show(self, run: str) -> tuple[TaskConstellation, RunReport]:
        """The graph with states, and the report, of any run in the hub's journal."""
        shown = await self.call("show", {"run": run})
        return understood(lambda value: (load(value["graph"]), _REPORT.validate_python(value["report"])), shown)

    async def dump(self, run: str, *, redact: bool = False) -> RunDump:
        """All that is known of a run in the hub's journal; see `Orchestrator.dump`."""
        text = await self.call("dump", {"run": run, "redact": redact})
        return dump_from_json(understood(json.loads, text))

    async def check(self, graph: TaskConstellation) -> list[Problem]:
        """What keeps the hub's devices from carrying a graph out; see `Orchestrator.check`."""
        return understood(_PROBLEMS.validate_python, await self.call("check", {"graph": dump(graph)}))

    async def wait_for_devices(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Wait until that many devices are connected; raises DevicesMissing."""
        try:
            await self.call("wait_for_devices", {"count": count, "timeout_s": timeout_s})
        except HubRefused as refusal:
            if refusal.type == DevicesMissing.__name__:
                raise DevicesMissing(str(refusal)) from None
            raise

    async def call(self, call: str, arguments: Mapping[str, Any]) -> Any:
        """Make a request and wait for its answer.

        Raises:
            HubRefused, AdmissionRefused: the hub refuses it.
            HubUnreachable: the connection is gone.
        """
        if self._closed is not None:
            raise HubUnreachable(self._closed)
        number = next(self._numbers)
        try:
            request = Request(number=number, call=call, arguments=dict(arguments)).model_dump_json()
        except PydanticSerializationError as error:
            raise HubRefused("BadRequest", f"the request can't be written as JSON: {error}") from error
        size = len(request.encode())
        if size > self._max_frame_bytes:
            limit = self._max_frame_bytes / 2**20
            raise HubRefused(
                "TooLarge",
                f"the request takes {size / 2**20:.1f} MiB, and the hub takes {limit:.1f} MiB at once: "
                "add stars in several edits, and pass large values as files",
            )
        pending = self._waiting[number] = _Pending()
        try:
            await self._transport.send(request)
            await pending.done.wait()
        except TransportClosed as error:
            raise HubUnreachable(f"the connection to the hub is gone: {error}") from error
        finally:
            del self._waiting[number]
        answer = pending.answer
        if answer is None:
            raise HubUnreachable(self._closed or "the connection to the hub is gone")
        if answer.error == "AdmissionRefused":
            raise AdmissionRefused(understood(_PROBLEMS.validate_python, answer.details or []))
        if answer.error is not None:
            raise HubRefused(answer.error, answer.message)
        return answer.value

    async def ask_until_known(self, call: str, arguments: Mapping[str, Any]) -> Any:
        """Make a request again for as long as its answer is null; raises as `call` does."""
        while (value := await self.call(call, arguments)) is None:
            continue
        return value

    async def _receive(self) -> None:
        """Take in what the hub says, for as long as the connection lasts."""
        try:
            while True:
                message = CONTROL.validate_json(await self._transport.receive())
                if isinstance(message, Answer) and message.number in self._waiting:
                    pending = self._waiting[message.number]
                    pending.answer = message
                    pending.done.set()
        except ProtocolError as error:
            self._closed = f"the connection to the hub is gone: {error}"
        except ValidationError:
            self._closed = NOT_UNDERSTOOD
        for pending in self._waiting.values():
            pending.done.set()

    @property
    def place(self) -> RemotePlace:
        """Where requests are carried out: at the hub."""
        from .remote_planning import RemotePlace

        return RemotePlace(self)

    def run(self, value: Mapping[str, Any]) -> RemoteRun:
        """The run that an answer names."""
        return understood(lambda named: RemoteRun(self, str(named["run"]), str(named["name"])), value)


def _events(page: Sequence[Mapping[str, Any]]) -> list[Event]:
    return [event_from_json(told) for told in page]


class _Pending:
    """A request that waits for its answer."""

    def __init__(self) -> None:
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

    async def events(self, *, after: int = 0) -> AsyncIterator[Event]:
        """See `Run.events`."""
        while page := await self._hub.ask_until_known("events", {"run": self._id, "after": after}):
            for event in understood(_events, page):
                yield event
                after = event.seq

    async def wait(self) -> RunReport:
        """See `Run.wait`."""
        return understood(_REPORT.validate_python, await self._hub.ask_until_known("report", {"run": self._id}))

    async def result(self) -> dict[str, Any]:
        """See `Run.result`."""
        report = await self.wait()
        report.raise_for_state()
        return report.outputs

    async def graph(self) -> TaskConstellation:
        """See `Run.graph`."""
        return understood(load, await self._call("graph"))

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

    async def propose(self, question: str, arguments: Mapping[str, Any], *, timeout_s: float) -> Verdict:
        """See `Run.propose`; only for the client that looks after the run."""
        from .remote_planning import propose

        return await propose(self._hub, self._id, question, arguments, timeout_s=timeout_s)

    async def note(self, remark: Remark) -> None:
        """See `Run.note`; only for the client that looks after the run."""
        from .remote_planning import note

        await note(self._hub, self._id, remark)

    async def _call(self, call: str, **arguments: Any) -> Any:
        return await self._hub.call(call, {"run": self._id, **arguments})
