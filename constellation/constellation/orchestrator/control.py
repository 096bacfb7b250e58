"""The hub's side of the control path: clients submit graphs, follow runs and change their course over a connection.

Whatever a client sends, it harms nobody but itself: it is answered with an error, or its connection is closed.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from constellation_protocol.errors import ProtocolError, Refused, TransportClosed
from constellation_protocol.settings import HANDSHAKE_TIMEOUT_S
from constellation_protocol.tasks import background
from constellation_protocol.transport import NO_PEER, Peer, Transport
from constellation_protocol.unheard import Unheard

from ..graph import EditBatch, GraphError
from ..graph.documents import dump, load
from ..journal import JournalError
from ..scheduling import RunOptions, SchedulingError
from .control_messages import CONTROL, CONTROL_PATH, CONTROL_VERSION, POLL_S, Answer, Open, Request
from .credentials import Grant
from .errors import AdmissionRefused, ConstellationError, DumpTooLarge, HubRefused
from .limits import HubLimits
from .recovery import shown
from .run import LocalRun
from .unseen import withdraw_if_unseen

if TYPE_CHECKING:
    from .control_planning import ClientsPlanning
    from .orchestrator import Orchestrator

__all__ = ["CONTROL_PATH", "ControlServer"]

PAGE_BYTES = 4 * 1024 * 1024
"""Size after which no further event is put into an answer."""

MAX_DUMP_BYTES = 48 * 1024 * 1024
"""The largest dump that is handed to a client; quoted once more, it has to fit into what a client takes at once."""

MAX_OPENING = 16 * 1024
"""How long the first message of a client may be: whoever sends it has shown no token yet."""

_OPTIONS = TypeAdapter(RunOptions)
_BATCH = TypeAdapter(EditBatch)
_log = logging.getLogger(__name__)

Handler = Callable[["_Client", Mapping[str, Any]], Awaitable[Any]]


class ControlServer:
    """Serves clients of a hub."""

    def __init__(self, orchestrator: Orchestrator, *, max_frame_bytes: int, limits: HubLimits) -> None:
        self.orchestrator = orchestrator
        self._max_frame_bytes = max_frame_bytes
        self._limits = limits
        self._clients = 0
        self._unheard = Unheard()
        self._let_in: dict[_Client, Grant] = {}

    async def handle(self, transport: Transport, path: str, peer: Peer = NO_PEER) -> None:
        """Serve one client until it is gone, or not welcome any more."""
        self._clients += 1
        client = _Client(self.orchestrator, transport, max_requests=self._limits.requests)
        try:
            self._let_in[client] = await self._open(transport, peer)
            welcome = {"version": CONTROL_VERSION, "max_frame_bytes": self._max_frame_bytes}
            await _send(transport, Answer(number=0, value=welcome))
            with client.barred:
                await client.serve()
        except Refused as refusal:
            with suppress(TransportClosed):
                await _send(transport, Answer(number=0, error="Refused", message=refusal.message))
        except (ProtocolError, ValidationError, TimeoutError):
            return  # a client that goes away or does not speak the protocol leaves nothing behind
        finally:
            self._let_in.pop(client, None)
            self._clients -= 1

    def recheck(self) -> None:
        """End the connections of clients whose tokens are worth nothing any more."""
        for client, grant in self._let_in.items():
            if self.orchestrator.door.objection(None, grant) is not None:
                client.barred.cancel()

    async def _open(self, transport: Transport, peer: Peer) -> Grant:
        """What the client on a new connection may do; raises Refused when it is not let in."""
        # Whoever only holds connections open keeps nobody out: the oldest that is silent makes way.
        if self._clients > self._limits.clients and not self._unheard.cut_oldest():
            raise Refused("limit", f"this hub has {self._limits.clients} clients already; try again later")
        with self._unheard.awaited(transport), anyio.fail_after(HANDSHAKE_TIMEOUT_S):
            frame = await transport.receive()
        if len(frame) > MAX_OPENING:
            raise Refused("limit", f"the first message is longer than {MAX_OPENING} characters")
        opening = CONTROL.validate_json(frame)
        grant = self.orchestrator.door.client(opening.token if isinstance(opening, Open) else "", peer)
        if isinstance(opening, Open) and opening.version != CONTROL_VERSION:
            ours = f"this hub speaks version {CONTROL_VERSION} of the control protocol"
            raise Refused("version", f"{ours}, not {opening.version}")
        return grant


class _Client:
    def __init__(self, orchestrator: Orchestrator, transport: Transport, *, max_requests: int) -> None:
        self.orchestrator = orchestrator
        self.barred = anyio.CancelScope()
        self._transport = transport
        self._sending = anyio.Lock()
        self._max_requests = max_requests
        self._under_way = 0
        self._planning: ClientsPlanning | None = None

    @property
    def planning(self) -> ClientsPlanning:
        """What it plans, if anything."""
        if self._planning is None:
            from .control_planning import ClientsPlanning

            self._planning = ClientsPlanning(self.orchestrator)
        return self._planning

    async def serve(self) -> None:
        try:
            async with background() as tasks:
                try:
                    await self._take_requests(tasks)
                finally:
                    tasks.cancel_scope.cancel()
        finally:
            # Only now: a run whose submission went on to its end is among those that it looks after.
            if self._planning is not None:
                with anyio.CancelScope(shield=True):
                    await self._planning.close()

    async def _take_requests(self, tasks: TaskGroup) -> None:
        while True:
            message = CONTROL.validate_json(await self._transport.receive())
            if not isinstance(message, Request):
                continue
            if self._under_way >= self._max_requests:
                text = f"more than {self._max_requests} requests are under way: wait for their answers"
                await self._tell(Answer(number=message.number, error="TooManyRequests", message=text))
                continue
            self._under_way += 1
            tasks.start_soon(self._answer, message)

    async def _answer(self, request: Request) -> None:
        try:
            answer = await self._carry_out(request)
            await self._tell(answer)
        except TransportClosed:
            return
        finally:
            self._under_way -= 1

    async def _carry_out(self, request: Request) -> Answer:
        number = request.number
        handler = _CALLS.get(request.call) or _planning_call(request.call)
        if handler is None:
            return Answer(number=number, error="UnknownCall", message=f"no call {request.call!r} here")
        try:
            return Answer(number=number, value=await handler(self, request.arguments))
        except HubRefused as error:
            return Answer(number=number, error=error.type, message=str(error))
        except (ConstellationError, GraphError, SchedulingError, JournalError) as error:
            details = None
            if isinstance(error, AdmissionRefused):
                details = [dataclasses.asdict(problem) for problem in error.problems]
            return Answer(number=number, error=type(error).__name__, message=str(error), details=details)
        except (KeyError, TypeError, ValueError) as error:
            return Answer(number=number, error="BadRequest", message=f"{type(error).__name__}: {error}")
        except Exception:  # a fault of ours that one request brings to light is no reason to end everybody's runs
            _log.exception("the request %r of a client has failed", request.call)
            text = "the hub could not do this, for a reason of its own; its log has more"
            return Answer(number=number, error="InternalError", message=text)

    async def _tell(self, answer: Answer) -> None:
        async with self._sending:
            await _send(self._transport, answer)

    async def run(self, arguments: Mapping[str, Any]) -> LocalRun:
        return await self.orchestrator.find_run(str(arguments["run"]))


async def _send(transport: Transport, answer: Answer) -> None:
    try:
        text = answer.model_dump_json()
    except PydanticSerializationError:
        # Names and outputs may hold halves of surrogate pairs, which no reader takes: they are shown as `?`.
        text = json.dumps(answer.model_dump(), ensure_ascii=False).encode(errors="replace").decode()
    await transport.send(text)


async def _submit(client: _Client, arguments: Mapping[str, Any]) -> Any:
    options = _OPTIONS.validate_python(arguments.get("options") or {})
    run = await client.orchestrator.submit(load(arguments["graph"]), options=options, info=arguments.get("info"))
    await withdraw_if_unseen(run)
    return {"run": run.id, "name": run.name}


async def _resume(client: _Client, arguments: Mapping[str, Any]) -> Any:
    run = await client.orchestrator.resume(arguments["run"], rerun_unknown=bool(arguments.get("rerun_unknown")))
    return {"run": run.id, "name": run.name}


async def _attach(client: _Client, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    return {"run": run.id, "name": run.name}


async def _runs(client: _Client, arguments: Mapping[str, Any]) -> Any:
    runs = await client.orchestrator.runs(limit=int(arguments.get("limit", 100)))
    return [dataclasses.asdict(summary) for summary in runs]


async def _devices(client: _Client, arguments: Mapping[str, Any]) -> Any:
    return [dataclasses.asdict(device) for device in await client.orchestrator.devices()]


async def _check(client: _Client, arguments: Mapping[str, Any]) -> Any:
    problems = await client.orchestrator.check(load(arguments["graph"]))
    return [dataclasses.asdict(problem) for problem in problems]


async def _wait_for_devices(client: _Client, arguments: Mapping[str, Any]) -> Any:
    await client.orchestrator.wait_for_devices(int(arguments["count"]), timeout_s=float(arguments["timeout_s"]))


async def _events(client: _Client, arguments: Mapping[str, Any]) -> Any:
    """The next events of a run; null when none have come, and an empty list after the last."""
    run = await client.run(arguments)
    page: list[dict[str, Any]] = []
    size = 0
    with anyio.move_on_after(POLL_S):
        for event in await run.log.page(int(arguments.get("after", 0))):
            page.append(event.as_json())
            size += len(to_json(page[-1]))
            if size > PAGE_BYTES:
                break
        return page
    return None


async def _report(client: _Client, arguments: Mapping[str, Any]) -> Any:
    """The report of a run once it has ended; null when it has not."""
    run = await client.run(arguments)
    with anyio.move_on_after(POLL_S):
        return dataclasses.asdict(await run.wait())
    return None


async def _graph(client: _Client, arguments: Mapping[str, Any]) -> Any:
    return dump(await (await client.run(arguments)).graph())


async def _show(client: _Client, arguments: Mapping[str, Any]) -> Any:
    """The graph and the report of any run in the journal, over or not."""
    graph, report = await shown(client.orchestrator.journal, str(arguments["run"]))
    return {"graph": dump(graph), "report": dataclasses.asdict(report)}


async def _dump(client: _Client, arguments: Mapping[str, Any]) -> Any:
    """All that is known of a run in the journal, as a text: it may hold what no frame can hold as JSON."""
    dump = await client.orchestrator.dump(str(arguments["run"]), redact=bool(arguments.get("redact")))
    text = dump.text()
    if len(text) > MAX_DUMP_BYTES:
        raise DumpTooLarge(len(text), MAX_DUMP_BYTES)
    return text


async def _edit(client: _Client, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).edit(_BATCH.validate_python(arguments["batch"]))


async def _pause(client: _Client, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).pause()


async def _unpause(client: _Client, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).unpause()


async def _cancel(client: _Client, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    star = arguments.get("star")
    await run.cancel(
        None if star is None else str(star),
        subtree=bool(arguments.get("subtree")),
        reason=str(arguments.get("reason", "")),
    )


async def _approve(client: _Client, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    await run.approve(
        str(arguments["star"]),
        bool(arguments["approved"]),
        by=str(arguments.get("by", "")),
        comment=str(arguments.get("comment", "")),
    )


def _planning_call(call: str) -> Handler | None:
    """What carries a planner's call out; it is loaded with the first."""
    from .control_planning import PLANNING_CALLS

    method = PLANNING_CALLS.get(call)
    return None if method is None else lambda client, arguments: method(client.planning, arguments)


_CALLS: Mapping[str, Handler] = {
    "submit": _submit,
    "resume": _resume,
    "attach": _attach,
    "runs": _runs,
    "devices": _devices,
    "check": _check,
    "wait_for_devices": _wait_for_devices,
    "events": _events,
    "report": _report,
    "graph": _graph,
    "show": _show,
    "dump": _dump,
    "edit": _edit,
    "pause": _pause,
    "unpause": _unpause,
    "cancel": _cancel,
    "approve": _approve,
}
