"""Calls that a server answers with a task: followed to their end, with their state told as progress, and cancelled.

The protocol of 2025-11-25 has tasks that the caller asks for, and whose result is fetched. Since 2026-07-28 they are an
extension, `io.modelcontextprotocol/tasks`: the server decides, and the task itself has the result, or the questions
that it waits for. Needs the SDK: imported where a connection is opened.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import anyio
from mcp import MCPError
from mcp.client import ClaimContext, ClientExtension, ResultClaim
from mcp.client.session import ClientRequestContext, ClientSession
from mcp_types import (
    INTERNAL_ERROR,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    CancelTaskRequest,
    CancelTaskRequestParams,
    EmptyResult,
    ErrorData,
    GetTaskPayloadRequest,
    GetTaskPayloadRequestParams,
    GetTaskRequest,
    GetTaskRequestParams,
    GetTaskResult,
    InputRequest,
    InputResponse,
    Request,
    RequestParams,
    Result,
    Task,
    TaskMetadata,
    TaskStatus,
)
from pydantic import ConfigDict, Field

from .screening import TASK_KEY

EXTENSION = "io.modelcontextprotocol/tasks"

_ENDED = ("completed", "failed", "cancelled")
_SHORTEST_S, _USUAL_S, _LONGEST_S = 0.05, 1.0, 30.0
_CANCEL_S = 2.0

T = TypeVar("T")

tell: ContextVar[Callable[[str], None]] = ContextVar("tell")
"""Takes what a server says of the state of a task, in the calls that have somebody to tell it to."""


async def call_as_task(session: ClientSession, name: str, arguments: dict[str, Any], ttl_s: float) -> CallToolResult:
    """Call a tool that has to be called as a task of the older protocol, and return its result.

    Args:
        session: The session with the server.
        name: The tool.
        arguments: Its arguments.
        ttl_s: How long the server is to remember the task, in seconds.
    """
    metadata = TaskMetadata(ttl=round(ttl_s * 1000))
    params = CallToolRequestParams(name=name, arguments=arguments, task=metadata)
    made = await session.send_request(CallToolRequest(params=params), CallToolResult)
    if TASK_KEY not in (made.meta or {}):
        return made
    task = Task.model_validate((made.meta or {})[TASK_KEY])
    id = task.task_id

    async def follow() -> CallToolResult:
        state = task
        while state.status == "working":
            await _pause(state.status_message, state.poll_interval)
            state = await session.send_request(GetTaskRequest(params=GetTaskRequestParams(task_id=id)), GetTaskResult)
        # This waits for the end; what the server wants to know until then it asks beside it.
        request = GetTaskPayloadRequest(params=GetTaskPayloadRequestParams(task_id=id))
        return await session.send_request(request, CallToolResult)

    async def cancel() -> None:
        await session.send_request(CancelTaskRequest(params=CancelTaskRequestParams(task_id=id)), GetTaskResult)

    return await _cancelled_with(follow, cancel)


class _TaskParams(RequestParams):
    task_id: str


class _UpdateParams(_TaskParams):
    input_responses: dict[str, InputResponse]


class _Get(Request[_TaskParams, Literal["tasks/get"]]):
    method: Literal["tasks/get"] = "tasks/get"
    name_param = "taskId"
    params: _TaskParams


class _Update(Request[_UpdateParams, Literal["tasks/update"]]):
    method: Literal["tasks/update"] = "tasks/update"
    name_param = "taskId"
    params: _UpdateParams


class _Cancel(Request[_TaskParams, Literal["tasks/cancel"]]):
    method: Literal["tasks/cancel"] = "tasks/cancel"
    name_param = "taskId"
    params: _TaskParams


class _State(Result):
    """A task of the extension, as it is asked for."""

    task_id: str
    status: TaskStatus
    status_message: str | None = None
    poll_interval_ms: float | None = None
    result: dict[str, Any] | None = None
    error: ErrorData | None = None
    questions: dict[str, InputRequest] = Field(default_factory=dict, alias="inputRequests")


class _Created(Result):
    """The answer to a call that is a task from now on."""

    model_config = ConfigDict(extra="ignore")

    result_type: Literal["task"] = "task"
    task_id: str
    status: TaskStatus
    status_message: str | None = None
    poll_interval_ms: float | None = None


class TasksExtension(ClientExtension):
    """Follows the tasks of the extension, so that calls have their results whatever the server makes of them."""

    identifier = EXTENSION

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """The shape of a result that is a task."""
        return [ResultClaim(result_type="task", model=_Created, resolve=_follow)]


async def _follow(created: _Created, context: ClaimContext) -> CallToolResult:
    session, params = context.session, _TaskParams(task_id=created.task_id)
    answered: set[str] = set()

    async def follow() -> CallToolResult:
        await _pause(created.status_message, created.poll_interval_ms)
        while True:
            state = await session.send_request(_Get(params=params), _State)
            if state.status in _ENDED:
                return _outcome(state)
            new = {key: question for key, question in state.questions.items() if key not in answered}
            answers = {key: await _answer(session, key, question) for key, question in new.items()}
            if answers:
                update = _UpdateParams(task_id=created.task_id, input_responses=answers)
                await session.send_request(_Update(params=update), EmptyResult)
                answered.update(answers)
            await _pause(state.status_message, state.poll_interval_ms)

    async def cancel() -> None:
        await session.send_request(_Cancel(params=params), EmptyResult)

    return await _cancelled_with(follow, cancel)


def _outcome(state: _State) -> CallToolResult:
    if state.status == "completed" and state.result is not None:
        return CallToolResult.model_validate(state.result, by_name=False)
    if state.error is not None:
        raise MCPError.from_error_data(state.error)
    raise MCPError(INTERNAL_ERROR, state.status_message or f"the task ended as {state.status}")


async def _answer(session: ClientSession, key: str, question: InputRequest) -> InputResponse:
    meta = question.params.meta if question.params else None
    context = ClientRequestContext(session=session, request_id=key, meta=meta)
    answer = await session.dispatch_input_request(context, question)
    if isinstance(answer, ErrorData):
        raise MCPError.from_error_data(answer)
    return answer


async def _pause(message: str | None, interval_ms: float | None) -> None:
    """Tell what there is to tell, and wait for as long as the server wants to be left alone, within reason."""
    told = tell.get(None)
    if told is not None and message:
        told(message)
    wanted_s = _USUAL_S if interval_ms is None else interval_ms / 1000
    await anyio.sleep(min(_LONGEST_S, max(_SHORTEST_S, wanted_s)))


async def _cancelled_with(follow: Callable[[], Awaitable[T]], cancel: Callable[[], Awaitable[None]]) -> T:
    """Follow a task, and cancel it when nobody wants to any more."""
    try:
        return await follow()
    except anyio.get_cancelled_exc_class():
        # It may have ended meanwhile, or the connection.
        with anyio.move_on_after(_CANCEL_S, shield=True), suppress(MCPError):
            await cancel()
        raise
