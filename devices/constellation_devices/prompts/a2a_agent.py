"""Prompts carried out by an agent elsewhere, which speaks A2A: a prompt is a message to it, and becomes a task there.

Its updates are reported as progress, and cancelling a prompt cancels the task. The agent is asked as a person would ask
it; of the tools of this device it knows nothing.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import anyio

from constellation.llm import InvalidOutput, InvalidRequest
from constellation_protocol.kinds import A2AAgent
from constellation_protocol.messages import ErrorInfo

from ..errors import BadDeviceSetup, WorkFailed
from ..failures import speakable
from .a2a_reading import Json, TaskStory, TooMuch
from .answers import Answering
from .quoting import as_text, task_text
from .work import PromptWork, Workplace, prompt_tool

if TYPE_CHECKING:
    import httpx
    from a2a.client import Client
    from a2a.types import AgentCard

CONNECT_S = 10.0
QUIET_S = 300.0
"""How long the agent may say nothing while a task streams; then it is asked how the task stands."""

POLL_S = (0.2, 5.0)
"""The first and the longest wait between two questions how a task stands, where it does not stream; they double."""

MAX_LOST = 5
"""How many such questions in a row may fail before the task is given up."""

CANCEL_S = 1.5
"""How long the agent may take to confirm that a task is cancelled."""

AGENT_FAILED = "AgentFailed"
"""Error type of a prompt that the agent has failed at, turned down, or given up."""

AGENT_LOST = "AgentLost"
"""Error type of a prompt whose agent does not answer any more."""

INPUT_REQUIRED = "InputRequired"
"""Error type of a prompt that the agent wants to know more for: nobody is there to ask."""

MAX_SKILLS = 32
_LABEL_CHARS = 100


class A2APrompter:
    """Sends prompts to one agent; made by `open_a2a_agent`."""

    def __init__(self, client: Client, card: AgentCard) -> None:
        skills = list(card.skills)[:MAX_SKILLS]
        lines = [f"- {skill.name or skill.id}: {skill.description}"[:300] for skill in skills]
        heading = f"Carry out an instruction by the agent {card.name[:_LABEL_CHARS]!r}: {card.description[:500]}"
        self.tool = prompt_tool(speakable("\n".join([heading, *lines])))
        self.labels: Mapping[str, str] = {
            "agent": speakable(card.name[:_LABEL_CHARS]),
            **{f"skill.{speakable(skill.id[:_LABEL_CHARS])}": "yes" for skill in skills},
        }
        self._client = client

    async def run(self, work: PromptWork, place: Workplace) -> Any:
        """Carry out a prompt; see `Prompter`."""
        try:
            answering = Answering(work.output)
        except InvalidRequest as error:
            raise _failed("InvalidArguments", str(error)) from error
        story = TaskStory()
        try:
            await self._follow(work, answering, story, place)
        except anyio.get_cancelled_exc_class():
            await self._cancel(story)
            raise
        except TooMuch as error:
            await self._cancel(story)
            raise _failed(AGENT_FAILED, str(error)) from error
        if story.state == "input required":
            await self._cancel(story)
            raise _failed(INPUT_REQUIRED, f"the agent wants to know more, and nobody is there to ask: {story.said}")
        if story.state != "completed":
            raise _failed(AGENT_FAILED, f"the agent says that the task is {story.state}: {story.said or 'no reason'}")

        def keep(data: str, name: str, media_type: str) -> Json:
            return place.context.artifact(b64decode(data), name=name, media_type=media_type).to_json()

        output = story.output(keep)
        if answering.type is None:
            return output
        try:
            return answering.of_text(as_text(output))
        except InvalidOutput as error:
            raise _failed("InvalidOutput", f"the agent's answer does not fit: {error}") from error

    async def _follow(self, work: PromptWork, answering: Answering, story: TaskStory, place: Workplace) -> None:
        from a2a.client.errors import A2AClientError
        from a2a.helpers import new_text_message
        from a2a.types import Role, SendMessageRequest

        text = task_text(work.instruction, work.arguments, None)
        if answering.type is not None:
            text += f"\n\nAnswer with nothing but JSON that fits this schema:\n{as_text(answering.type.schema)}"
        message = new_text_message(text, role=Role.ROLE_USER)
        # Another try of a star is another message: this one is sent once.
        events = self._client.send_message(SendMessageRequest(message=message))
        try:
            async with aclosing(cast("AsyncGenerator[Any, None]", events)) as stream:
                async for event in stream:
                    self._report(story.take(_as_json(event)), place)
                    if story.ended:
                        return
        except A2AClientError as error:
            if not story.task:
                raise _failed(AGENT_LOST, f"the agent has not taken the task: {error}") from error
        await self._poll(story, place)

    async def _poll(self, story: TaskStory, place: Workplace) -> None:
        """Ask how a task stands until it has ended, where no stream says so, or none any more."""
        from a2a.client.errors import A2AClientError
        from a2a.types import GetTaskRequest

        if not story.task:
            raise _failed(AGENT_LOST, "the agent has ended its answer without a task or a message")
        delay_s, lost = POLL_S[0], 0
        while not story.ended:
            await anyio.sleep(delay_s)
            delay_s = min(2 * delay_s, POLL_S[1])
            try:
                task = await self._client.get_task(GetTaskRequest(id=story.task))
            except A2AClientError as error:
                lost += 1
                if lost == MAX_LOST:
                    raise _failed(AGENT_LOST, f"the agent does not say how the task stands: {error}") from error
            else:
                lost = 0
                self._report(story.take_task(_as_json(task)), place)

    def _report(self, text: str | None, place: Workplace) -> None:
        if text:
            place.report(text)

    async def _cancel(self, story: TaskStory) -> None:
        from a2a.client.errors import A2AClientError
        from a2a.types import CancelTaskRequest

        if not story.task or story.state not in ("working", "input required"):
            return
        with anyio.move_on_after(CANCEL_S, shield=True), suppress(A2AClientError):
            await self._client.cancel_task(CancelTaskRequest(id=story.task))


@asynccontextmanager
async def open_a2a_agent(agent: A2AAgent, *, token: str | None) -> AsyncIterator[A2APrompter]:
    """Fetch an agent's card, and carry out prompts by it; closes the connections in the end.

    Raises:
        BadDeviceSetup: the package is missing, or there is no such agent.
    """
    try:
        import httpx
        from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
        from a2a.client.errors import A2AClientError
    except ImportError:
        raise BadDeviceSetup("an A2A agent needs the A2A SDK: pip install 'constellation-agents[a2a]'") from None
    base = httpx.URL(agent.url)
    if base.scheme not in ("http", "https") or not base.host:
        raise BadDeviceSetup(f"{agent.url!r} is no A2A agent's URL: it looks like https://host:port")
    timeout = httpx.Timeout(QUIET_S, connect=CONNECT_S)
    async with httpx.AsyncClient(timeout=timeout, auth=_bearer(base, token)) as http:
        try:
            card = await A2ACardResolver(http, agent.url).get_agent_card()
            client = ClientFactory(ClientConfig(httpx_client=http)).create(card)
        except (A2AClientError, ValueError) as error:
            raise BadDeviceSetup(f"there is no A2A agent at {agent.url}: {error}") from error
        yield A2APrompter(client, card)


def _bearer(base: httpx.URL, token: str | None) -> httpx.Auth | None:
    """Sends the token to the agent's own server, and to none that its card names elsewhere."""
    import httpx

    if token is None:
        return None

    class Bearer(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            url = request.url
            if (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port):
                request.headers["authorization"] = f"Bearer {token}"
            yield request

    return Bearer()


def _as_json(message: Any) -> Json:
    from google.protobuf.json_format import MessageToDict

    found: dict[str, Any] = MessageToDict(message)
    return found


def _failed(kind: str, message: str) -> WorkFailed:
    return WorkFailed(ErrorInfo(type=kind, message=speakable(message[:4_000])))
