"""Agents that speak A2A as devices: a real server of the A2A SDK at the other end."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
import uvicorn
from a2a.client.errors import A2AClientError
from a2a.helpers import new_data_part, new_raw_part, new_task_from_user_message, new_text_message, new_text_part
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.events import EventQueue
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Artifact,
    StreamResponse,
    Task,
    TaskState,
    TaskStatus,
)
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from constellation import A2AAgent, DeviceSpec, Orchestrator, Prompt, TaskConstellation
from constellation.orchestrator.events import Event, StarProgress, StarSettled
from constellation_devices import BadDeviceSetup
from constellation_devices.errors import WorkFailed
from constellation_devices.prompts import a2a_agent
from constellation_devices.prompts.a2a_agent import A2APrompter, open_a2a_agent
from constellation_devices.prompts.a2a_reading import MAX_CHARS, TaskStory, TooMuch
from constellation_devices.prompts.work import PromptWork, Workplace
from constellation_tools import ToolContext

pytestmark = [pytest.mark.anyio, pytest.mark.e2e, pytest.mark.timeout(240)]

PATIENCE_S = 200.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Behaviour = Callable[[RequestContext, TaskUpdater], Awaitable[None]]


class Executor(AgentExecutor):
    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.asked: list[str] = []
        self.cancelled = anyio.Event()

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        self.asked.append(context.get_user_input())
        assert context.message is not None
        task = new_task_from_user_message(context.message)
        task.id, task.context_id = str(context.task_id), str(context.context_id)
        await event_queue.enqueue_event(task)
        await self.behave(context, TaskUpdater(event_queue, task.id, task.context_id))

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        await TaskUpdater(event_queue, str(context.task_id), str(context.context_id)).cancel()
        self.cancelled.set()


@asynccontextmanager
async def serving(
    behave: Behaviour, *, streaming: bool = True, token: str | None = None, elsewhere: str = ""
) -> AsyncIterator[tuple[str, Executor]]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    card = AgentCard(
        name="Translator",
        description="Translates.",
        version="1",
        supported_interfaces=[
            AgentInterface(url=elsewhere or f"{url}/", protocol_binding="JSONRPC", protocol_version="1.0")
        ],
        capabilities=AgentCapabilities(streaming=streaming),
        default_input_modes=["text/plain"],
        default_output_modes=["text/plain"],
        skills=[AgentSkill(id="translate", name="Translate", description="Any language.", tags=["text"])],
    )
    executor = Executor(behave)
    handler = DefaultRequestHandler(agent_executor=executor, task_store=InMemoryTaskStore(), agent_card=card)
    app = Starlette(routes=[*create_jsonrpc_routes(handler, "/"), *create_agent_card_routes(card)])
    if token is not None:

        async def check(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
            if request.headers.get("authorization") != f"Bearer {token}":
                return PlainTextResponse("who are you?", 401)
            return await call_next(request)

        app.add_middleware(BaseHTTPMiddleware, dispatch=check)

    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    with listener, anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield url, executor
            finally:
                server.should_exit = True


async def follow(graph: TaskConstellation, url: str, *, kind: str = "local") -> tuple[StarSettled, list[Event]]:
    async with Orchestrator.local([DeviceSpec("helper", agent=A2AAgent(url))], kind=kind) as orchestrator:
        run = await orchestrator.submit(graph)
        events = [event async for event in run.events()]
        (settled,) = (event for event in events if isinstance(event, StarSettled))
        return settled, events


def asking(instruction: str = "Translate this.", **options: Any) -> TaskConstellation:
    graph = TaskConstellation("g")
    graph.star("ask", Prompt(instruction, options.pop("given", {}), options.pop("output", None)), **options)
    return graph


async def translate(context: RequestContext, updater: TaskUpdater) -> None:
    await updater.start_work(new_text_message("looking at it"))
    await updater.add_artifact([new_text_part("hallo ")], artifact_id="a", append=False)
    await updater.add_artifact([new_text_part("Welt")], artifact_id="a", append=True, last_chunk=True)
    await updater.complete()


@pytest.mark.parametrize("kind", ["local", "process"])
async def test_a_prompt_becomes_a_task_and_its_updates_progress(kind: str) -> None:
    async with serving(translate) as (url, executor):
        settled, events = await follow(asking(given={"text": "hello world"}), url, kind=kind)
    assert settled.output == "hallo \nWelt"
    assert [event.text for event in events if isinstance(event, StarProgress)] == ["looking at it"]
    (asked,) = executor.asked
    assert asked.startswith("Translate this.")
    assert "\nhello world\n</data-" in asked


async def test_its_card_is_what_the_device_says_of_itself() -> None:
    async with serving(translate) as (url, _):
        async with Orchestrator.local([DeviceSpec("helper", agent=A2AAgent(url))]) as orchestrator:
            (device,) = await orchestrator.devices()
            assert device.labels["agent"] == "Translator"
            assert device.labels["skill.translate"] == "yes"
            assert device.tools == ("prompt",)
        async with open_a2a_agent(A2AAgent(url), token=None) as prompter:
            assert "Translate: Any language." in prompter.tool.description


async def test_an_agent_that_does_not_stream_is_asked_for_its_answer() -> None:
    async with serving(translate, streaming=False) as (url, _):
        settled, _ = await follow(asking(), url)
    assert settled.output == "hallo \nWelt"


async def test_data_and_files_come_as_they_are() -> None:
    async def answer(context: RequestContext, updater: TaskUpdater) -> None:
        await updater.add_artifact(
            [new_data_part({"words": 2}), new_raw_part(b"\x00\x01", filename="a.bin", media_type="application/x-a")]
        )
        await updater.complete()

    async with serving(answer) as (url, _):
        settled, _ = await follow(asking(), url)
    assert settled.output["data"] == [{"words": 2}]
    (file,) = settled.output["files"]
    assert (file["name"], file["size"]) == ("a.bin", 2)


async def test_a_structured_answer_is_checked() -> None:
    async def answer(context: RequestContext, updater: TaskUpdater) -> None:
        await updater.add_artifact([new_text_part('{"words": "two"}')])
        await updater.complete()

    schema = {"type": "object", "properties": {"words": {"type": "integer"}}}
    async with serving(answer) as (url, executor):
        settled, _ = await follow(asking(output=schema), url)
    assert settled.error is not None
    assert settled.error["type"] == "InvalidOutput"
    assert "'two' is not of type 'integer'" in settled.error["message"]
    assert '"words"' in executor.asked[0]


@pytest.mark.parametrize(
    ("end", "kind"),
    [("failed", "AgentFailed"), ("reject", "AgentFailed"), ("requires_input", "InputRequired")],
)
async def test_what_it_can_not_do_is_a_failure_that_says_why(end: str, kind: str) -> None:
    async def refuse(context: RequestContext, updater: TaskUpdater) -> None:
        await getattr(updater, end)(new_text_message("which language?"))

    async with serving(refuse) as (url, _):
        settled, _ = await follow(asking(), url)
    assert settled.error is not None
    assert settled.error["type"] == kind
    assert "which language?" in settled.error["message"]


async def test_cancelling_the_star_cancels_the_task() -> None:
    async def hang(context: RequestContext, updater: TaskUpdater) -> None:
        await updater.start_work(new_text_message("this takes long"))
        await anyio.sleep_forever()

    async with serving(hang) as (url, executor):
        async with Orchestrator.local([DeviceSpec("helper", agent=A2AAgent(url))]) as orchestrator:
            run = await orchestrator.submit(asking())
            async for event in run.events():
                if isinstance(event, StarProgress):
                    await run.cancel()
            assert (await run.wait()).state == "cancelled"
            await executor.cancelled.wait()


async def test_the_token_lets_it_in_and_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(translate, token="let-me-in") as (url, _):
        async with open_a2a_agent(A2AAgent(url), token="let-me-in") as prompter:
            assert prompter.labels["agent"] == "Translator"
        with pytest.raises(BadDeviceSetup, match="401"):
            async with open_a2a_agent(A2AAgent(url), token=None):
                pass
        monkeypatch.setenv("A2A_TOKEN", "let-me-in")
        settled, _ = await follow(asking(), url, kind="process")
        assert settled.output == "hallo \nWelt"
        async with serving(translate, token="let-me-in", elsewhere=f"{url}/") as (other, _):
            settled, _ = await follow(asking(), other, kind="process")
    assert settled.error is not None
    assert "401" in settled.error["message"]


@pytest.mark.parametrize("url", ["ftp://host", "no url", "http://127.0.0.1:1"])
async def test_where_there_is_no_agent_the_device_does_not_start(url: str) -> None:
    with pytest.raises(BadDeviceSetup, match="agent"):
        async with open_a2a_agent(A2AAgent(url), token=None):
            pass


def test_an_agent_that_sends_without_end_is_stopped() -> None:
    story = TaskStory()
    part = {"text": "x" * (MAX_CHARS // 2 + 1)}
    event = {"artifactUpdate": {"artifact": {"artifactId": "a", "parts": [part]}, "append": True}}
    story.take(event)
    with pytest.raises(TooMuch):
        story.take(event)


WORKING = Task(id="t", status=TaskStatus(state=TaskState.TASK_STATE_WORKING))
DONE = Task(
    id="t",
    status=TaskStatus(state=TaskState.TASK_STATE_COMPLETED),
    artifacts=[Artifact(artifact_id="a", parts=[new_text_part("done")])],
)


class LosingClient:
    """A client whose stream breaks after some events, and whose questions are answered from a list."""

    def __init__(self, events: list[StreamResponse], answers: list[Task]) -> None:
        self.events, self.answers = events, answers
        self.asked = 0

    async def send_message(self, request: object) -> AsyncIterator[StreamResponse]:
        for event in self.events:
            yield event
        raise A2AClientError("the stream broke")

    async def get_task(self, request: object) -> Task:
        self.asked += 1
        if not self.answers:
            raise A2AClientError("nobody there")
        return self.answers.pop(0)


async def carried_out(client: LosingClient) -> Any:
    async def invoke(*_: object) -> None:
        raise AssertionError("it has no tools")

    place = Workplace({}, ToolContext(), invoke, lambda *_, **__: None)
    return await A2APrompter(client, AgentCard(name="x")).run(PromptWork("do"), place)  # type: ignore[arg-type]


async def test_a_task_whose_stream_breaks_is_asked_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(a2a_agent, "POLL_S", (0.0, 0.0))
    client = LosingClient([StreamResponse(task=WORKING)], [WORKING, DONE])
    assert await carried_out(client) == "done"
    assert client.asked == 2


@pytest.mark.parametrize(
    ("events", "problem"), [([StreamResponse(task=WORKING)], "does not say how"), ([], "has not taken the task")]
)
async def test_an_agent_that_is_gone_is_given_up(
    monkeypatch: pytest.MonkeyPatch, events: list[StreamResponse], problem: str
) -> None:
    monkeypatch.setattr(a2a_agent, "POLL_S", (0.0, 0.0))
    with pytest.raises(WorkFailed, match=problem) as caught:
        await carried_out(LosingClient(events, []))
    assert caught.value.info.type == "AgentLost"
