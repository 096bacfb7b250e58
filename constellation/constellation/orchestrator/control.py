"""The hub's side of the control path: clients submit graphs, follow runs and change their course over a connection."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import anyio
from pydantic import TypeAdapter, ValidationError

from constellation_protocol.errors import TransportClosed
from constellation_protocol.tasks import background
from constellation_protocol.transport import Transport

from ..graph import EditBatch, GraphError
from ..graph.documents import dump, load
from ..journal import JournalError
from ..scheduling import RunOptions, SchedulingError
from .control_messages import CONTROL, CONTROL_PATH, CONTROL_VERSION, Answer, Open, Request, Told
from .errors import AdmissionRefused, ConstellationError
from .events import RunFinished
from .recovery import read_entries, replay
from .report import make_report
from .run import LocalRun

if TYPE_CHECKING:
    from .orchestrator import Orchestrator

__all__ = ["CONTROL_PATH", "ControlServer"]

MAX_REQUESTS = 256
"""How many requests of one client may be under way at once."""

_OPTIONS = TypeAdapter(RunOptions)
_BATCH = TypeAdapter(EditBatch)

Handler = Callable[["_Client", int, Mapping[str, Any]], Awaitable[Any]]


class ControlServer:
    """Serves clients of a hub."""

    def __init__(self, orchestrator: Orchestrator) -> None:
        self.orchestrator = orchestrator

    async def handle(self, transport: Transport, path: str) -> None:
        """Serve one client until it is gone."""
        try:
            opening = CONTROL.validate_json(await transport.receive())
            token = self.orchestrator.token
            if not isinstance(opening, Open) or not hmac.compare_digest(opening.token.encode(), token.encode()):
                await _send(transport, Answer(number=0, error="Refused", message="the token is not valid for this hub"))
                return
            if opening.version != CONTROL_VERSION:
                message = f"this hub speaks version {CONTROL_VERSION} of the control protocol, not {opening.version}"
                await _send(transport, Answer(number=0, error="Refused", message=message))
                return
            await _send(transport, Answer(number=0, value={"version": CONTROL_VERSION}))
            await _Client(self.orchestrator, transport).serve()
        except (TransportClosed, ValidationError):
            return  # a client that goes away or does not speak the protocol leaves nothing behind


class _Client:
    def __init__(self, orchestrator: Orchestrator, transport: Transport) -> None:
        self.orchestrator = orchestrator
        self.transport = transport
        self._sending = anyio.Lock()
        self._requests = anyio.CapacityLimiter(MAX_REQUESTS)

    async def serve(self) -> None:
        async with background() as tasks:
            try:
                while True:
                    message = CONTROL.validate_json(await self.transport.receive())
                    if isinstance(message, Request):
                        await self._requests.acquire_on_behalf_of(message.number)
                        tasks.start_soon(self._answer, message)
            finally:
                tasks.cancel_scope.cancel()

    async def _answer(self, request: Request) -> None:
        try:
            handler = _CALLS.get(request.call)
            if handler is None:
                answer = Answer(number=request.number, error="UnknownCall", message=f"no call {request.call!r} here")
            else:
                value = await handler(self, request.number, request.arguments)
                answer = Answer(number=request.number, value=value)
        except (ConstellationError, GraphError, SchedulingError, JournalError) as error:
            details = None
            if isinstance(error, AdmissionRefused):
                details = [dataclasses.asdict(problem) for problem in error.problems]
            answer = Answer(number=request.number, error=type(error).__name__, message=str(error), details=details)
        except (KeyError, TypeError, ValueError) as error:
            answer = Answer(number=request.number, error="BadRequest", message=f"{type(error).__name__}: {error}")
        finally:
            self._requests.release_on_behalf_of(request.number)
        try:
            await self.tell(answer)
        except TransportClosed:
            return

    async def tell(self, message: Answer | Told) -> None:
        async with self._sending:
            await _send(self.transport, message)

    async def run(self, arguments: Mapping[str, Any]) -> LocalRun:
        return await self.orchestrator.find_run(str(arguments["run"]))


async def _send(transport: Transport, message: Answer | Told) -> None:
    await transport.send(message.model_dump_json())


async def _submit(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    options = _OPTIONS.validate_python(arguments.get("options") or {})
    run = await client.orchestrator.submit(load(arguments["graph"]), options=options, info=arguments.get("info"))
    return {"run": run.id, "name": run.name}


async def _resume(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.orchestrator.resume(arguments["run"], rerun_unknown=bool(arguments.get("rerun_unknown")))
    return {"run": run.id, "name": run.name}


async def _attach(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    return {"run": run.id, "name": run.name}


async def _runs(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    runs = await client.orchestrator.runs(limit=int(arguments.get("limit", 100)))
    return [dataclasses.asdict(summary) for summary in runs]


async def _devices(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    return [dataclasses.asdict(device) for device in await client.orchestrator.devices()]


async def _wait_for_devices(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    await client.orchestrator.wait_for_devices(int(arguments["count"]), timeout_s=float(arguments["timeout_s"]))


async def _follow(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    async for event in run.events(after=int(arguments.get("after", 0))):
        await client.tell(Told(number=number, event=event.as_json()))
        if isinstance(event, RunFinished):
            break
    return None


async def _report(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    return dataclasses.asdict(await run.wait())


async def _graph(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    return dump(await (await client.run(arguments)).graph())


async def _show(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    """The graph and the report of any run in the journal, over or not."""
    journal = client.orchestrator.journal
    summary = await journal.run(str(arguments["run"]))
    machine = replay(await read_entries(journal, summary.run))
    report = make_report(summary.run, machine.graph, machine.state)
    return {"graph": dump(machine.graph), "report": dataclasses.asdict(report)}


async def _edit(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).edit(_BATCH.validate_python(arguments["batch"]))


async def _pause(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).pause()


async def _unpause(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    await (await client.run(arguments)).unpause()


async def _cancel(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    await run.cancel(
        arguments.get("star"), subtree=bool(arguments.get("subtree")), reason=str(arguments.get("reason", ""))
    )


async def _approve(client: _Client, number: int, arguments: Mapping[str, Any]) -> Any:
    run = await client.run(arguments)
    await run.approve(
        str(arguments["star"]),
        bool(arguments["approved"]),
        by=str(arguments.get("by", "")),
        comment=str(arguments.get("comment", "")),
    )


_CALLS: Mapping[str, Handler] = {
    "submit": _submit,
    "resume": _resume,
    "attach": _attach,
    "runs": _runs,
    "devices": _devices,
    "wait_for_devices": _wait_for_devices,
    "follow": _follow,
    "report": _report,
    "graph": _graph,
    "show": _show,
    "edit": _edit,
    "pause": _pause,
    "unpause": _unpause,
    "cancel": _cancel,
    "approve": _approve,
}
